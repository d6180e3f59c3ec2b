"""Decoding of outlines against exhaustive search and re-run prefixes, and what a person gives: boxes, vertices, ends."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from scs_keras.zoo.outline.annotate import annotate, annotate_many
from scs_keras.zoo.outline.builder import build
from scs_keras.zoo.outline.cells import teacher_forcing
from scs_keras.zoo.outline.crops import Crop, crop_of, cut
from scs_keras.zoo.outline.decode import decode
from scs_keras.zoo.outline.simplify import simplify
from tests.checks import random, randomize, to_numpy

GRID, STEPS, END = 2, 5, 4
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype("uint8")
BOX = (10, 10, 30, 20)  # the crop: x 8 to 32, y 9 to 21


class Table:
    """Stands for a model: the next vertex depends on the first, the two before it, and the object (a random table).

    Its state is the object's number and the step, so that a state that goes to a wrong row is noticed.
    """

    grid = GRID
    preset = SimpleNamespace(arguments=dict(steps=STEPS, image_size=(4, 4)))

    def __init__(self, seed=0, sharp=2.0):
        logits = sharp * np.random.default_rng(seed).normal(size=(8, STEPS, 7, 7, 7, 5))
        self.logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        self._step, self.calls = self, 0

    def initial_states(self, inputs):
        images = np.asarray(inputs["image"])
        return [np.stack([images[:, 0, 0, 0], np.zeros(len(images))], axis=1)]

    def predict_on_batch(self, inputs):
        (state,) = inputs["states"]
        known, (thing, step) = np.asarray(inputs["vertices"]), state.astype(int).T
        self.calls += 1
        return self.logs[thing, step, *known.T], [state + (0, 1)]

    def score(self, thing, cells, ended):
        """Mean log-probability of an outline."""
        sequence = [*cells, END] if ended else list(cells)
        known, total = [5, 5, 6], 0.0
        for step, cell in enumerate(sequence):
            total += self.logs[thing, step, *known, cell]
            known = [cell if step == 0 else known[0], known[2], cell]
        return total / len(sequence)

    def best(self, thing, fixed, closed=False, firsts=range(4)):
        """(cells, score) of the best of all outlines."""
        last = max(fixed, default=-1)
        found = []
        for count in range(3, STEPS + 1):
            for cells in itertools.product(range(4), repeat=count):
                if cells[0] not in firsts or any(count <= i or cells[i] != cell for i, cell in fixed.items()):
                    continue
                if closed and count != last + 1:
                    continue
                ended = not closed and count < STEPS
                found.append((self.score(thing, cells, ended), cells))
        return max(found)


def things(*numbers):
    """Crops that say which object they are of."""
    return np.stack([np.full((4, 4, 3), number, "float32") for number in numbers])


# Decoding -------------------------------------------------------------------------------------------------------------

FIXED = [{}, {0: 2}, {0: 1, 3: 3}, {2: 0}]


@pytest.mark.parametrize("closed", [False, True])
def test_a_wide_beam_finds_the_best_of_all_outlines(closed):
    table, fixed = Table(), FIXED if not closed else FIXED[2:]
    found = decode(table, things(*range(len(fixed))), fixed, [closed] * len(fixed), width=5**4)
    for thing, (given, made) in enumerate(zip(fixed, found)):
        score, cells = table.best(thing, given, closed)
        assert tuple(made.cells) == cells and made.score == pytest.approx(score)
        assert made.ended == (not closed and len(cells) < STEPS)


def test_greedy_takes_the_likeliest_cell_at_each_step():
    table = Table(1)
    for thing, given in enumerate(FIXED):
        made = decode(table, things(thing), [given])[0]
        known, expected = [5, 5, 6], []
        for step in range(STEPS):
            logs = table.logs[thing, step, *known].copy()
            if step < 3 or step <= max(given, default=-1):
                logs[END] = -np.inf
            cell = given.get(step, int(np.argmax(logs)))
            if cell == END:
                break
            expected.append(cell)
            known = [cell if step == 0 else known[0], known[2], cell]
        assert made.cells.tolist() == expected and made.ended == (len(expected) < STEPS)
        assert made.score == pytest.approx(table.score(thing, expected, made.ended))


def test_each_likely_first_vertex_is_tried():
    table = Table(2)
    for thing in range(3):
        likely = np.argsort(-table.logs[thing, 0, 5, 5, 6, :4])[:2]
        made = decode(table, things(thing), tries=2, width=5**4)[0]
        score, cells = table.best(thing, {}, firsts=likely)
        assert tuple(made.cells) == cells and made.score == pytest.approx(score)
    given = decode(table, things(0, 1), [{0: 3}, {}], tries=2)  # a fixed first vertex stays, whatever is tried beside
    assert given[0].cells[0] == 3


def test_batches_do_not_matter_and_the_prefix_is_never_run_again():
    table = Table(3)
    whole = decode(table, things(*range(5)), width=2)
    assert table.calls <= STEPS
    for size in (1, 2, 3):
        parts = decode(table, things(*range(5)), width=2, batch_size=size)
        assert [tuple(each.cells) for each in parts] == [tuple(each.cells) for each in whole]
        np.testing.assert_allclose([each.score for each in parts], [each.score for each in whole])


@pytest.fixture(scope="module", params=["map", "reference"])
def model(request):
    made = build(
        "scs", dict(structure=[4, 3]), steps=6, image_size=(16, 16), grid=4, features=4, head=request.param,
        backbone="small", backbone_arguments=dict(filters=(2, 2, 2, 2)),
    )  # fmt: skip
    randomize(made, scale=0.6)
    made.preset = SimpleNamespace(arguments=dict(steps=6, image_size=(16, 16)))
    return made


def test_scores_are_those_of_the_whole_sequence(model):
    """Decoded step by step, computed at once: the same log-probabilities, and at each step the likeliest."""
    images = random(3, 16, 16, 3)
    for width in (1, 3):
        for image, made in zip(images, model.decode(images, [{0: 5}] * 3, width=width)):
            sequence = teacher_forcing(made.cells, 6, 4)
            logs = to_numpy(model({"image": image[None], "vertices": sequence.vertices[None]}))[0]
            told = np.take_along_axis(logs, sequence.targets[:, None], axis=1)[:, 0]
            count = len(made.cells) + made.ended
            assert made.score == pytest.approx(told[:count].mean(), rel=1e-4)
            if width == 1:
                logs[:3, 16] = -np.inf
                assert np.argmax(logs, axis=1)[1:count].tolist() == sequence.targets[1:count].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(width=0), "`width` is a whole number of at least 1"),
        (dict(tries=0), "`tries` is a whole number of at least 1"),
        (dict(fixed=[{5: 0}]), "numbered 0 to 4. Received: a fixed vertex 5"),
        (dict(fixed=[{-1: 0}]), "numbered 0 to 4. Received: a fixed vertex -1"),
        (dict(fixed=[{1: 4}]), "A cell is a whole number, 0 to 3. Received: 4 for vertex 1"),
    ],
)
def test_what_cannot_be_decoded(arguments, message):
    with pytest.raises(ValueError, match=message):
        decode(Table(), things(0), **arguments)


# Crops ----------------------------------------------------------------------------------------------------------------


def test_a_crop_is_the_box_and_a_tenth_as_far_as_the_image_goes():
    assert crop_of((10, 10, 30, 20), (40, 60)) == (8, 9, 32, 21)
    assert crop_of((0, 30, 60, 40), (40, 60)) == (0, 29, 60, 40)


def test_cells_have_their_middle_where_it_is_in_the_image():
    crop = Crop(8, 9, 32, 21)
    np.testing.assert_allclose(crop.points([0, 5, 15], 4), [[11, 10.5], [17, 13.5], [29, 19.5]])
    assert crop.cells(crop.points(np.arange(16), 4), 4).tolist() == list(range(16))
    assert crop.cells([(8, 9), (32, 21), (13.99, 9), (14.01, 9)], 4).tolist() == [0, 15, 0, 1]


def test_a_crop_of_whole_pixels_is_cut_as_it_is_and_a_smaller_one_averaged():
    assert np.array_equal(cut(IMAGE, Crop(8, 9, 32, 21), (12, 24)), IMAGE[9:21, 8:32].astype("float32") / 255)
    rows, columns = np.mgrid[:40, :60] + 0.5
    ramp = np.stack([columns * 4, rows * 4, rows + columns], axis=-1).astype("uint8")
    made = cut(ramp, Crop(8, 9, 32, 21), (3, 6)) * 255
    inner = Crop(8, 9, 32, 21).points(np.arange(36), 6).reshape(6, 6, 2)[0, 1:-1, 0]
    np.testing.assert_allclose(made[1, 1:-1, 0], inner * 4, atol=0.5)  # linear, so what is averaged is the middle
    half = cut(ramp, Crop(8, 9, 32, 21), (24, 48)) * 255
    np.testing.assert_allclose(half[4, 3:-3, 0], (8 + (np.arange(48)[3:-3] + 0.5) / 2) * 4, atol=0.5)


# Annotation -----------------------------------------------------------------------------------------------------------


def test_fixed_vertices_stay_where_they_were_put():
    table = Table(4)
    made = annotate(table, IMAGE, BOX, start=(11.25, 10.5), fixed={2: (31, 20)})
    assert made.fixed == (0, 2) and made.points[0].tolist() == [11.25, 10.5] and made.points[2].tolist() == [31, 20]
    assert made.cells[0] == 0 and made.cells[2] == 3 and len(made.cells) >= 3
    others = [index for index in range(len(made.cells)) if index not in (0, 2)]
    np.testing.assert_allclose(made.points[others], Crop(8, 9, 32, 21).points(made.cells[others], GRID))


def test_with_an_end_only_the_stretch_is_predicted():
    table, placed = Table(5), {0: (9, 10), 1: (31, 10), 3: (31, 20), 4: (9, 20)}
    made = annotate(table, IMAGE, BOX, fixed=placed, end=3)
    assert len(made.points) == 5 and not made.ended and made.fixed == (0, 1, 3, 4)
    assert {index: tuple(made.points[index]) for index in placed} == placed
    logs = table.logs[0, 2, 0, 0, 1].copy()  # cut() gives values below 1: object 0 of the table
    logs[END] = -np.inf
    assert made.cells[2] == np.argmax(logs)
    short = annotate(table, IMAGE, BOX, start=(9, 10), fixed={3: (31, 20)}, end=3)
    assert len(short.points) == 4 and not short.ended


def test_the_stretch_has_as_many_vertices_as_lie_between_its_numbers():
    before, after = [(9, 10)], [(31, 20), (9, 20)]
    for between in (1, 2):  # what comes after it is numbered by how many there shall be
        placed = dict(enumerate(before)) | dict(enumerate(after, start=1 + between))
        made = annotate(Table(5), IMAGE, BOX, fixed=placed, end=1 + between)
        points = [tuple(point) for point in made.points]
        assert len(points) == 3 + between and points[:1] == before and points[-2:] == after


def test_many_are_each_alone():
    table = Table(6)
    starts, boxes = [(9, 10), None, (20, 20)], [BOX, (0, 0, 60, 40), BOX]
    many = annotate_many(table, [IMAGE] * 3, boxes, starts, width=2)
    for made, start, box in zip(many, starts, boxes):
        alone = annotate(table, IMAGE, box, start, width=2)
        assert np.array_equal(made.points, alone.points) and made.fixed == alone.fixed
    assert annotate_many(table, [], []) == []


def test_simplified_outlines_keep_the_fixed_vertices():
    table = Table(7)
    whole = annotate(table, IMAGE, BOX, start=(9, 10), fixed={4: (20.5, 10)})
    few = annotate(table, IMAGE, BOX, start=(9, 10), fixed={4: (20.5, 10)}, simplify=100)
    assert len(whole.points) == 5 and len(few.points) == 3
    assert [tuple(few.points[index]) for index in few.fixed] == [(9, 10), (20.5, 10)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(image=IMAGE[..., 0]), r"image of object 0 is red, green .* Received: shape=\(40, 60\), uint8"),
        (dict(image=IMAGE / 255), "uint8. Received: .*float64"),
        (dict(box=(10, 10, 61, 20)), r"box of object 0 .* inside the image, 0 <= left < right <= 60.* Received: \(10"),
        (dict(box=(30, 10, 10, 20)), "lies inside the image"),
        (dict(box=(10, np.nan, 30, 20)), "lies inside the image"),
        (dict(box=(10, 20)), r"box of object 0 is \(left, top, right, bottom\) in pixels. Received: \(10, 20\)"),
        (dict(start=(61, 10)), r"Object 0: a vertex lies inside the image, x 0 to 60, y 0 to 40. Received: \(61.0, 10"),
        (dict(start=(np.nan, 10)), "a vertex lies inside the image"),
        (dict(start=(1, 1)), r"Object 0: A vertex lies in the box and the 10% around it, x 8 to 32, y 9 to 21.*\(1.0"),
        (dict(start=3), r"Object 0: A vertex is \(x, y\) in pixels. Received: 3"),
        (
            dict(fixed={5: (20, 15)}),
            "Object 0: The vertices of this model are numbered 0 to 4. Received: a fixed vertex 5",
        ),
        (dict(start=(9, 9), fixed={0: (10, 10)}), "start of object 0 is its vertex 0, which is fixed elsewhere"),
        (dict(start=(9, 9), end=2), r"`end` is the index of a fixed vertex. Allowed: \[0\]. Received: end=2"),
        (dict(start=(9, 9), end=0), "`end` comes after its start, a fixed vertex of a smaller index. Received: end=0"),
        (dict(start=(9, 9), fixed={2: (9, 9), 4: (9, 9)}, end=2), "end=2, vertex 3 is not, vertex 4 is"),
        (dict(simplify=-1), "`simplify` is a distance in pixels, at least 0. Received: simplify=-1"),
    ],
)
def test_what_cannot_be_annotated(arguments, message):
    with pytest.raises(ValueError, match=message):
        annotate(Table(), **{"image": IMAGE, "box": BOX, **arguments})


def test_lists_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="one of `boxes` for each image. Received: 1 for 2 images"):
        annotate_many(Table(), [IMAGE] * 2, [BOX])


# Simplification -------------------------------------------------------------------------------------------------------


def test_simplified_outlines_are_within_the_tolerance():
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = 20 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    sizes = []
    for tolerance in (0.0, 0.3, 2.0):
        kept = simplify(circle, tolerance, kept=[7])
        assert 7 in kept and (np.diff(kept) > 0).all()
        sizes.append(len(kept))
        for start, stop in zip(kept, [*kept[1:], kept[0] + 60]):
            for index in np.arange(start, stop + 1) % 60:
                a, b = circle[start], circle[stop % 60]
                along = np.clip((circle[index] - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
                assert np.linalg.norm(circle[index] - a - along * (b - a)) <= tolerance + 1e-9
    assert sizes[0] == 60 > sizes[1] > sizes[2] >= 3


def test_a_square_with_points_on_its_sides_is_four_corners():
    square = np.array([(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (0, 2), (0, 1)])
    assert simplify(square, 0.0).tolist() == [0, 2, 4, 5]
    assert simplify(square[:3], 5.0).tolist() == [0, 1, 2]
    assert len(simplify(square, 100.0)) == 3
