"""What the camera of the generated world sees: a flat road in perspective, drawn pixel by pixel in NumPy.

A pixel below the horizon is a place on the ground: `depth` lies ahead of the car, `across` beside it, in metres.
"""

from dataclasses import dataclass

import numpy as np

HORIZON = 10.0  # rows above it, of 32
FOCAL = 40.0  # columns to a metre at a depth of one metre, of 96
HEIGHT = 24.0 / FOCAL  # of the camera, metres
HALF, LANE, MARK = 1.5, 1.0, 0.06  # half the road, a lane, half a lane mark, metres
WIDE = 3.0  # of the road across at a junction, metres
CREST = 3.0  # depth beyond which a crest hides the road
SIGN, ASIDE = 1.0, 1.9  # side of a sign, and its distance from the middle of the road, metres
NOISE = 12  # of 255, the largest change of a pixel
MARKS, PLATE, ARROW = (230, 230, 220), (40, 80, 200), (250, 250, 250)
SKY, GRASS, PLATE_PLACE = 0, 1, 4  # places in the palette: sky, grass, asphalt, lane marks, plate and arrow of a sign
_RIGHT = ("00000000", "00001000", "00001100", "01111110", "01111110", "00001100", "00001000", "00000000")
_UP = ("00000000", "00011000", "00111100", "01111110", "00011000", "00011000", "00011000", "00000000")
_GLYPHS = np.array([[list(map(int, row)) for row in each] for each in ([row[::-1] for row in _RIGHT], _UP, _RIGHT)])


@dataclass(frozen=True)
class View:
    """What is in view of one frame of several drives; arrays (count,).

    Attributes:
        offset: of the car from the middle of the road, metres to the right.
        yaw: of the road, columns to a column of 40 that it leads to the right.
        bend: of the road, metres to the right at a depth of one metre; it grows with the square.
        junction: depth at which the road across begins; infinite where there is none.
        ends: whether the road ends there (a T-junction).
        crest: whether a crest hides what lies ahead.
        travelled: metres, moves the lane marks.
        sign: depth of the sign; infinite where none is in view.
        side: -1 or 1, of the road on which it stands.
        arrow: -1, 0 or 1, left, ahead, right.
        sky, grass, asphalt: colours (count, 3).
    """

    offset: np.ndarray
    yaw: np.ndarray
    bend: np.ndarray
    junction: np.ndarray
    ends: np.ndarray
    crest: np.ndarray
    travelled: np.ndarray
    sign: np.ndarray
    side: np.ndarray
    arrow: np.ndarray
    sky: np.ndarray
    grass: np.ndarray
    asphalt: np.ndarray

    def pixels(self, height: int, width: int) -> np.ndarray:
        """Colours, int16 (count, height, width, 3) in [0, 255], without noise."""
        rows = (np.arange(height, dtype="float32") + 0.5) * 32 / height - HORIZON
        columns = (np.arange(width, dtype="float32") + 0.5) * 96 / width - 48
        ground, count = int(np.searchsorted(rows, 0, "right")), len(self.offset)
        place = np.full((count, height, width), SKY, "int32")  # in the palette
        place[:, ground:] = self._ground(rows[ground:], columns)
        self._draw_sign(place, rows, columns)
        palette = np.empty((count, 6, 3), "int16")
        palette[:, :3] = np.stack([self.sky, self.grass, self.asphalt], axis=1)
        palette[:, 3:] = (MARKS, PLATE, ARROW)
        place += 6 * np.arange(count, dtype="int32")[:, None, None]
        return np.take(palette.reshape(-1, 3), place, axis=0)

    def _ground(self, rows, columns):
        """Places in the palette, (count, rows, columns)."""
        depth = (HEIGHT * FOCAL / rows).astype("float32")[:, None]  # (rows, 1)
        each = lambda values: np.asarray(values, "float32")[:, None, None]  # noqa: E731
        middle = each(self.yaw) * depth + each(self.bend) * depth**2 - each(self.offset)
        across = np.abs(columns * depth / FOCAL - middle)  # (count, rows, columns), metres from the middle of the road
        beyond = depth - each(self.junction)  # (count, rows, 1)
        hidden = (each(self.crest) > 0) & (depth > CREST)
        road = (across < HALF) & ~((beyond > 0) & (each(self.ends) > 0))
        dash = (beyond < 0) & ((depth + each(self.travelled)) % 1.5 < 1.0)
        marked = (np.abs(across - LANE / 2) < MARK * np.maximum(depth, 1)) & dash
        road |= (beyond > 0) & (beyond < WIDE)
        road &= ~hidden
        return GRASS + road.astype("int32") + (marked & road)

    def _draw_sign(self, place, rows, columns):
        seen = np.flatnonzero(np.isfinite(self.sign))
        depth = self.sign[seen].astype("float32")[:, None]
        size = FOCAL * SIGN / depth
        middle = FOCAL * (self.side[seen] * ASIDE - self.offset[seen])[:, None] / depth
        row = np.floor(rows / size * 8 + 4).astype("int32")  # the sign is as high as the camera
        column = np.floor((columns - middle) / size * 8 + 4).astype("int32")
        for index, arrow, down, along in zip(seen, self.arrow[seen], row, column):
            top, left = (np.flatnonzero((at >= 0) & (at < 8)) for at in (down, along))
            place[index, top[:, None], left] = PLATE_PLACE + _GLYPHS[arrow + 1][down[top][:, None], along[left]]
