"""From what radar files hold to rain in mm/h: units, reflectivity, accumulations, and what a user says of them."""

import re
from dataclasses import dataclass

import numpy as np

from scs_keras.zoo.radar_units import MARSHALL_PALMER_A, MARSHALL_PALMER_B
from scs_keras.zoo.words import words

_MM = {"mm": 1, "cm": 10, "m": 1000, "in": 25.4, "inch": 25.4, "inches": 25.4, "kg m-2": 1}
_MINUTES = {"s": 1 / 60, "sec": 1 / 60, "min": 1, "h": 60, "hr": 60, "hour": 60, "d": 1440, "day": 1440}
_UNIT = re.compile(
    r"(?:(?P<factor>\d*\.?\d+(?:e-?\d+)?) ?)?(?P<what>dbz|mm6 m-3|mm6/m3|kg m-2|kg/m2|mm|cm|m|inches|inch|in)"
    r"(?: ?/ ?(?P<count>\d*\.?\d+)? ?(?P<per>sec|s|min|hour|hr|h|day|d)| (?P<power>sec|s|min|hour|hr|h|day|d)-1)?"
)
_LOWEST_DBZ = -100.0  # below it, -999 and the like mark what was not measured
_NOISE = -0.01  # mm/h: rounding of packed numbers
EXAMPLES = "dBZ, mm/h, mm/5min, mm (since the image before), 0.01 mm/h"


def typed_as(name: str, value: str) -> str:
    """How a user says a part of `Reading`."""
    return words(f"Reading({name}={value!r})", f"--{name} {value}", train=f"--set {name}={value}")


@dataclass(frozen=True)
class Unit:
    """A unit of what radar files hold.

    Attributes:
        kind: "dBZ", "Z" (mm6 m-3), "rate" or "amount" of rain since the image before.
        factor: to dBZ, mm6 m-3, mm/h or mm.
    """

    kind: str
    factor: float = 1.0


def unit_of(text: str) -> Unit | None:
    """The unit that a text says, e.g. "mm h-1", "kg m-2 s-1", "mm/5min", "dBZ"; None if it says none of rain."""
    plain = re.sub(r"\*\*|\^", "", text.strip().lower())
    plain = re.sub(r"\s+", " ", re.sub(r"(?<=[a-z2])[.·](?=[a-z])", " ", plain))
    found = _UNIT.fullmatch(plain)
    if found is None:
        return None
    factor, what = float(found["factor"] or 1), found["what"].replace("kg/m2", "kg m-2")
    per = found["per"] or found["power"]
    if what not in _MM:
        kind = "dBZ" if what == "dbz" else "Z"
        return None if per else Unit(kind, factor)
    if per is None:
        return Unit("amount", factor * _MM[what])
    return Unit("rate", factor * _MM[what] * 60 / (float(found["count"] or 1) * _MINUTES[per]))


@dataclass(frozen=True)
class Reading:
    """What a user says of radar files in place of what the files say. Every text may be "".

    Attributes:
        zr: "a,b" of Z = a R^b, for example "300,1.4".
        unit: of the numbers in the file, e.g. "dBZ", "mm/h", "mm/5min", "0.01 mm"; "mm" is since the image before.
        variable: name of the variable, or quantity, to read.
        importer: name of an importer of pysteps, with its arguments: "mch_gif,product=AQC,unit=mm,accutime=5".

    Raises:
        ValueError: for a Z-R or unit that is none.
    """

    zr: str = ""
    unit: str = ""
    variable: str = ""
    importer: str = ""

    def __post_init__(self):
        _ = self.zr_given, self.unit_given

    @property
    def unit_given(self) -> Unit | None:
        """None if not said."""
        unit = unit_of(self.unit)
        if self.unit and unit is None:
            raise ValueError(f"unit must be a unit of rain or reflectivity: {EXAMPLES}. Received: {self.unit!r}.")
        return unit

    @property
    def zr_given(self) -> tuple[float, float] | None:
        """(a, b), None if not said."""
        if not self.zr:
            return None
        try:
            a, b = map(float, self.zr.split(","))
        except ValueError:
            a = b = 0.0
        if not (a > 0 and b > 0):
            raise ValueError(
                f"zr must be a,b of Z = a R^b, both above 0: {typed_as('zr', '300,1.4')}. Received: {self.zr!r}."
            )
        return a, b


def to_rain(
    values: np.ndarray, unit: Unit, said: str, reading: Reading, zr: tuple[float, float] | None = None
) -> tuple[np.ndarray, list[str], str]:
    """Rain of physical values.

    Args:
        values: in the unit, NaN where nothing was measured.
        unit: of the values.
        said: the quantity, for the record.
        reading: of the user, whose Z-R comes first.
        zr: (a, b) that the file says; None: Z = 200 R^1.6.

    Returns:
        (float32 mm/h, or mm for an amount since the image before, NaN where nothing was measured; notes; the record).
    """
    values = np.asarray(values, "float32") * np.float32(unit.factor)
    if unit.kind in ("rate", "amount"):
        unit_name = {"rate": "mm/h", "amount": "mm since the image before"}[unit.kind]
        return *_without_negative(values), f"{said} in {unit_name}"
    if unit.kind == "Z":
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(values > 0, 10 * np.log10(values), np.where(values == 0, -32, np.nan)).astype("float32")
    a, b = reading.zr_given or zr or (MARSHALL_PALMER_A, MARSHALL_PALMER_B)
    with np.errstate(over="ignore"):
        rain = (10 ** (values / 10) / np.float32(a)) ** np.float32(1 / b)
    codes = values < _LOWEST_DBZ
    notes = [f"Reflectivity below {_LOWEST_DBZ:g} dBZ is taken as no data."] if codes.any() else []
    return np.where(codes, np.nan, rain).astype("float32"), notes, f"{said} in dBZ, Z = {a:g} R^{b:g}"


def _without_negative(rain):
    """Rain is never negative: rounding is 0, the rest (-1, -3, -999) marks what was not measured, and is said."""
    with np.errstate(invalid="ignore"):
        codes = np.unique(rain[rain < _NOISE])
        rain = np.where(rain < _NOISE, np.nan, np.maximum(rain, 0)).astype("float32")
    shown = ", ".join(f"{code:g}" for code in codes[:3]) + (", ..." if len(codes) > 3 else "")
    return rain, [f"Negative numbers ({shown}) are taken as no data."] if codes.size else []


def without_largest(raw: np.ndarray) -> np.ndarray:
    """bool, of raw's shape: pixels that hold the largest value of an integer type, which is never rain."""
    if raw.dtype.kind not in "iu":
        return np.zeros(raw.shape, bool)
    return raw == np.iinfo(raw.dtype).max
