"""The structure of a network as data: stages, and the papers' tables."""

from dataclasses import dataclass
from typing import Any

from scs_keras.core.arguments import is_integer


@dataclass(frozen=True)
class Stage:
    """A run of SCS layers with the same number of filters.

    Attributes:
        filters: channels of every layer.
        layers: number of layers.
        kernel_size: odd integer.
        strides: of the first layer.
        shortcut_every: a residual line over every so many layers (2 in Tab. 1); None for a plain stack.
        pool: size of a max-pooling with stride 2 after the stage, in all three streams; None for none.
    """

    filters: int
    layers: int = 1
    kernel_size: int = 3
    strides: int = 1
    shortcut_every: int | None = None
    pool: int | None = None


def plain(*filters: int) -> tuple[Stage, ...]:
    """A plain stack, one layer for each number of filters (Tab. 4)."""
    return tuple(Stage(each) for each in filters)


VARIANTS = {
    # Tab. 1: the stand-alone network of action recognition and steering, shaped like ResNet-18.
    "resnet_17": (
        Stage(64, kernel_size=7, strides=2, pool=3),
        Stage(64, layers=4, shortcut_every=2),
        Stage(128, layers=4, strides=2, shortcut_every=2),
        Stage(256, layers=4, strides=2, shortcut_every=2),
        Stage(512, layers=4, strides=2, shortcut_every=2),
    ),
    # Tab. 4: outline annotation.
    "plain_2": plain(64, 8),
    "plain_5": plain(128, 128, 64, 32, 8),
    "plain_10": plain(*[128] * 5, *[64] * 3, 32, 8),
    "plain_15": plain(*[256] * 2, *[128] * 4, *[64] * 6, *[32] * 2, 8),
}
_EARLIER_NAMES = {"action_17": "resnet_17", **{f"outline_{count}": f"plain_{count}" for count in (2, 5, 10, 15)}}


def as_stages(structure: Any) -> tuple[Stage, ...]:
    """A variant's name, a list of filters, or a list of stages (or their dicts), as a tuple of stages.

    Raises:
        ValueError: if it is none of these.
    """
    if isinstance(structure, str):
        structure = _EARLIER_NAMES.get(structure, structure)
        if structure not in VARIANTS:
            raise ValueError(
                f"Unknown network variant. Allowed: {', '.join(VARIANTS)}, a list of filters such as "
                f"[64, 32], or a list of Stage(...). Received: {structure!r}."
            )
        return VARIANTS[structure]
    if not isinstance(structure, (list, tuple)):
        raise ValueError(
            "A network is a variant's name, a list of filters or a list of stages. "
            f"Received: {structure!r}. For example: [64, 32]."
        )
    stages = []
    for item in structure:
        if is_integer(item):
            item = Stage(int(item))
        elif isinstance(item, dict):
            item = Stage(**item)
        if not isinstance(item, Stage):
            raise ValueError(
                "A network is a list of filters or stages. Allowed items: int, Stage, dict. "
                f"Received: {item!r} in {structure!r}. For example: [64, Stage(32, layers=4)]."
            )
        if item.shortcut_every and item.layers % item.shortcut_every:
            raise ValueError(
                "`layers` of a stage must be a multiple of `shortcut_every`. "
                f"Received: {item}. For example: layers={item.shortcut_every * item.layers}."
            )
        stages.append(item)
    if not stages:
        raise ValueError("A network needs at least one stage. Received: an empty list. For example: [64, 32].")
    return tuple(stages)


def check_valid_padding(stages: tuple[Stage, ...]) -> None:
    """Raises ValueError if padding="valid" would make the frames of a block smaller than its residual line's."""
    for stage in stages:
        if stage.shortcut_every and stage.kernel_size != 1:
            raise ValueError(
                "A residual line adds a block's input to its output, which padding='valid' makes smaller. Allowed: "
                f"padding='same', or stages without `shortcut_every`. Received: padding='valid', {stage}."
            )
