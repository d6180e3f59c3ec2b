"""Outlines as samples: a crop of the image around each object, and its vertices as cells of the model's grid."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.training.data.threads import in_threads
from scs_keras.training.outline.cells import cells_of, pixels_of, points_of, settings_of, training_arrays
from scs_keras.training.outline.generated import MOST, Batch, generate
from scs_keras.training.outline.objects import OutlinedObject, by_class
from scs_keras.training.outline.pictures import Box, around, cropped, picture, pillow
from scs_keras.training.outline.polygons import box_of, clockwise, mirrored
from scs_keras.training.samples import shuffled
from scs_keras.zoo.outline.crops import Crop, crop_of, cut
from scs_keras.zoo.preset import Preset

WIDE = 0.4  # of the box on each side, what training crops are cut from
CACHE_MB = 512
SIMPLIFY = 1.0  # square cells


@dataclass(frozen=True)
class Drawing:
    """How training changes what it shows.

    Attributes:
        flip: whether half of the crops are mirrored.
        shift: by how much of the box each side of the crop moves, at most.
        jitter: largest change of brightness, contrast and colour, of 1.
        simplify: vertices whose triangle with their neighbours is not larger than this, in square cells, are left out
            of what is to be learnt.
        cache_mb: so many MB of decoded crops are kept.
        generated_steps: so many first steps show generated outlines alone.
        generated_share: after them, the share of a batch that is generated.
    """

    flip: bool = True
    shift: float = 0.08
    jitter: float = 0.2
    simplify: float = SIMPLIFY
    cache_mb: float = CACHE_MB
    generated_steps: int = 0
    generated_share: float = 0.0

    def __post_init__(self):
        limits = dict(shift=0.3, jitter=1.0, generated_share=1.0)
        for name, most in limits.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 0 to {most:g}. Received: {name}={getattr(self, name)}.")
        if min(self.simplify, self.cache_mb, self.generated_steps) < 0:
            raise ValueError(
                "simplify, cache_mb and generated_steps must be at least 0. Received: "
                f"simplify={self.simplify}, cache_mb={self.cache_mb}, generated_steps={self.generated_steps}."
            )


def samples_of(
    name: str, outlines: Sequence[OutlinedObject], preset: Preset, notes: Sequence[str] = (), **training: Any
) -> "OutlineSamples":
    """Samples of objects, for a model of the preset."""
    return OutlineSamples(name, outlines, *settings_of(preset), notes, Drawing(**training))


class OutlineSamples:
    """Objects of images, see `scs_keras.training.samples.Samples`.

    A crop is the box with a tenth of its width and height on each side, inside the image, stretched to `size`. For
    training its sides move, it may be mirrored, and any vertex may be the first.

    Args:
        name: of the data.
        outlines: one each sample; of an object in parts the first is learnt, all are scored.
        size: (height, width) of a crop.
        grid: cells along a side of it.
        limit: vertices at most.
        notes: what was left out or changed, sentences.
        drawing: how training changes what it shows.
    """

    def __init__(
        self, name: str, outlines: Sequence[OutlinedObject], size: tuple[int, int], grid: int, limit: int,
        notes: Sequence[str] = (), drawing: Drawing = Drawing(),
    ):  # fmt: skip
        self.name, self.outlines, self.size, self.grid, self.limit = name, list(outlines), size, grid, limit
        self.notes, self.drawing = tuple(notes), drawing
        self.labels = tuple(sorted(by_class(outlines)))
        self.file_names = tuple(dict.fromkeys(each.path.name for each in outlines))
        self._kept: dict[int, tuple[Any, Box]] = {}
        self._room = drawing.cache_mb * 1e6
        self[0]  # images that cannot be read must show before training starts

    def __len__(self) -> int:
        return len(self.outlines)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], Any, None]:
        """(x, y, None): x holds "image", the crop as `annotate` cuts it, (height, width, 3) float32 RGB in [0, 1]; y is
        the object's polygons in pixels of the image. The first vertex, which a user gives, is in `about`."""
        outline = self.outlines[index]
        crop = crop_of(_box(outline), outline.size)
        return {"image": cut(np.asarray(decoded(outline.path)), crop, self.size)}, outline.polygons, None

    def about(self, index: int) -> Mapping[str, Any]:
        """name, group (the image), label, path, size (height, width) of the image; box and crop (left, top, right,
        bottom); polygons; and first, the vertex [x, y] that a user gives: the middle of the cell of a true one."""
        outline = self.outlines[index]
        box = _box(outline)
        crop = crop_of(box, outline.size)
        cells = cells_of(_largest(outline), crop, self.grid, self.limit, self.drawing.simplify)
        return dict(
            name=outline.name, group=outline.path.name, label=outline.label, path=str(outline.path),
            size=outline.size, box=box, crop=crop, polygons=outline.polygons,
            first=pixels_of(cells[:1], crop, self.grid)[0],
        )  # fmt: skip

    def batch(self, step: int, size: int, seed: int) -> Any:
        """({"image", "vertices"}, targets, weights) of a training step, see `training_arrays`; every object once,
        shuffled, then again, and generated ones as `Drawing` says."""
        made = self.drawing
        share = 1.0 if step < made.generated_steps else made.generated_share
        count = int(round(share * size))
        parts = []
        if count:
            random = np.random.default_rng((seed, step, size))
            parts.append(generated_batch(count, self.size[0], self.grid, self.limit, made.simplify, random))
        if count < size:
            real = size - count
            order = shuffled(len(self), (step - made.generated_steps) * real, real, seed)
            drawn = in_threads(lambda place: self._drawn(order[place], (seed, step, place)), range(real))
            images, cells = (list(part) for part in zip(*drawn))
            images = jittered(np.stack(images), made.jitter, np.random.default_rng((seed, step)))
            parts.append((images, cells))
        images = np.concatenate([part[0] for part in parts])
        return training_arrays(images, [cells for part in parts for cells in part[1]], self.grid, self.limit)

    def _drawn(self, index, seed):
        """(crop, cells) of an object as training sees it."""
        random = np.random.default_rng(seed)
        outline, made = self.outlines[index], self.drawing
        whole, frame = self._wide(index)
        crop = moved(crop_of(_box(outline), outline.size), _box(outline), made.shift, random)
        crop = tuple(np.clip(crop, (frame[0], frame[1]) * 2, (frame[2], frame[3]) * 2))
        scale = np.array([whole.width / (frame[2] - frame[0]), whole.height / (frame[3] - frame[1])])
        inside = (np.reshape(crop, (2, 2)) - frame[:2]) * scale
        (left, top), (right, bottom) = np.clip(inside, 0, (whole.width, whole.height)).tolist()
        image = cropped(whole, (left, top, right, bottom), self.size)
        polygon = points_of(_largest(outline), crop, self.grid)
        if made.flip and random.random() < 0.5:
            image, polygon = image[:, ::-1], mirrored(polygon, self.grid)
        cells = cells_of(clockwise(polygon), (0, 0, self.grid, self.grid), self.grid, self.limit, made.simplify)
        return image, np.roll(cells, random.integers(len(cells)), axis=0)

    def _wide(self, index):
        """(image, crop): what training crops of an object are cut from, at most twice as large as they."""
        if index in self._kept:
            return self._kept[index]
        outline = self.outlines[index]
        crop = around(_box(outline), outline.size, WIDE)
        height, width = (
            min(2 * most, int(np.ceil(stop - start)))
            for most, start, stop in zip(self.size, (crop.top, crop.left), (crop.bottom, crop.right))
        )
        image = decoded(outline.path).resize((width, height), pillow().Resampling.BILINEAR, box=crop)
        self._room -= 4 * image.width * image.height
        if self._room > 0:
            self._kept[index] = image, crop
        return image, crop


def _box(outline: OutlinedObject) -> Box:
    return outline.box or box_of(outline.polygons)


def _largest(outline: OutlinedObject) -> np.ndarray:
    return max(outline.polygons, key=lambda each: len(each))


@functools.lru_cache(maxsize=8)
def decoded(path: Path) -> Any:
    """The picture of a file; the last few are kept."""
    return picture(path)


def moved(crop: Box, box: Box, shift: float, random: np.random.Generator) -> Box:
    """A crop whose sides moved by up to `shift` of the box."""
    wide, high = box[2] - box[0], box[3] - box[1]
    left, top, right, bottom = np.asarray(crop) + random.uniform(-shift, shift, 4) * (wide, high, wide, high)
    return float(left), float(top), float(right), float(bottom)


def jittered(images: np.ndarray, largest: float, random: np.random.Generator) -> np.ndarray:
    """Images (batch, height, width, 3), uint8, each of another brightness, contrast and tint."""
    if not largest:
        return images
    count = len(images)
    contrast = 1 + random.uniform(-largest, largest, (count, 1, 1, 1))
    tint = 1 + random.uniform(-largest, largest, (count, 1, 1, 3)) / 3
    light = 128 * random.uniform(-largest, largest, (count, 1, 1, 1))
    factor = (contrast * tint).astype("float32")
    changed = images * factor
    changed += (128 * (1 - contrast) + light).astype("float32")
    return np.clip(changed, 0, 255, out=changed).astype("uint8")


# Generated outlines ---------------------------------------------------------------------------------------------------


def generated_batch(
    count: int, side: int, grid: int, limit: int, simplify: float, random: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(images, cells of each) of generated outlines, whose first vertex is any."""
    made = generate(count, side, random, min(limit, MOST))
    whole = (0.0, 0.0, 1.0, 1.0)
    cells = [
        cells_of(polygon[:number].astype("float64"), whole, grid, limit, simplify)
        for polygon, number in zip(made.polygons, made.counts)
    ]
    return made.images, [np.roll(each, random.integers(len(each)), axis=0) for each in cells]


class GeneratedSamples:
    """Generated outlines, see `scs_keras.training.samples.Samples`; the batches never end and never repeat.

    Args:
        name: of the data.
        size: (height, width) of the images, equal.
        grid, limit: as of `OutlineSamples`.
        seed: of the evaluation samples; batches are of other draws.
        count: number of evaluation samples.
        simplify: as of `Drawing`.
    """

    notes, file_names = (), ()
    labels = ("polygon",)

    def __init__(
        self, name: str, size: tuple[int, int], grid: int, limit: int, seed: int, count: int = 256,
        simplify: float = SIMPLIFY,
    ):  # fmt: skip
        if size[0] != size[1]:
            raise ValueError(f"Generated outlines are on square images. Received: {size[0]} x {size[1]} pixels.")
        self.name, self.size, self.grid, self.limit, self.simplify = name, size, grid, limit, simplify
        self.seed, self.count = seed, count

    @functools.cached_property
    def _made(self) -> Batch:
        """The evaluation samples; training needs none of them."""
        random = np.random.default_rng((self.seed, 2**31))
        return generate(self.count, self.size[0], random, min(self.limit, MOST))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], Any, None]:
        """As of `OutlineSamples`."""
        return {"image": self._made.images[index].astype("float32") / 255}, (self._polygon(index),), None

    def about(self, index: int) -> Mapping[str, Any]:
        """As of `OutlineSamples`, without path."""
        polygon, side = self._polygon(index), float(self.size[0])
        crop = Crop(0.0, 0.0, side, side)
        cells = cells_of(polygon, crop, self.grid, self.limit, self.simplify)
        return dict(
            name=f"generated {index}", group=self.name, label="polygon", size=self.size, box=box_of([polygon]),
            crop=crop, polygons=(polygon,), first=pixels_of(cells[:1], crop, self.grid)[0],
        )  # fmt: skip

    def batch(self, step: int, size: int, seed: int) -> Any:
        """As of `OutlineSamples`."""
        random = np.random.default_rng((seed, step))
        images, cells = generated_batch(size, self.size[0], self.grid, self.limit, self.simplify, random)
        return training_arrays(images, cells, self.grid, self.limit)

    def _polygon(self, index):
        made = self._made
        return made.polygons[index, : made.counts[index]].astype("float64") * self.size[0]


def generated(folder: str | Path, split: str, preset: Preset, simplify: float = SIMPLIFY, **_: Any) -> GeneratedSamples:
    """Generated outlines; of the folder nothing is read. The splits are different draws."""
    seeds = {"train": 0, "val": 1, "test": 2}
    size, grid, limit = settings_of(preset)
    return GeneratedSamples(f"generated outlines {split}", size, grid, limit, seeds[split], simplify=simplify)
