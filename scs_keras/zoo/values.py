"""What the numbers are that a model takes and gives where it is used: their type, range, unit and layout."""

from dataclasses import dataclass

SEQUENCE = ("batch", "time", "height", "width", "channels")


@dataclass(frozen=True)
class Values:
    """The numbers of one input or output, before `preprocess` or after `postprocess`.

    Attributes:
        dtype: "uint8" for pictures, else "float32".
        low, high: smallest and largest value; None where there is no limit.
        unit: for example "mm/h".
        layout: names of the axes.
        note: what else one must know, a sentence.
        gap: no value lies between 0 and this: what is weaker is 0.
        ranked: the values are those of another image, put where this one has its ranks: of two that hardly differ
            either may come first.
        looks_back: whether `preprocess` looks at the frame before each: a stream must keep it.
    """

    dtype: str = "float32"
    low: float | None = None
    high: float | None = None
    unit: str = ""
    layout: tuple[str, ...] = SEQUENCE
    note: str = ""
    gap: float = 0.0
    ranked: bool = False
    looks_back: bool = False


PIXELS = Values("uint8", 0, 255, "grey or colour value")
RAIN = Values(
    "float32", 0.0, None, "mm/h",
    note="What is not a number was not measured and is taken as dry; below 0.036 mm/h is dry, above 865 mm/h is 865.",
    gap=0.051,
)  # fmt: skip
CELSIUS = Values("float32", None, None, "degrees C")
PROBABILITIES = Values("float32", 0.0, 1.0, "probability", layout=("batch", "classes"))
