"""Forecasts written as npz, CF NetCDF and ODIM HDF5: read back by this reader, and by the libraries of the formats."""

import h5py
import numpy as np
import pytest

from scs_keras import __main__ as cli
from scs_keras.training.data.radar import RadarEvent, Reading, read_event
from scs_keras.training.data.radar_grid import Grid
from scs_keras.training.data.radar_write import FORMATS, check_format, write_forecast
from tests.radar_case import HEIGHT, OPERA, START, WIDTH, netcdf, odim, stamp, storm

RAIN = storm(7)
LATLON = Grid("+proj=longlat +datum=WGS84", (HEIGHT, WIDTH), (0.02, 0.01), (5.0, 50.0))
STEREO = Grid(
    "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=0 +a=6378137 +b=6356752.3 +units=km", (HEIGHT, WIDTH), (1.0, 1.0), (0.0, -3650.0)
)  # fmt: skip
LAEA = Grid(OPERA, (HEIGHT, WIDTH), (2000.0, 2000.0), (1_000_000.0, -1_500_000.0))


def observed(grid=LAEA):
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[2] = False
    return RadarEvent(
        "a", RAIN[:4] * valid, valid, START + 300 * np.arange(4), 5.0, grid.km_per_pixel if grid else None, "ORG:247",
        grid=grid, reading="RATE in mm/h", notes=("One was missing.",),
    )  # fmt: skip


def forecast():
    random = np.random.default_rng(0)
    probability = np.sort(random.random((3, HEIGHT, WIDTH, 4)), axis=-1)[..., ::-1].astype("float32")
    return {"mean": 0.5 * RAIN[4:], "matched": RAIN[4:, ..., None], "probability": probability}


@pytest.mark.parametrize("grid", [LAEA, LATLON, STEREO], ids=["laea", "longlat", "stere"])
@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_read_back(tmp_path, format, grid):
    if format != "npz":
        pytest.importorskip("pyproj", reason="needs pyproj, of the extra radar")
    if format == "netcdf":
        pytest.importorskip("h5netcdf", reason="needs h5netcdf, of the extra radar")
    event, path = observed(grid), tmp_path / FORMATS[format][0]
    write_forecast(path, format, forecast(), event, "model")
    back = read_event(path)
    np.testing.assert_allclose(back.rain_mm_h, RAIN[4:] * event.valid, rtol=1e-6)
    np.testing.assert_array_equal(back.valid, event.valid)
    np.testing.assert_array_equal(back.times, START + 1200 + 300 * np.arange(3))
    assert back.step_minutes == 5 and back.km_per_pixel == pytest.approx(grid.km_per_pixel, rel=1e-3)
    assert "model from a.npz (RATE in mm/h); One was missing." in back.source
    if format == "npz":
        return
    for one, other in zip(back.grid.centres(), grid.centres()):
        np.testing.assert_allclose(one, other, atol=1e-4 * grid.pixel[0] * WIDTH)
    for name, corner in grid.lon_lat_corners().items():
        np.testing.assert_allclose(back.grid.lon_lat_corners()[name], corner, atol=1e-5)


def test_netcdf_is_cf(tmp_path):
    xarray = pytest.importorskip("xarray", reason="needs xarray, of the extra radar")
    pyproj = pytest.importorskip("pyproj", reason="needs pyproj, of the extra radar")
    write_forecast(tmp_path / "f.nc", "netcdf", forecast(), observed())
    with xarray.open_dataset(tmp_path / "f.nc", engine="h5netcdf") as file:
        assert file.attrs["Conventions"] == "CF-1.8" and file.attrs["institution"] == "ORG:247"
        assert list(file.time.values.astype("datetime64[s]").astype("int64")) == [
            START + 1200,
            START + 1500,
            START + 1800,
        ]
        assert file.forecast_reference_time.values.astype("datetime64[s]").astype("int64") == START + 900
        rain, probability = file.rainfall_rate_matched, file.probability
        assert (rain.dims, rain.units, rain.standard_name) == (("time", "y", "x"), "mm h-1", "rainfall_rate")
        assert np.isnan(rain[:, 2]).all() and not np.isnan(rain[:, 3:]).any()  # no data and no rain differ
        np.testing.assert_allclose(file.rainfall_rate_mean[:, 3:], 0.5 * RAIN[4:, 3:], rtol=1e-6)
        np.testing.assert_array_equal(probability.threshold, [0.5, 2, 5, 10])
        expected = np.moveaxis(forecast()["probability"], -1, 0)
        probability = probability.transpose("threshold", "time", "y", "x")
        assert np.isnan(probability[:, :, 2]).all() and probability.encoding["dtype"] == "int8"
        np.testing.assert_allclose(probability[:, :, 3:], expected[:, :, 3:], atol=0.0025 + 1e-6)
        assert pyproj.CRS.from_cf(file.crs.attrs).to_cf()["grid_mapping_name"] == "lambert_azimuthal_equal_area"
        assert rain.attrs["grid_mapping"] == "crs"
        there = LAEA.centres()[0][7], LAEA.centres()[1][5]  # a place by longitude and latitude, as the docs have it
        lon_lat = pyproj.Proj(OPERA)(*there, inverse=True)
        x, y = pyproj.Proj(file.crs.attrs["proj4"])(*lon_lat)
        at_place = probability.sel(threshold=0.5).sel(x=x, y=y, method="nearest")
        np.testing.assert_array_equal(at_place, probability[0, :, 5, 7])
    mean = read_event(tmp_path / "f.nc", Reading(variable="rainfall_rate_mean"))
    np.testing.assert_allclose(mean.rain_mm_h[:, 3:], 0.5 * RAIN[4:, 3:], rtol=1e-6)


def test_netcdf_packs_probabilities(tmp_path):
    """0 and 1 exactly, others to the nearest 0.5 %, a byte each before compression."""
    xarray = pytest.importorskip("xarray", reason="needs xarray, of the extra radar")
    pytest.importorskip("pyproj", reason="needs pyproj, of the extra radar")
    made = forecast()
    made["probability"][0, 3] = 0
    made["probability"][1, 3] = 1
    write_forecast(tmp_path / "f.nc", "netcdf", made, observed())
    with xarray.open_dataset(tmp_path / "f.nc", engine="h5netcdf") as file:
        assert (file.probability[:, 0, 3] == 0).all() and (file.probability[:, 1, 3] == 1).all()
        assert file.probability.attrs["comment"] == "packed to the nearest 0.005"
    with xarray.open_dataset(tmp_path / "f.nc", engine="h5netcdf", mask_and_scale=False) as file:
        packed = file.probability
        assert packed.dtype == "int8" and (packed[:, :, 2] == packed.attrs["_FillValue"]).all()
        assert set(np.unique(packed[:, :, 3:])) <= set(range(-100, 101))  # no value is the mark of no data
    with h5py.File(tmp_path / "f.nc") as file:
        assert file["probability"].compression == "gzip" and file["probability"].dtype == "int8"


@pytest.mark.parametrize("size", [2.0, None])
def test_netcdf_without_a_projection(tmp_path, size):
    pytest.importorskip("h5netcdf", reason="needs h5netcdf, of the extra radar")
    event = RadarEvent("a", RAIN[:4], np.ones((HEIGHT, WIDTH), bool), START + 300 * np.arange(4), 5.0, size)
    write_forecast(tmp_path / "f.nc", "netcdf", {"model": RAIN[4:]}, event)
    back = read_event(tmp_path / "f.nc")
    np.testing.assert_array_equal(back.rain_mm_h, RAIN[4:])
    assert back.km_per_pixel == size and (back.grid is None) == (size is None)


def test_odim_has_a_dataset_for_each_lead(tmp_path):
    write_forecast(tmp_path / "f.h5", "odim", forecast(), observed())
    assert read_event(tmp_path / "f.h5").notes == ("Of several images of one time the first is read.",)
    with h5py.File(tmp_path / "f.h5") as file:
        assert file.attrs["Conventions"] == b"ODIM_H5/V2_4" and file["what"].attrs["object"] == b"COMP"
        assert (file["what"].attrs["date"], file["what"].attrs["time"]) == (b"20180824", b"181500")
        assert file["where"].attrs["projdef"] == OPERA.encode() and file["where"].attrs["xsize"] == WIDTH
        assert sorted(file) == ["dataset1", "dataset2", "dataset3", "how", "what", "where"]
        for lead, time in enumerate((b"182000", b"182500", b"183000")):
            dataset = file[f"dataset{lead + 1}"]
            assert dataset["what"].attrs["endtime"] == time and dataset["what"].attrs["product"] == b"COMP"
            for number, task, factor in ((1, b"matched", 1), (2, b"mean", 0.5)):
                data = dataset[f"data{number}"]
                assert data["how"].attrs["task"] == task and data["what"].attrs["quantity"] == b"RATE"
                raw, rain = data["data"][()], RAIN[4 + lead]
                assert raw.dtype == "float32" and (raw[2] == data["what"].attrs["nodata"]).all()
                wet, rest = rain[3:] > 0, raw[3:]
                np.testing.assert_allclose(rest[wet], factor * rain[3:][wet], rtol=1e-6)
                assert (rest[~wet] == data["what"].attrs["undetect"]).all()


def test_npz_holds_every_product(tmp_path):
    write_forecast(tmp_path / "f.npz", "npz", forecast(), observed())
    with np.load(tmp_path / "f.npz", allow_pickle=False) as file:
        assert set(file) == {
            "rain", "valid", "times", "step_minutes", "source", "km_per_pixel", "matched", "mean", "probability",
            "thresholds_mm_h",
        }  # fmt: skip
        np.testing.assert_array_equal(file["rain"], file["matched"])
        np.testing.assert_array_equal(file["probability"][:, 3:], forecast()["probability"][:, 3:])


WRONG = {
    "mean must be of shape \\(3, 20, 24\\). Received: \\(2, 20, 24\\)": dict(mean=RAIN[5:]),
    "matched must be finite, 0 and more. Received: -1 to": dict(matched=RAIN[4:] - 1),
    "matched must be finite, 0 and more. Received: nan to nan": dict(matched=np.full_like(RAIN[4:], np.nan)),
    "probability must be in \\[0, 1\\]. Received: 2 to 2": dict(probability=np.full((3, HEIGHT, WIDTH, 4), 2.0)),
    "There is no product 'median'": dict(median=RAIN[4:]),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_forecast_is_refused_before_anything_is_written(tmp_path, message):
    with pytest.raises(ValueError, match=message):
        write_forecast(tmp_path / "f.npz", "npz", forecast() | WRONG[message], observed())
    with pytest.raises(ValueError, match="forecast needs rain: one of matched, model, mean. Received: none"):
        write_forecast(tmp_path / "f.npz", "npz", {}, observed())
    assert not list(tmp_path.iterdir())


def test_formats_that_cannot_be_written():
    with pytest.raises(ValueError, match="There is no format 'grib'"):
        check_format("grib", observed())
    with pytest.raises(ValueError, match="a.npz says no projection, which ODIM needs. Write the forecast as npz or"):
        check_format("odim", observed(None))


# --- the command ------------------------------------------------------------------------------------------------------

PRESET = "scs_precipitation_advection_small_radar"


@pytest.mark.slow
def test_predict_reads_a_folder_of_one_format_and_writes_another(tmp_path, capsys):
    pytest.importorskip("h5netcdf", reason="needs h5netcdf, of the extra radar")
    rain, folder = storm(6, 64, 64), tmp_path / "radar"
    folder.mkdir()
    for index in (0, 1, 2, 4, 5):
        odim(folder / f"{stamp(index)}.h5", rain[index], index, "DBZH")
    arguments = ["predict", PRESET, "--input", str(folder), "--output", str(tmp_path / "out"), "--steps", "2"]
    cli.main([*arguments, "--format", "netcdf", "--zr", "300,1.4"])
    said = capsys.readouterr().out
    assert "radar: DBZH in dBZ, Z = 300 R^1.4." in said and "forecast.nc, " in said
    assert "radar: Missing and filled along the flow: the image of 2018-08-24 18:15." in said
    back = read_event(tmp_path / "out" / "forecast.nc")
    assert back.rain_mm_h.shape == (2, 64, 64) and back.times[0] == START + 6 * 300
    assert "+lat_0=55" in back.grid.projection and "Z = 300 R^1.4" in back.source and PRESET in back.source
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["forecast.gif", "forecast.nc", "forecast.png"]


def test_a_format_that_cannot_be_written_shows_before_the_work(tmp_path):
    pytest.importorskip("h5netcdf", reason="needs h5netcdf, of the extra radar")
    netcdf(tmp_path / "a.nc", storm(6, 32, 32))
    with pytest.raises(SystemExit, match="a.nc says no projection, which ODIM needs"):
        cli.main(
            [
                "predict",
                PRESET,
                "--input",
                str(tmp_path / "a.nc"),
                "--output",
                str(tmp_path / "out"),
                "--format",
                "odim",
            ]
        )
    with pytest.raises(SystemExit, match="zr must be a,b of .*--zr 300,1.4. Received: '3'"):
        cli.main(["predict", PRESET, "--input", str(tmp_path / "a.nc"), "--output", str(tmp_path / "out"), "--zr", "3"])
    assert not (tmp_path / "out").exists()
