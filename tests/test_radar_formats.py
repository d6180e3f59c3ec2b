"""Radar files as services write them, made in their layouts: what is read of them, and what is refused and why."""

import sys
import types

import h5py
import numpy as np
import pytest

from scs_keras.training.data.radar import Reading, read_event, read_events
from scs_keras.training.data.radar_grid import Grid
from scs_keras.training.data.radar_quantity import Unit, unit_of
from scs_keras.training.data.radar_times import time_of_name
from scs_keras.training.precipitation import samples
from scs_keras.zoo import get_preset
from tests.radar_case import HEIGHT, OPERA, START, WIDTH, geotiff, netcdf, npz, odim, stamp, storm

RAIN = storm()
DRY, NOTHING = (0, 0), (2, slice(None))  # of an image: a pixel without rain, and a row without data


def rate_of(dbz, a=200, b=1.6):
    return (10 ** (np.asarray(dbz) / 10) / a) ** (1 / b)


def folder_of(folder, write, images, name="radar_{}.h5"):
    """One file per time."""
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        write(folder / name.format(stamp(index)), image, index)
    return folder


def opera_rate(path, image, index):
    """RATE as OPERA's Odyssey wrote it: float64, with codes."""
    raw = np.where(image > 0, image, -8888000.0).astype("float64")
    raw[NOTHING] = -9999000.0
    return odim(path, raw, index)


# --- ODIM HDF5 --------------------------------------------------------------------------------------------------------


def test_a_folder_of_composites_is_an_event(tmp_path):
    event = read_event(folder_of(tmp_path / "opera", opera_rate, RAIN))
    assert (event.name, event.file, event.step_minutes, event.km_per_pixel) == ("opera", "opera", 5, 2)
    assert event.source == "ORG:247" and event.reading == "RATE in mm/h" and event.notes == ()
    np.testing.assert_array_equal(event.times, START + 300 * np.arange(6))
    expected = RAIN.copy()
    expected[:, 2] = 0
    np.testing.assert_allclose(event.rain_mm_h, expected, rtol=1e-6)
    assert not event.valid[2].any() and event.valid.sum() == (HEIGHT - 1) * WIDTH and not event.missing.any()
    x, y = event.grid.centres()
    np.testing.assert_allclose(x, 1_001_000 + 2000 * np.arange(WIDTH), atol=0.01)
    np.testing.assert_allclose(y, -1_501_000 - 2000 * np.arange(HEIGHT), atol=0.01)
    assert event.grid.projection == OPERA
    last = read_event(tmp_path / "opera", last=4)
    np.testing.assert_array_equal(last.rain_mm_h, event.rain_mm_h[2:])
    np.testing.assert_array_equal(last.times, event.times[2:])


def test_missing_and_dry_are_different_things(tmp_path):
    """Reflectivity in bytes: 0.5 dBZ steps from -32, 255 no data, 0 no echo; also the codes of the file's own."""
    raw = np.full((HEIGHT, WIDTH), 144, "uint8")  # 40 dBZ
    raw[0, :4] = 0, 255, 1, 200
    for nodata in (255, 200):  # the largest value of the type is never rain
        for index in range(2):
            odim(tmp_path / f"{stamp(index)}.h5", raw, index, "DBZH", gain=0.5, offset=-32.0, nodata=nodata, undetect=0)
        event = read_event(tmp_path)
        assert event.rain_mm_h[0, 0, 0] == 0 and event.valid[0, 0] and not event.valid[0, 1]
        assert event.rain_mm_h[1, 5, 5] == pytest.approx(rate_of(40), rel=1e-5)
        assert event.rain_mm_h[1, 0, 2] == pytest.approx(rate_of(-31.5), rel=1e-5)
        assert event.valid[0, 3] == (nodata != 200) and event.reading == "DBZH in dBZ, Z = 200 R^1.6"


def two(folder, *arguments, **options):
    """A folder with the same image twice, 5 minutes apart."""
    folder.mkdir(exist_ok=True)
    for index in range(2):
        odim(folder / f"{stamp(index)}.h5", *arguments, index=index, **options)
    return folder


def test_z_r_is_the_users_the_files_or_marshall_and_palmers(tmp_path):
    folder = two(tmp_path / "a", np.full((HEIGHT, WIDTH), 40.0, "float32"), quantity="TH")
    given = read_event(folder, Reading(zr="300,1.4"))
    assert given.rain_mm_h[0, 5, 5] == pytest.approx(rate_of(40, 300, 1.4), rel=1e-5)
    assert given.reading == "TH in dBZ, Z = 300 R^1.4"
    for path in folder.iterdir():
        with h5py.File(path, "a") as file:
            file.require_group("how").attrs.update(zr_a=223.0, zr_b=1.53)
    assert read_event(folder).rain_mm_h[0, 5, 5] == pytest.approx(rate_of(40, 223, 1.53), rel=1e-5)
    assert "Z = 300 R^1.4" in read_event(folder, Reading(zr="300,1.4")).reading


def test_an_accumulation_becomes_a_rate_by_its_time(tmp_path):
    folder = two(tmp_path / "a", np.full((HEIGHT, WIDTH), 0.5, "float32"), quantity="ACRR")
    event = read_event(folder)
    assert event.rain_mm_h[1, 5, 5] == pytest.approx(6) and event.reading == "ACRR of 5 min in mm/h"
    assert read_event(folder, Reading(unit="mm/15min")).rain_mm_h[1, 5, 5] == pytest.approx(2)
    for path in folder.iterdir():
        with h5py.File(path, "a") as file:
            attributes = file["dataset1/what"].attrs
            attributes["starttime"], attributes["startdate"] = attributes["endtime"], attributes["enddate"]
    with pytest.raises(ValueError, match="ACRR needs the time of accumulation.*Type it: .*mm/5min"):
        read_event(folder)


def test_other_hdf5_is_refused_with_what_to_type(tmp_path):
    with h5py.File(tmp_path / "knmi.h5", "w") as file:  # as RAD_NL25_RAC_5min of KNMI
        file["image1/image_data"] = np.zeros((HEIGHT, WIDTH), "uint16")
        file.create_group("geographic")
    with pytest.raises(ValueError, match="knmi.h5: is HDF5, but neither ODIM|neither an ODIM.*image1.*knmi_hdf5"):
        read_event(tmp_path / "knmi.h5")
    (tmp_path / "knmi.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ValueError, match="knmi.h5: cannot be read as HDF5"):
        read_event(tmp_path / "knmi.h5")


ODIM_REFUSED = {
    "the quantities are VRADH. Allowed: RATE, ACRR, DBZH": dict(quantity="VRADH"),
    r"data1/data must be \(height, width\) of .*numbers. Received: complex64": dict(
        raw=np.zeros((20, 24), "complex64")
    ),
    "data1/data must be .*Received: \\|S3 of shape.*Write it as uint8 or uint16 with gain": dict(
        raw=np.full((20, 24), b"abc")
    ),
    r"at least 16 pixels a side. Received: 1x1": dict(raw=np.ones((1, 1), "float32")),
    "no pixel has data": dict(raw=np.full((20, 24), -9999000.0)),
    "holds one image, of 2018-08-24 18:00. .*folder of their own": dict(),
}


@pytest.mark.parametrize("message", ODIM_REFUSED)
def test_odim_that_is_refused(tmp_path, message):
    given = dict(raw=np.ones((20, 24), "float32")) | ODIM_REFUSED[message]
    with pytest.raises(ValueError, match=f"a.h5: .*{message}"):
        read_event(odim(tmp_path / "a.h5", **given))


def test_polar_volumes_and_broken_odim(tmp_path):
    path = odim(tmp_path / "a.h5", np.ones((20, 24), "float32"))
    with h5py.File(path, "a") as file:
        file["what"].attrs["object"] = np.bytes_("PVOL")
    with pytest.raises(ValueError, match="object PVOL is not an image. .*Make a Cartesian composite"):
        read_event(path)
    with h5py.File(path, "a") as file:
        file["what"].attrs["object"] = np.bytes_("COMP")
        file["what"].attrs["date"] = np.bytes_("yesterday")
    with pytest.raises(
        ValueError, match="a.h5: cannot be read as .*date and time are no time YYYYMMDD HHMMSS: yesterday"
    ):
        read_event(path)
    with h5py.File(path, "a") as file:
        del file["what"].attrs["date"]
    with pytest.raises(ValueError, match="a.h5: cannot be read as an ODIM HDF5 composite.*date"):
        read_event(path)


def test_another_quantity_is_read_when_it_is_typed(tmp_path):
    folder = two(tmp_path / "a", np.full((HEIGHT, WIDTH), 30, "uint8"), quantity="BRDR")
    event = read_event(folder, Reading(variable="BRDR", unit="0.1 mm/h"))
    assert event.rain_mm_h[0, 5, 5] == pytest.approx(3) and event.reading == "BRDR (0.1 mm/h) in mm/h"


# --- NetCDF -----------------------------------------------------------------------------------------------------------


def test_multi_radar_multi_sensor_on_latitude_and_longitude(tmp_path):
    """As MRMS converts: mm/hr, -3 without coverage, longitude east of Greenwich, one time a file."""
    for index, image in enumerate(RAIN):
        values = image.copy()
        values[NOTHING] = -3
        lat, lon = 40 - 0.02 * np.arange(HEIGHT), 265 + 0.02 * np.arange(WIDTH)
        coordinates = dict(
            time=((), START + 300 * index, dict(units="seconds since 1970-01-01")), y=None, x=None,
            latitude=("latitude", lat, dict(units="degrees_north")), longitude=("longitude", lon, dict(units="degrees_east")),
        )  # fmt: skip
        path = tmp_path / f"{index}.nc"
        xarray = pytest.importorskip("xarray", reason="needs xarray, of the extra radar")
        attributes = dict(units="mm/hr")
        made = {key: value for key, value in coordinates.items() if value is not None}
        xarray.Dataset({"PrecipRate": (("latitude", "longitude"), values, attributes)}, made).to_netcdf(
            path, engine="h5netcdf"
        )
    event = read_event(tmp_path)
    assert not event.valid[2].any() and event.valid.sum() == (HEIGHT - 1) * WIDTH
    np.testing.assert_allclose(event.rain_mm_h[:, 3:], RAIN[:, 3:], rtol=1e-6)
    np.testing.assert_array_equal(event.times, START + 300 * np.arange(6))
    assert event.notes == ("Negative numbers (-3) are taken as no data.",) and "mm/hr" in event.reading
    assert event.grid.is_lat_lon and event.grid.lon_lat_corners()["UL"] == pytest.approx((264.99, 40.01))
    south_north, west_east = 2.2239, 2.2239 * np.cos(np.radians(39.81))
    assert event.km_per_pixel == pytest.approx(np.sqrt(south_north * west_east), rel=1e-3)


def test_packed_reflectivity_of_a_projection_with_south_first(tmp_path):
    """int16 in 0.01 dBZ, km, rows from south to north."""
    pyproj = pytest.importorskip("pyproj", reason="needs pyproj, of the extra radar")
    raw = np.full((6, HEIGHT, WIDTH), 3000, "int16")
    raw[:, :5, 0] = np.array([-32768, 32767, 5000, 9000, -4000])[:, None].T
    attributes = dict(
        standard_name="equivalent_reflectivity_factor", units="dBZ", scale_factor=0.01, add_offset=0.0,
        _FillValue=np.int16(-32768), valid_range=np.array([-3200, 8000], "int16"), grid_mapping="crs",
    )  # fmt: skip
    km = dict(units="km", standard_name="projection_y_coordinate")
    coordinates = dict(
        y=("y", -3000.0 + np.arange(HEIGHT), km), x=("x", np.arange(WIDTH) + 0.5, dict(axis="X", units="km"))
    )
    mapping = pyproj.CRS("EPSG:3413").to_cf()
    event = read_event(netcdf(tmp_path / "a.nc", raw, "Z", attributes, coordinates, mapping))
    assert event.rain_mm_h[0, -3, 0] == pytest.approx(rate_of(50), rel=1e-5)  # turned: north is up
    assert event.rain_mm_h[3, 4, 4] == pytest.approx(rate_of(30), rel=1e-5)
    np.testing.assert_array_equal(np.argwhere(~event.valid), [[HEIGHT - place, 0] for place in (5, 4, 2, 1)])
    assert event.km_per_pixel == 1 and "+proj=stere" in event.grid.projection and "+lat_ts=70" in event.grid.projection
    assert event.grid.centres()[1][0] == pytest.approx(-2_981_000) and event.grid.centres()[0][0] == 500


@pytest.mark.parametrize(
    ("standard_name", "unit", "value", "rain"),
    [
        ("lwe_precipitation_rate", "m s-1", 1e-6, 3.6),
        ("precipitation_flux", "kg m-2 s-1", 0.001, 3.6),
        ("rainfall_rate", "mm h-1", 2.5, 2.5),
        ("rainfall_amount", "kg m-2", 0.5, 6),  # since the image before
        ("equivalent_reflectivity_factor", "mm6 m-3", 1000, rate_of(30)),
    ],
)
def test_units_of_cf(tmp_path, standard_name, unit, value, rain):
    values = np.full((3, HEIGHT, WIDTH), value, "float32")
    values[:, 0] = 0
    event = read_event(netcdf(tmp_path / "a.nc", values, "value", dict(standard_name=standard_name, units=unit)))
    assert event.rain_mm_h[1, 5, 5] == pytest.approx(rain, rel=1e-5) and unit in event.reading
    assert event.scaled[1, 0, 0] == 0 and event.valid.all() and event.grid.projection == "" and event.km_per_pixel == 1


def test_rain_at_the_ground_comes_before_reflectivity_and_names_of_use_are_known(tmp_path):
    xarray = pytest.importorskip("xarray", reason="needs xarray, of the extra radar")
    path = netcdf(tmp_path / "a.nc", RAIN)
    for name in ("precip_intensity", "PrecipRate", "precipitation", "rainrate", "tp"):
        with xarray.open_dataset(path, engine="h5netcdf") as file:
            about = dict(standard_name="equivalent_reflectivity_factor", units="dBZ")
            both = file.rename(rainfall_rate=name).assign(
                z=file.rainfall_rate.assign_attrs(about), quality=file.x + file.y
            )
            both[["z", "quality", name]].to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
            both[["z", "quality"]].to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
        assert read_event(tmp_path / "b.nc").reading.startswith(name)
        assert read_event(tmp_path / "c.nc").reading == "z (dBZ) in dBZ, Z = 200 R^1.6"


def test_codes_below_any_reflectivity_are_no_data(tmp_path):
    values = np.full((3, HEIGHT, WIDTH), -99.0, "float32")  # no echo
    values[:, 0], values[:, 1] = -999, 40
    event = read_event(netcdf(tmp_path / "a.nc", values, "dbz", dict(units="dBZ")))
    assert not event.valid[0].any() and event.valid[1:].all() and (event.scaled[:, 2:] == 0).all()
    assert event.notes == ("Reflectivity below -100 dBZ is taken as no data.",)


def test_bounds_tell_the_time_of_an_amount(tmp_path):
    values = np.full((3, HEIGHT, WIDTH), 0.5, "float32")
    times, about = START + 300 * np.arange(3), dict(units="seconds since 1970-01-01", bounds="time_bnds")
    bounds = (("time", "n"), np.stack([times - 600, times], axis=1), {})
    path = netcdf(
        tmp_path / "a.nc",
        values,
        "rainfall_amount",
        dict(units="mm"),
        dict(time=("time", times, about), time_bnds=bounds),
    )
    event = read_event(path)
    assert event.rain_mm_h[1, 5, 5] == pytest.approx(3) and event.reading == "rainfall_amount (mm of 10 min) in mm/h"


def test_bytes_and_classic_netcdf(tmp_path):
    pytest.importorskip("scipy", reason="classic NetCDF needs scipy")
    raw = np.full((3, HEIGHT, WIDTH), -56, "int8")  # 200 unsigned
    raw[:, 0, 0], raw[:, 0, 1] = -1, -2
    attributes = dict(units="0.1 mm/h", _Unsigned="true", _FillValue=np.int8(-2))
    event = read_event(netcdf(tmp_path / "a.nc", raw, "precip", attributes, engine="scipy"))
    assert event.rain_mm_h[1, 5, 5] == pytest.approx(20) and not event.valid[0, :2].any() and event.valid[0, 2]


def test_latitude_and_longitude_of_each_pixel_give_the_size_of_a_pixel(tmp_path):
    latitude = 50 + 0.01 * np.arange(HEIGHT)[:, None] + np.zeros(WIDTH)
    longitude = 5 + 0.02 * np.arange(WIDTH) + np.zeros((HEIGHT, 1))
    coordinates = dict(y=None, x=None, lat=(("y", "x"), latitude, {}), lon=(("y", "x"), longitude, {}))
    event = read_event(netcdf(tmp_path / "a.nc", RAIN, coordinates=coordinates))
    assert event.km_per_pixel == pytest.approx(111.195 * np.sqrt(0.01 * 0.02 * np.cos(np.radians(50.1))), rel=1e-3)
    np.testing.assert_array_equal(event.rain_mm_h, RAIN[:, ::-1])


NETCDF_REFUSED = {
    "the unit of rainfall_rate is not said. Type it: .*unit": dict(attributes={}),
    "the unit of rainfall_rate is K. Type it": dict(attributes=dict(units="K")),
    "no variable of numbers has a name of rain.*It holds: a .*Type which: .*variable": dict(name="several"),
    r"rainfall_rate must be \(time, y, x\) or \(y, x\). Received: .*level": dict(
        values=np.zeros((3, 2, 20, 24)), levels=True
    ),
    "the images of rainfall_rate have no times": dict(coordinates=dict(time=None)),
    "its attributes are not those of CF.*Times need units": dict(
        coordinates=dict(time=("time", np.arange(6), dict(units="hours since yesterday")))
    ),
    "x must be evenly spaced.*Bring the images onto an even grid": dict(
        coordinates=dict(x=("x", np.arange(24.0) ** 2, {}))
    ),
    "x must rise": dict(coordinates=dict(x=("x", -np.arange(24.0), {}))),
    "grid mapping of rainfall_rate cannot be read": dict(
        attributes=dict(units="mm/h", grid_mapping="crs"), mapping=dict(grid_mapping_name="flat")
    ),
    "no pixel has data": dict(values=np.full((3, 20, 24), np.nan)),
}


@pytest.mark.parametrize("message", NETCDF_REFUSED)
def test_netcdf_that_is_refused(tmp_path, message):
    given = dict(values=RAIN) | NETCDF_REFUSED[message]
    path = tmp_path / "a.nc"
    xarray = pytest.importorskip("xarray", reason="needs xarray, of the extra radar")
    if given.pop("levels", False):
        dims = ("time", "level", "y", "x")
        xarray.Dataset({"rainfall_rate": (dims, given["values"], dict(units="mm/h"))}).to_netcdf(
            path, engine="h5netcdf"
        )
    elif given.get("name") == "several":
        xarray.Dataset({name: (("t", "y", "x"), RAIN) for name in "ab"}).to_netcdf(path, engine="h5netcdf")
    else:
        netcdf(path, **given)
    with pytest.raises(ValueError, match=f"a.nc: .*{message}"):
        read_event(path)


def test_a_variable_is_typed_or_refused(tmp_path):
    xarray = pytest.importorskip("xarray", reason="needs xarray, of the extra radar")
    path = netcdf(tmp_path / "a.nc", RAIN)
    with xarray.open_dataset(path, engine="h5netcdf") as file:
        file.assign(other=2 * file.rainfall_rate).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    np.testing.assert_allclose(read_event(tmp_path / "b.nc", Reading(variable="other")).rain_mm_h, 2 * RAIN)
    np.testing.assert_allclose(read_event(tmp_path / "b.nc").rain_mm_h, RAIN)
    with pytest.raises(ValueError, match="has no images 'third'. Allowed: rainfall_rate, other"):
        read_event(tmp_path / "b.nc", Reading(variable="third"))


def test_what_is_no_netcdf(tmp_path):
    pytest.importorskip("h5netcdf", reason="needs h5netcdf, of the extra radar")
    (tmp_path / "a.nc").write_bytes(b"nothing at all")
    with pytest.raises(ValueError, match="a.nc: cannot be read as NetCDF"):
        read_event(tmp_path / "a.nc")
    with h5py.File(tmp_path / "b.nc", "w") as file:
        file["rain"] = RAIN
    with pytest.raises(ValueError, match=r"b.nc: rain must be \(time, y, x\) .*phony_dim_0"):
        read_event(tmp_path / "b.nc")


# --- GeoTIFF ----------------------------------------------------------------------------------------------------------


def test_geotiff_with_time_in_the_name(tmp_path):
    for index, image in enumerate(RAIN):
        raw = np.round(image * 10).astype("uint8")
        raw[NOTHING], raw[3, 3] = 250, 255
        geotiff(tmp_path / f"radar_{stamp(index, form='%Y%m%d_%H%M')}.tif", raw, nodata=250, scale=0.1)
    event = read_event(tmp_path)
    np.testing.assert_array_equal(event.times, START + 300 * np.arange(6))
    assert not event.valid[2].any() and not event.valid[3, 3] and event.valid.sum() == (HEIGHT - 1) * WIDTH - 1
    np.testing.assert_allclose(event.rain_mm_h[:, 4:], RAIN[:, 4:], atol=0.0501)
    assert event.km_per_pixel == 1 and "+proj=laea +lat_0=52 +lon_0=10" in event.grid.projection
    assert event.grid.centres()[0][0] == 4_000_500 and event.grid.centres()[1][0] == 2_999_500
    assert event.reading == "GeoTIFF (mm/h) in mm/h"


def test_time_of_a_geotiff(tmp_path):
    """The tag `time` comes first, then the name, and what says when the file was made last."""
    for index, name in enumerate((stamp(0), stamp(1), "x")):
        tags = {"TIFFTAG_DATETIME": stamp(2, form="%Y:%m:%d %H:%M:%S")}
        if index == 0:
            tags["time"] = stamp(0, form="%Y-%m-%dT%H:%M:%SZ")
            name = stamp(5)
        geotiff(tmp_path / f"{name}.tif", RAIN[index], tags=tags)
    np.testing.assert_array_equal(read_event(tmp_path).times, START + 300 * np.arange(3))


GEOTIFF_REFUSED = {
    "the unit is not said. Type it: .*dBZ, mm/h": dict(unit=None),
    "must have one band, one image a file. Received: 6 bands. .*gdal_translate -b 1 radar_": dict(raw=RAIN),
    "must hold numbers. Received: complex64": dict(raw=RAIN[0].astype("complex64")),
    "must have north up": dict(north_up=False),
    "the tag time must be a time such as 2024": dict(tags=dict(time="noon")),
}


@pytest.mark.parametrize("message", GEOTIFF_REFUSED)
def test_geotiff_that_is_refused(tmp_path, message):
    path = geotiff(tmp_path / "radar_201808241800.tif", **dict(raw=RAIN[0]) | GEOTIFF_REFUSED[message])
    with pytest.raises(ValueError, match=f"1800.tif: .*{message}"):
        read_event(path)


def test_no_geotiff_and_no_time(tmp_path):
    with pytest.raises(ValueError, match="neither the file nor its name says the time.* radar_202408261205.tif"):
        read_event(geotiff(tmp_path / "a.tif", RAIN[0]))
    (tmp_path / "a.tif").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="a.tif: cannot be read as a GeoTIFF"):
        read_event(tmp_path / "a.tif")


# --- pysteps ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pysteps(monkeypatch):
    """A stand-in for the interface of pysteps' importers, which is compiled where it is installed."""

    def get_method(name, kind):
        if name != "gif" or kind != "importer":
            raise ValueError(f"Unknown importer method {name}\nThe available methods are: ['gif']")
        return importer

    def importer(path, accutime=5, unit="mm", transform=None):
        if path.endswith("broken.gif"):
            raise KeyError("palette")
        image = np.full((HEIGHT, WIDTH), 0.5)
        image[0, 0], image[1, 1] = np.nan, 0
        about = dict(
            accutime=accutime, unit=unit, transform=transform, zr_a=316.0, zr_b=1.5, institution="MeteoSwiss",
            projection="+proj=somerc", x1=0.0, x2=WIDTH * 1000.0, y1=0.0, y2=HEIGHT * 1000.0, yorigin="lower",
        )  # fmt: skip
        return image, None, about

    modules = {"pysteps": types.ModuleType("pysteps"), "pysteps.io": types.ModuleType("pysteps.io")}
    modules["pysteps.io"].get_method = get_method
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def test_what_an_importer_of_pysteps_reads(tmp_path, pysteps):
    for index in range(3):
        (tmp_path / f"{stamp(index)}.gif").write_bytes(b"")
    event = read_event(tmp_path, Reading(importer="gif,accutime=10"))
    assert event.rain_mm_h[0, 5, 5] == pytest.approx(3) and not event.valid[-1, 0] and event.rain_mm_h[0, -2, 1] == 0
    assert event.source == "MeteoSwiss" and event.reading == "pysteps gif (mm) in mm/h" and event.km_per_pixel == 1
    assert read_event(tmp_path, Reading(importer='gif,unit="dBZ"')).reading == "pysteps gif (dBZ) in dBZ, Z = 316 R^1.5"
    decibels = read_event(tmp_path, Reading(importer="gif,unit=mm/h,transform=dB"))
    assert decibels.rain_mm_h[0, 5, 5] == pytest.approx(10**0.05)
    for text, message in (
        ("png", "importer: Unknown importer method png The available methods are: .* Received: 'png'"),
        ("gif,5", "importer must be NAME or NAME,argument=value"),
        ("gif,unit=K", r"gives K \(None\). Allowed: mm/h, dBZ, mm"),
        ("gif,accutime=0", r"gives mm \(None\). Allowed: .*mm needs an accutime"),
    ):
        with pytest.raises(ValueError, match=message):
            read_event(tmp_path, Reading(importer=text))
    (tmp_path / "broken.gif").write_bytes(b"")
    with pytest.raises(ValueError, match="broken.gif: pysteps' importer gif cannot read it .KeyError.*mch_gif,product"):
        read_event(tmp_path, Reading(importer="gif"))


def test_pysteps_reads_the_same_of_odim(tmp_path):
    pytest.importorskip("pysteps", reason="compares with pysteps, which is compiled where it is installed")
    folder = folder_of(tmp_path / "opera", opera_rate, RAIN)
    own, other = read_event(folder), read_event(folder, Reading(importer="odim_hdf5"))
    np.testing.assert_allclose(own.rain_mm_h, other.rain_mm_h, rtol=1e-6)
    np.testing.assert_array_equal(own.valid, other.valid)
    for one, two in zip(own.grid.centres(), other.grid.centres()):
        np.testing.assert_allclose(one, two, atol=0.01)


@pytest.mark.parametrize(
    ("package", "extra", "name"),
    [("xarray", "radar", "a.nc"), ("rasterio", "radar", "a.tif"), ("pysteps", "radar", "a.gif")],
)
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, package, extra, name):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ImportError, match=rf'{package} is needed: pip install "scs-keras\[{extra}\]"'):
        read_event(tmp_path / name, Reading(importer="gif" if package == "pysteps" else ""))


# --- folders, names, units --------------------------------------------------------------------------------------------


def test_a_folder_of_events_of_several_formats(tmp_path):
    folder_of(tmp_path / "opera", opera_rate, RAIN)
    netcdf(tmp_path / "cf.nc", RAIN)
    npz(tmp_path / "own.npz")
    assert [event.file for event in read_events(tmp_path)] == ["cf.nc", "opera", "own.npz"]
    (tmp_path / "split.json").write_text('{"train": ["cf", "own.npz"], "val": ["opera"]}')
    assert [event.file for event in read_events(tmp_path, "train", exclude=["own"])] == ["cf.nc"]
    preset = get_preset("scs_precipitation_advection_small_radar").with_arguments(output_length=1)
    made = samples.read(tmp_path, "val", preset)
    assert made.name == "radar val, RATE in mm/h" and made.file_names == ("opera",) and len(made) == 1
    (tmp_path / "split.json").write_text('{"val": ["gone.h5"]}')
    with pytest.raises(FileNotFoundError, match="lists events that are not in the folder: gone"):
        read_events(tmp_path, "val")


def test_folders_that_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(FileNotFoundError, match="no radar files, one per time. Expected .*It holds: notes.txt"):
        read_event(tmp_path)
    (tmp_path / "a.grib2").write_bytes(b"GRIB")
    with pytest.raises(ValueError, match="a.grib2: files of this kind are not read. .*With pysteps, .*importer"):
        read_event(tmp_path / "a.grib2")
    odim(tmp_path / "1.h5", np.ones((20, 24), "float32"))
    odim(tmp_path / "2.h5", np.ones((20, 24), "float32"))
    with pytest.warns(UserWarning, match="not read and left out: a.grib2"):
        with pytest.raises(ValueError, match="1.h5 and 2.h5 both have an image of 2018-08-24 18:00"):
            read_event(tmp_path)
    (tmp_path / "a.grib2").unlink()
    for changes, what in (
        (dict(raw=np.ones((20, 28), "float32")), r"one size. Received: 1.h5 with \(20, 24\) and 2.h5 with \(20, 28\)"),
        (dict(projection=OPERA.replace("55.0", "50.0")), "one projection or grid"),
        (dict(quantity="DBZH"), "one quantity or unit"),
    ):
        odim(tmp_path / "2.h5", index=1, **dict(raw=np.ones((20, 24), "float32")) | changes)
        with pytest.raises(ValueError, match=f"the files of an event must have {what}"):
            read_event(tmp_path)


def test_times_of_names():
    for name in ("T_PAAH21_201808241800.h5", "2018-08-24T18:00:00Z.tif", "a_20180824_1800.tif", "VMI_1535133600000.h5",
                 "1535133600.nc", "AQC_182361800.gif", "lon_5_20180824180000_x.h5"):  # fmt: skip
        assert time_of_name(name) == START, name
    for name in ("a.tif", "20181324_1800.tif", "123456789012345678.tif", "189991800.gif"):
        with pytest.raises(ValueError, match="says the time of the image"):
            time_of_name(name)


def test_units_and_what_is_none():
    for text, unit in {
        "mm/h": Unit("rate", 1), "mm hr**-1": Unit("rate", 1), "mm.h-1": Unit("rate", 1), "mm h^-1": Unit("rate", 1),
        "kg m-2 s-1": Unit("rate", 3600), "m s-1": Unit("rate", 3.6e6), "mm/5min": Unit("rate", 12), "mm": Unit("amount"),
        "in/h": Unit("rate", 25.4), "0.01 mm": Unit("amount", 0.01), "dBZ": Unit("dBZ"), "0.5 dBZ": Unit("dBZ", 0.5),
        "mm/day": Unit("rate", 1 / 24), "mm6 m-3": Unit("Z"),
    }.items():  # fmt: skip
        found = unit_of(text)
        assert found is not None and found.kind == unit.kind and found.factor == pytest.approx(unit.factor), text
    assert [unit_of(text) for text in ("", "K", "dBZ/h", "mm/", "millimetres of rain")] == [None] * 5
    with pytest.raises(ValueError, match="unit must be a unit of rain or reflectivity: dBZ, .* Received: 'K'"):
        Reading(unit="K")
    for text in ("200", "200,-1", "a,b", "1,2,3"):
        with pytest.raises(ValueError, match=f"zr must be a,b of Z = a R.b.*300,1.4.*Received: '{text}'"):
            Reading(zr=text)


def test_size_of_a_pixel_in_kilometres_of_the_projection():
    assert Grid("+proj=stere +units=km", (20, 20), (1.0, 4.0), (0, 0)).km_per_pixel == 2


@pytest.mark.needs_data("radar_nowcasting", "the radar data set")
@pytest.mark.parametrize("kind", ["odim", "geotiff", "netcdf"])
def test_real_rain_is_the_same_in_every_format(data_folder, tmp_path, kind):
    with np.load(data_folder / "knmi_20100826.npz") as arrays:
        given = {name: arrays[name] for name in arrays}
    raw, valid = given["rain"][:3, 60:124, 60:124], given["valid"][60:124, 60:124]
    np.savez(tmp_path / "a.npz", **given | dict(rain=raw, valid=valid, times=given["times"][:3]))
    expected, coded = read_event(tmp_path / "a.npz"), np.where(valid, raw, 65535).astype("uint16")
    (tmp_path / "b").mkdir()
    for index, image in enumerate(coded):
        if kind == "odim":
            odim(tmp_path / f"b/{index}.h5", image, index, gain=0.01, nodata=65535, undetect=0)
        elif kind == "geotiff":
            geotiff(tmp_path / f"b/{stamp(index)}.tif", image, unit="0.01 mm/h")
    if kind == "netcdf":
        netcdf(
            tmp_path / "b/b.nc", coded, attributes=dict(units="mm/h", scale_factor=0.01, _FillValue=np.uint16(65535))
        )
    event = read_event(tmp_path / ("b/b.nc" if kind == "netcdf" else "b"))
    np.testing.assert_allclose(event.rain_mm_h, expected.rain_mm_h, rtol=1e-5)
    np.testing.assert_array_equal(event.valid, expected.valid)
    assert 0.05 < valid.mean() < 0.999 and expected.rain_mm_h.max() > 1
