"""The shapes of a preset's input and output; no backend is imported for them."""

from collections.abc import Mapping
from typing import Any


def shapes(arguments: Mapping[str, Any]) -> tuple[dict[str, tuple[int, ...]], tuple[int, ...]]:
    """(input shapes by name, output shape), from the arguments of the builder."""
    steps, grid, size = (arguments[name] for name in ("steps", "grid", "image_size"))
    return {"image": (*size, 3), "vertices": (steps, 3)}, (steps, grid**2 + 1)
