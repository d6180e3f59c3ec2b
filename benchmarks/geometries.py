"""Moving geometries (Fig. 2a): what a sequence shows and what is asked of it, in NumPy.

A frame has one geometry of 7x7 pixels on 24x24, plus noise. It starts anywhere and moves straight on, 2 pixels a
frame; what leaves on one side enters on the other, so that no single frame tells the direction. In a *disordered*
sequence it is somewhere else in every frame.
"""

from dataclasses import dataclass

import numpy as np

SIZE = 24  # pixels of a frame's side
FRAMES = 8
SPEED = 2  # pixels a frame
DIRECTIONS = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}
GEOMETRIES = {
    "square": ("1111111", "1000001", "1000001", "1000001", "1000001", "1000001", "1111111"),
    "triangle": ("0001000", "0001000", "0010100", "0010100", "0100010", "0100010", "1111111"),
    "cross": ("0001000", "0001000", "0001000", "1111111", "0001000", "0001000", "0001000"),
    "rhombus": ("0001000", "0010100", "0100010", "1000001", "0100010", "0010100", "0001000"),
}
ALL = tuple(np.ndindex(len(GEOMETRIES), len(DIRECTIONS)))


@dataclass(frozen=True)
class Task:
    """What is asked, what is shown in training, and what else in the test.

    Attributes:
        label: "direction" or "geometry".
        seen, unseen: (geometry, direction) of the sequences in training, and of those never seen.
        disordered: whether the unseen sequences are disordered.
        noise: standard deviation of the noise on a pixel; the geometry itself is 1 on 0.
        examples: number of training sequences; None: every batch is new.
    """

    label: str
    seen: tuple = ALL
    unseen: tuple = ALL
    disordered: bool = False
    noise: float = 0.1
    examples: int | None = None

    def batch(self, seed, step, size):
        """(frames, labels) of a step of the training: a function of the arguments alone."""
        if self.examples is None:
            return self.sequences(size, seed, step + 1)
        frames, labels = self.sequences(self.examples, seed)
        chosen = np.random.default_rng([seed, step]).integers(self.examples, size=size)
        return frames[chosen], labels[chosen]

    def test(self, seed, count, seen):
        """(frames, labels) that no training has, of the seen or the unseen kind."""
        return self.sequences(count, 1000 + seed, int(seen), seen)

    def sequences(self, count, seed, step=0, seen=True):
        """(frames, labels): float32 (count, FRAMES, SIZE, SIZE, 1), int32 (count,)."""
        random = np.random.default_rng([seed, step])
        kinds = np.array(self.seen if seen else self.unseen)
        geometry, direction = kinds[random.integers(len(kinds), size=count)].T
        along = np.array([*DIRECTIONS.values()])[direction][:, None] * SPEED * np.arange(FRAMES)[:, None]
        corner = random.integers(SIZE, size=(count, 1, 2)) + along  # (count, FRAMES, 2)
        if self.disordered and not seen:
            corner = random.integers(SIZE, size=corner.shape)
        frames = draw(geometry, corner) + self.noise * random.standard_normal((count, FRAMES, SIZE, SIZE), "float32")
        label = {"geometry": geometry, "direction": direction}[self.label]
        return frames[..., None].astype("float32"), label.astype("int32")

    def matched(self, frames):
        """Labels of (count, FRAMES, SIZE, SIZE, 1) by correlation, nothing learnt: what the task takes if it is known.

        The direction by each frame's correlation with the one before, moved by `SPEED` each way; the geometry by the
        best correlation of each frame with each geometry, anywhere.
        """
        spectra = np.fft.fft2(frames[..., 0])
        if self.label == "direction":
            products = np.fft.ifft2(spectra[:, 1:] * np.conj(spectra[:, :-1])).real.sum(axis=1)
            return np.stack([products[:, SPEED * y, SPEED * x] for y, x in DIRECTIONS.values()]).argmax(axis=0)
        images = draw(np.arange(len(GEOMETRIES)), np.zeros((len(GEOMETRIES), 1, 2), int))[:, 0]
        images = images - images.mean(axis=(1, 2), keepdims=True)
        images /= np.linalg.norm(images, axis=(1, 2), keepdims=True)
        products = [np.fft.ifft2(spectra * np.conj(np.fft.fft2(image))).real for image in images]
        return np.stack([each.max(axis=(2, 3)).mean(axis=1) for each in products]).argmax(axis=0)


def draw(geometry, corner):
    """Frames (count, time, SIZE, SIZE) with each sequence's geometry, its upper left corner at (count, time, 2)."""
    images = np.zeros((len(GEOMETRIES), SIZE, SIZE), "float32")
    for image, rows in zip(images, GEOMETRIES.values()):
        image[: len(rows), : len(rows[0])] = [list(map(int, row)) for row in rows]
    row, column = (np.arange(SIZE) - corner[..., axis, None] for axis in (0, 1))  # (count, time, SIZE)
    return images[geometry[:, None, None, None], row[..., None] % SIZE, column[..., None, :] % SIZE]


def unseen_geometry(held_out, **options):
    """The direction; one geometry is not shown in training."""
    seen = tuple(kind for kind in ALL if kind[0] != held_out)
    return Task("direction", seen, tuple(kind for kind in ALL if kind[0] == held_out), **options)


def disordered_motion(**options):
    """Which geometry it is; in training it moves straight on."""
    return Task("geometry", disordered=True, **options)


def unseen_pairs(**options):
    """The direction; in training each geometry moves in two of the four, each direction is taken by two."""
    seen = tuple((geometry, direction) for geometry, direction in ALL if (direction - geometry) % 4 < 2)
    return Task("direction", seen, tuple(kind for kind in ALL if kind not in seen), **options)
