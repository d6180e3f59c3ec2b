"""A generated driving world in which it is known how much a single frame can tell (Sec. 5.7, Tab. 6).

A car comes up to one of four kinds of road and is steered to one of its ways: 15 degrees to the left, straight on, or
15 to the right. The way is told early: by a sign that the car passes, or by a drift towards one of three lanes and back
to the middle. Neither is in the last frame, which shows of the way itself

    straight     all: where the road leads
    curve        nearly all: the bend, unless a crest hides it, as in one of four
    T-junction   nothing: left or right, one of 2
    crossroads   nothing: left, ahead or right, one of 3

In the control world sign and drift stay in view to the last frame, which then shows everything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scs_keras.training.driving.world_view import LANE, NOISE, View

FRAMES = 7
ANGLE = 15.0  # degrees, of a way to the right
WAYS = {"straight": (-1, 0, 1), "curve": (-1, 1), "T-junction": (-1, 1), "crossroads": (-1, 0, 1)}
ROADS = tuple(WAYS)
CREST_EVERY = 4  # of the curves one in so many lies behind a crest
COUNT = 960  # of all roads, ways and crests equally many
# By frame: the depth of the sign in metres, the share of a lane that the car has drifted, how much of the road's own
# shape is in view. The last two frames show neither sign nor drift, except in the control world.
GONE = np.inf
SIGN_DEPTH = (5.0, 4.0, 3.0, 2.0, GONE, GONE, GONE)
DRIFT = (0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0)
CONTROL_SIGN_DEPTH = (8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0)
CONTROL_DRIFT = (0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0)
SHAPE = (0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0)
YAW, BEND = 0.5, 0.06
STOP, SPEED = 2.2, 1.0  # metres to the junction in the last frame, and that the car goes from frame to frame


def best_single_frame(road: str, control: bool = False) -> float:
    """The largest expected share of right ways of whoever sees the last frame alone."""
    if control or road == "straight":
        return 1.0
    by_chance = 1 / len(WAYS[road])
    return 1 - (1 - by_chance) / CREST_EVERY if road == "curve" else by_chance


def nearest_way(road: str, degrees: Any) -> np.ndarray:
    """Of the ways of a road that whose angle is nearest: int array of -1, 0, 1, in the shape of `degrees`."""
    ways = np.array(WAYS[road])
    return ways[np.abs(np.asarray(degrees)[..., None] - ANGLE * ways).argmin(axis=-1)]


@dataclass(frozen=True)
class Drives:
    """Drawn drives; arrays (count,).

    Attributes:
        road: place among `ROADS`.
        way: -1, 0 or 1.
        crest: whether a crest hides the road of the last frames.
        signed: whether a sign tells the way; otherwise the drift.
        side: -1 or 1, of the road on which the sign stands.
        start: metres, moves the lane marks.
        colours: (count, 3, 3), of sky, grass and asphalt.
        seed: of the noise.
    """

    road: np.ndarray
    way: np.ndarray
    crest: np.ndarray
    signed: np.ndarray
    side: np.ndarray
    start: np.ndarray
    colours: np.ndarray
    seed: tuple[int, ...]

    @classmethod
    def drawn(cls, places: np.ndarray, seed: Sequence[int]) -> "Drives":
        """Those at places of an endless sequence in which roads, ways and crests take turns; all else is drawn."""
        random, count = np.random.default_rng([*seed, 0]), len(places)
        road, turn = places % len(ROADS), places // len(ROADS)
        way = np.array([WAYS[ROADS[each]][number % len(WAYS[ROADS[each]])] for each, number in zip(road, turn)])
        crest = (road == ROADS.index("curve")) & (turn // 2 % CREST_EVERY == 0)
        colours = np.array([(160, 185, 220), (70, 125, 60), (105, 105, 105)]) + random.uniform(-20, 20, (count, 3, 3))
        colours = colours * random.uniform(0.8, 1.1, (count, 1, 1))
        signed, side = random.integers(2, size=count) == 1, 2 * random.integers(2, size=count) - 1
        return cls(
            road, way, crest, signed, side, random.uniform(0, 1.5, count), colours.astype("float32"), tuple(seed)
        )

    @property
    def degrees(self) -> np.ndarray:
        """Steering of the last frame, float32, to the right positive."""
        return (ANGLE * self.way).astype("float32")

    def frames(self, height: int = 32, width: int = 96, control: bool = False) -> np.ndarray:
        """uint8 RGB (count, FRAMES, height, width, 3)."""
        random = np.random.default_rng([*self.seed, 1])
        made = np.empty((len(self.road), FRAMES, height, width, 3), "uint8")
        for time in range(FRAMES):
            noise = random.integers(-NOISE, NOISE + 1, (len(self.road), height, width, 1), "int8")
            made[:, time] = np.clip(self.view(time, control).pixels(height, width) + noise, 0, 255)
        return made

    def view(self, time: int, control: bool = False) -> View:
        """What the camera sees at a frame. Of what the last one shows, only the road's own shape depends on the way."""
        kind = {name: self.road == index for index, name in enumerate(ROADS)}
        shape, left = SHAPE[time] * self.way, FRAMES - 1 - time
        depth = (CONTROL_SIGN_DEPTH if control else SIGN_DEPTH)[time]
        drift = (CONTROL_DRIFT if control else DRIFT)[time]
        sky, grass, asphalt = self.colours.swapaxes(0, 1)
        return View(
            offset=np.where(self.signed, 0.0, drift * LANE * self.way),
            yaw=np.where(kind["straight"], YAW * shape, 0.0),
            bend=np.where(kind["curve"] & ~self.crest, BEND * shape, 0.0),  # or it begins beyond the crest
            junction=np.where(kind["T-junction"] | kind["crossroads"], STOP + SPEED * left, np.inf),
            ends=kind["T-junction"],
            crest=self.crest & (SHAPE[time] > 0),
            travelled=self.start + SPEED * time,
            sign=np.where(self.signed, depth, np.inf),
            side=self.side,
            arrow=self.way,
            sky=sky,
            grass=grass,
            asphalt=asphalt,
        )


class World:
    """Drives of the generated world, see `scs_keras.training.samples.Samples`. Training never shows one twice.

    Args:
        shape: (time, height, width, channels) of x: `FRAMES`, any size, 3.
        split: "train", "val" or "test"; their sequences differ.
        control: whether the last frame shows everything.
        seed: of the evaluation samples.
        count: number of evaluation samples.

    Raises:
        ValueError: for another number of frames or channels, or an unknown split.
    """

    labels: tuple[str, ...] = ()

    def __init__(
        self,
        shape: tuple[int, ...] = (FRAMES, 32, 96, 3),
        split: str = "train",
        control: bool = False,
        seed: int = 0,
        count: int = COUNT,
    ):
        shape = tuple(shape)
        if len(shape) != 4 or (shape[0], shape[-1]) != (FRAMES, 3):
            raise ValueError(
                f"A drive of the generated world is {FRAMES} frames of RGB, since the way is told in the first ones. "
                f"Received: shape={shape}. For example: shape=({FRAMES}, 32, 96, 3)."
            )
        splits = ("train", "val", "test")
        if split not in splits:
            raise ValueError(f"`split` must be one of {splits}. Received: split={split!r}.")
        self.shape, self.control, self._part = shape, control, splits.index(split)
        self.name = f"generated world{', control' if control else ''}, {split}"
        self.drives = Drives.drawn(np.arange(count), (seed, self._part, 0))
        self._frames: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.drives.road)

    @property
    def frames(self) -> np.ndarray:
        """x of all evaluation samples, uint8 (count, time, height, width, 3)."""
        if self._frames is None:
            self._frames = self.drives.frames(*self.shape[1:3], self.control)
        return self._frames

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, None]:
        """(x, y, None): frames, and the steering of the last one in degrees, float32 (1,)."""
        return self.frames[index], self.drives.degrees[index : index + 1], None

    def about(self, index: int) -> Mapping[str, Any]:
        """name, group, road, and cue: "sign" or "drift"."""
        road = ROADS[self.drives.road[index]]
        return dict(name=f"{road} {index}", group=road, road=road, cue="sign" if self.drives.signed[index] else "drift")

    def batch(self, step: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) of a training step: uint8 (size, time, height, width, 3) and degrees, float32 (size, 1)."""
        drives = Drives.drawn(np.arange(step * size, (step + 1) * size), (seed, self._part, step + 1))
        return drives.frames(*self.shape[1:3], self.control), drives.degrees[:, None]
