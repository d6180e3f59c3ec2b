"""Readers of outlines (COCO, Cityscapes, labelme), their samples and batches, generated outlines, and writers."""

import json

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are read with Pillow")

from scs_keras.training.outline import cityscapes, coco, labelme
from scs_keras.training.outline.cells import cells_of, pixels_of, points_of
from scs_keras.training.outline.generated import MARGIN, generate, masks
from scs_keras.training.outline.objects import Counts, check_box
from scs_keras.training.outline.polygons import area, box_of, clockwise, iou, is_outline, mask, thinned, without_repeats
from scs_keras.training.outline.samples import Drawing, GeneratedSamples, generated
from scs_keras.training.outline.writers import Drawn, write_coco, write_labelme
from tests.outline_case import (
    SQUARE,
    TRIANGLE,
    annotation,
    coco_content,
    flat,
    preset,
    save_cityscapes,
    save_coco,
    save_image,
    save_json,
    save_labelme,
    shape,
)  # fmt: skip

needs_outlines = pytest.mark.needs_data("object_outlines", "images with outlines of objects")


# Polygons -------------------------------------------------------------------------------------------------------------


def test_area_and_direction():
    square = np.array(SQUARE, float)
    assert area(square) == 32 * 16 and area(square[::-1]) == -32 * 16
    turned = clockwise(square[::-1])
    assert area(turned) > 0 and (turned[0] == square[-1]).all()  # the first vertex stays the first
    assert (clockwise(square) == square).all()


def test_masks_by_a_second_route():
    """Even-odd by rays from each pixel's centre, of a polygon that crosses itself too."""
    star = np.array([[10, 1], [16, 19], [1, 7.5], [19, 7.5], [4, 19]], float)
    random = np.random.default_rng(0).uniform(0, 20, (9, 2))
    for polygon in (star + 0.013, random, np.array(TRIANGLE) / 3.01):  # no vertex on a pixel's centre
        expected = np.zeros((20, 20), bool)
        for row, column in np.ndindex(20, 20):
            x, y = column + 0.5, row + 0.5
            for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0)):
                if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
                    expected[row, column] ^= True
        np.testing.assert_array_equal(mask([polygon], (0, 0, 20, 20)), expected)
        np.testing.assert_array_equal(
            masks(polygon[None].astype("float32") / 20, 20)[0], mask([polygon], (0, 0, 20, 20))
        )
        np.testing.assert_array_equal(mask([polygon], (3, 5, 12, 9)), expected[5:9, 3:12])
    assert not mask([star], (0, 0, 20, 20))[10, 10]  # the star's middle is covered twice


def test_iou_counts_pixels_of_the_image():
    square, half = np.array(SQUARE, float), np.array([[4, 4], [20, 4], [20, 20], [4, 20]], float)
    assert iou([square], [half]) == 0.5 and iou([square], [square]) == 1 and iou([square], []) == 0
    right = square + (16, 0)  # shares the right half of the square
    assert iou([square], [right]) == 1 / 3
    assert iou([square], [right], (48, 36)) == 0.5  # what lies outside the image, which is 36 wide, does not count
    parts = [half, half + (16, 0)]
    assert iou([square], parts) == 1


def test_thinning_keeps_what_matters():
    along = np.array([[0, 0], [5, 0], [10, 0], [10, 10], [5, 10.1], [0, 10]], float)
    assert thinned(along, 60).tolist() == [[0, 0], [10, 0], [10, 10], [5, 10.1], [0, 10]]  # on a line: gone
    assert thinned(along, 4).tolist() == [[0, 0], [10, 0], [10, 10], [0, 10]]
    assert thinned(along, 60, least=1).tolist() == [[0, 0], [10, 0], [10, 10], [0, 10]]
    assert len(thinned(along, 2)) == 3
    circle = np.stack([np.cos(np.arange(100) / 50 * np.pi), np.sin(np.arange(100) / 50 * np.pi)], axis=1)
    left = thinned(circle, 20)
    assert len(left) == 20 and area(left) > 0.97 * area(circle)


def test_what_is_an_outline():
    assert is_outline(SQUARE) and is_outline([[0, 0], [4, 4], [4, 0], [0, 4]])  # a bow tie has area
    assert not is_outline(SQUARE[:2]) and not is_outline([[0, 0], [1, 1], [2, 2]]) and not is_outline(np.zeros((0, 2)))
    assert not is_outline([SQUARE[0], SQUARE[1], SQUARE[0], SQUARE[1]])
    assert without_repeats(np.array([[1, 1], [1, 1], [2, 2], [3, 3], [1, 1]])).tolist() == [[1, 1], [2, 2], [3, 3]]
    assert without_repeats(np.array([[1, 1], [1, 1]])).tolist() == [[1, 1]]


def test_between_pixels_and_cells():
    crop = (10.0, 20.0, 90.0, 60.0)
    assert points_of([[10, 20], [90, 60], [50, 40]], crop, 8).tolist() == [[0, 0], [8, 8], [4, 4]]
    cells = cells_of([[10, 20], [95, 20], [95, 70], [10, 60]], crop, 8, 60)
    assert cells.tolist() == [[0, 0], [7, 0], [7, 7], [0, 7]]  # beyond the crop: to its border
    assert pixels_of(cells, crop, 8)[:2].tolist() == [[15, 22.5], [85, 22.5]]  # the middles of the cells
    thin = cells_of([[10, 20], [11, 20], [11, 21]], crop, 8, 60)
    assert len(thin) == 3 and thin[0].tolist() == [0, 0]


# COCO -----------------------------------------------------------------------------------------------------------------


def test_coco(tmp_path):
    rle = dict(counts=[3, 4], size=[48, 64])
    save_coco(
        tmp_path,
        [
            annotation(1, 10, [SQUARE[::-1]]),
            annotation(2, 11, [TRIANGLE], 90),
            annotation(3, 10, segmentation=rle, iscrowd=1),
            annotation(4, 10, segmentation=rle),
            annotation(5, 10, [SQUARE, TRIANGLE]),
            annotation(6, 10, [[[1, 1], [3, 1], [3, 3]]]),
            annotation(7, 10, [[[-5, 4], [30, 4], [30, 60]]]),
        ],
    )
    samples = coco.read(tmp_path, "val", preset(), min_area=100)
    assert samples.name == f"{tmp_path.name} val" and samples.labels == ("cup", "dog") and len(samples) == 3
    assert samples.notes == (
        f"{samples.name}: left out: 1 crowds, 1 objects with a run-length encoded mask, 1 objects in several parts, "
        "1 objects of less than 100 square pixels.",
        f"{samples.name}: 1 polygons reach beyond their image and were clipped to it.",
    )
    x, y, weight = samples[0]
    assert x["image"].shape == (24, 24, 3) and x["image"].dtype == np.float32 and weight is None
    assert y[0].tolist() == [SQUARE[3], *SQUARE[:3]]  # clockwise, the first vertex still the file's
    about = samples.about(0)
    assert about["name"] == "0.png, annotation 0" and about["group"] == "0.png" and about["label"] == "cup"
    assert about["box"] == (4, 4, 36, 20) and about["size"] == (48, 64)
    np.testing.assert_allclose(about["crop"], (0.8, 2.4, 39.2, 21.6))
    assert samples[2][1][0].max() == 48  # y of 60 in an image 48 high
    kept = coco.read(tmp_path, "val", preset(), min_area=100, parts="keep")
    assert len(kept) == 5 and kept.about(3)["name"] == "0.png, annotation 4, part 1"
    dogs = coco.read(tmp_path, "val", preset(), classes="dog", min_area=0)
    assert len(dogs) == 1 and dogs.labels == ("dog",) and "6 objects" not in dogs.notes[0]
    assert samples.file_names == ("0.png", "1.png")


def test_one_coco_file_is_split_by_a_list_or_in_fifths(tmp_path):
    for number in range(7):
        save_image(tmp_path / "images" / f"{number}.png", seed=number)
    save_json(tmp_path / "instances.json", coco_content([annotation(n, 10 + n) for n in range(7)], 7))
    assert coco.read(tmp_path, "val", preset(), min_area=0).file_names == ("0.png", "5.png")
    assert len(coco.read(tmp_path, "train", preset(), min_area=0)) == 5
    save_json(tmp_path / "split.json", {"train": ["1", "2.png"], "val": ["3"]})
    assert coco.read(tmp_path, "train", preset(), min_area=0).file_names == ("1.png", "2.png")
    assert coco.read(tmp_path / "instances.json", "val", preset(), min_area=0).file_names == ("3.png",)


BAD_COCO = [  # what is wrong with annotation 1, and what is said
    (dict(segmentation=[[1, 2, 3, 4]]), "annotation 1 .id 2.: a polygon needs at least three different points. Received: 2"),
    (dict(segmentation=[[1, 2, 3]]), "annotation 1 .id 2.: a polygon is a flat list x, y, x, y"),
    (dict(segmentation=[[1, 2, 3, float("nan"), 5, 6]]), "annotation 1 .id 2.: the polygon has a coordinate that is not a number"),
    (dict(segmentation=[flat(np.add(SQUARE, 100).tolist())]), "annotation 1 .*outside the image, which is 64 x 48 pixels: x from 104 to 136"),
    (dict(segmentation=[[1, 1, 5, 5, 9, 9]]), "annotation 1 .*all points of the polygon lie on one line"),
    (dict(image_id=77), "annotation 1 .*there is no image with the id 77"),
    (dict(category_id=5), "annotation 1 .*there is no category with the id 5"),
]  # fmt: skip


@pytest.mark.parametrize("change, said", BAD_COCO, ids=[said[:30] for _, said in BAD_COCO])
def test_a_bad_annotation_is_named(tmp_path, change, said):
    save_coco(tmp_path, [annotation(1, 10), annotation(2, 10, **change)])
    with pytest.raises(ValueError, match=f"instances_val2017.json, {said}"):
        coco.read(tmp_path, "val", preset(), min_area=0)


def test_what_is_missing_for_coco(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected annotations/instances_train2017.json with train2017"):
        coco.read(tmp_path, "val", preset())
    save_coco(tmp_path, [annotation(1, 10)])
    with pytest.raises(FileNotFoundError, match="instances_train2017.json is missing: .*There is: instances_val2017"):
        coco.read(tmp_path, "train", preset())
    with pytest.raises(ValueError, match="There is no class of .* 'cap'. Did you mean 'cup'"):
        coco.read(tmp_path, "val", preset(), classes="cap")
    with pytest.raises(ValueError, match="there are no objects.*1 objects of less than 9999 square pixels"):
        coco.read(tmp_path, "val", preset(), min_area=9999)
    save_image(tmp_path / "val2017" / "0.png", (40, 64))
    with pytest.raises(ValueError, match="annotation 0 .*image of 64 x 48 pixels, 0.png has 64 x 40"):
        coco.read(tmp_path, "val", preset(), min_area=0)
    (tmp_path / "val2017" / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match="annotation 0 .*its image .*0.png is missing"):
        coco.read(tmp_path, "val", preset(), min_area=0)
    (tmp_path / "annotations" / "instances_val2017.json").write_text("{}")
    with pytest.raises(ValueError, match="expected JSON of COCO with the lists images, annotations and categories"):
        coco.read(tmp_path, "val", preset())


def test_a_broken_image_shows_before_training(tmp_path):
    save_coco(tmp_path, [annotation(1, 10)])
    path = tmp_path / "val2017" / "0.png"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match="0.png: is broken"):
        coco.read(tmp_path, "val", preset(), min_area=0)
    path.write_text("no image")
    with pytest.raises(ValueError, match="0.png: cannot be read as an image"):
        coco.read(tmp_path, "val", preset(), min_area=0)


def test_a_camera_that_was_turned(tmp_path):
    """The outline is of the image as it is shown, as labelme does it; a dark lower left corner is there in the crop."""
    from PIL import Image

    pixels = np.full((64, 48, 3), 200, "uint8")
    pixels[:20, :20] = 0
    exif = Image.Exif()
    exif[0x0112] = 8  # shown turned to the left: what was the upper left corner is the lower left one
    save_coco(tmp_path, [annotation(1, 10, [[[1, 1], [63, 1], [63, 47], [1, 47]]])])
    Image.fromarray(pixels).save(tmp_path / "val2017" / "0.png", exif=exif)
    image = coco.read(tmp_path, "val", preset(), min_area=0)[0][0]["image"]
    assert image[-4:, :4].max() < 0.1 and image[:4].min() > 0.7 and image[:, -4:].min() > 0.7


# Cityscapes -----------------------------------------------------------------------------------------------------------


def test_cityscapes(tmp_path):
    save_cityscapes(
        tmp_path,
        [
            dict(label="road", polygon=SQUARE),
            dict(label="car", polygon=SQUARE),
            dict(label="cargroup", polygon=SQUARE),
            dict(label="rider", polygon=TRIANGLE, instance_id=25001),
            dict(label="rider", polygon=SQUARE, instance_id=25001),
            dict(label="person", polygon=[[-3, 4], [30, 4], [30, 20]], instance_id=24000),
        ],
    )
    samples = cityscapes.read(tmp_path, "val", preset())
    assert samples.labels == ("car", "person") and len(samples) == 2
    assert samples.about(0)["name"] == "bonn_000001_000019, object 1"
    assert samples.notes == (
        f"{samples.name}: left out: 1 entries of other classes, 1 groups, 1 objects in several parts.",
        f"{samples.name}: 1 polygons reach beyond their image and were clipped to it.",
    )
    assert len(cityscapes.read(tmp_path, "val", preset(), parts="keep")) == 4
    assert cityscapes.read(tmp_path, "val", preset(), classes="car").labels == ("car",)
    with pytest.raises(FileNotFoundError, match="nothing for .*Expected gtFine/SPLIT/CITY"):
        cityscapes.read(tmp_path, "train", preset())


def test_bad_cityscapes(tmp_path):
    save_cityscapes(tmp_path, [dict(label="car", polygon=SQUARE), dict(label="car", polygon=SQUARE[:2])])
    with pytest.raises(ValueError, match="gtFine_polygons.json, object 1: a polygon needs at least three"):
        cityscapes.read(tmp_path, "val", preset())
    save_cityscapes(tmp_path, [dict(label="ego vehicle", polygon=SQUARE)])  # as in the test part
    with pytest.raises(ValueError, match="there are no objects.* 1 entries of other classes"):
        cityscapes.read(tmp_path, "val", preset())
    save_cityscapes(tmp_path, [dict(polygon=SQUARE)])
    with pytest.raises(ValueError, match="expected JSON with imgHeight, imgWidth and objects"):
        cityscapes.read(tmp_path, "val", preset())


@needs_outlines
def test_real_cityscapes(data_folder):
    samples = cityscapes.read(data_folder / "cityscapes_mini", "val", preset())
    assert len(samples) > 10 and set(samples.labels) <= set(cityscapes.CLASSES)
    assert "objects in several parts" in samples.notes[0] and samples[0][0]["image"].std() > 0.01


# labelme --------------------------------------------------------------------------------------------------------------


def test_labelme(tmp_path):
    shapes = [
        shape(SQUARE),
        shape([[40, 46], [10, 30]], "dog", "rectangle"),
        shape([[3, 3]], kind="point"),
        shape(SQUARE, "hat", group=7),
        shape(TRIANGLE, "hat", group=7),
        shape(SQUARE, "cup", group=7),  # another label: another object
    ]
    save_labelme(tmp_path, shapes, image_path="..\\somewhere\\a.png")
    samples = labelme.read(tmp_path, "val", preset())
    assert [samples.about(i)["label"] for i in range(len(samples))] == ["cup", "dog", "cup"]
    assert samples[1][1][0].tolist() == [[40, 46], [10, 46], [10, 30], [40, 30]]
    assert samples.about(0)["name"] == "a, shape 0"
    assert samples.notes == (f"{samples.name}: left out: 1 shapes that are a point, 1 objects in several parts.",)
    kept = labelme.read(tmp_path, "val", preset(), parts="keep")
    assert [kept.about(i)["label"] for i in range(len(kept))].count("hat") == 2


def test_bad_labelme(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the JSON files of labelme. It holds: nothing"):
        labelme.read(tmp_path, "val", preset())
    save_labelme(tmp_path, [shape(SQUARE), shape([[1, 2]], kind="rectangle")])
    with pytest.raises(ValueError, match="a.json, shape 1: a rectangle is two opposite corners"):
        labelme.read(tmp_path, "val", preset())
    save_json(tmp_path / "a.json", {"shapes": []})
    with pytest.raises(ValueError, match="a.json: expected JSON of labelme with imagePath"):
        labelme.read(tmp_path, "val", preset())


# Samples and batches --------------------------------------------------------------------------------------------------


def test_batches_are_functions_of_seed_and_step(tmp_path):
    save_coco(tmp_path, [annotation(n, 10 + n % 2, [SQUARE if n % 2 else TRIANGLE]) for n in range(6)])
    samples, again = (coco.read(tmp_path, "val", preset(), min_area=0, cache_mb=mb) for mb in (64, 0))
    batches = [samples.batch(step, 4, seed=3) for step in range(3)]
    for step in (2, 0, 1):
        (x, *rest), (other, *others) = again.batch(step, 4, seed=3), batches[step]
        for mine, theirs in zip([x["image"], x["vertices"], *rest], [other["image"], other["vertices"], *others]):
            np.testing.assert_array_equal(mine, theirs)
    x, y, weight = batches[0]
    assert x["image"].shape == (4, 24, 24, 3) and x["image"].dtype == np.uint8
    assert x["vertices"].shape == (4, 6, 3) and y.shape == weight.shape == (4, 6)
    assert (samples.batch(0, 4, seed=4)[0]["image"] != x["image"]).any()


def test_training_starts_anywhere_and_always_runs_clockwise(tmp_path):
    save_coco(tmp_path, [annotation(1, 10, [SQUARE[::-1]])])
    samples = coco.read(tmp_path, "val", preset(), min_area=0)
    firsts, sides = set(), set()
    for step in range(40):
        _, targets, weights = samples.batch(step, 1, 0)
        cells = targets[0][targets[0] < 64]
        assert weights[0].sum() == len(cells) + 1 == 5
        points = np.stack([cells % 8, cells // 8], axis=1)
        assert area(points) > 0
        firsts.add(tuple(points[0] > 3))
        sides.add(int(points[:, 0].min()))
    assert len(firsts) == 4  # each of the four corners
    assert len(sides) > 1  # the crop's sides move


def test_mirrored_crops_and_outlines_belong_together(tmp_path):
    """A white triangle on black: what is inside the drawn outline is white, mirrored or not."""
    pixels = np.repeat((mask([np.array(TRIANGLE)], (0, 0, 64, 48)) * 255).astype("uint8")[..., None], 3, axis=-1)
    save_coco(tmp_path, [annotation(1, 10, [TRIANGLE])])
    from PIL import Image

    Image.fromarray(pixels).save(tmp_path / "val2017" / "0.png")
    samples = coco.read(tmp_path, "val", preset(grid=24), min_area=0, jitter=0, simplify=0)
    mirrored = set()
    for step in range(12):
        x, targets, _ = samples.batch(step, 1, 0)
        cells = targets[0][targets[0] < 24**2]
        inside = mask([np.stack([cells % 24, cells // 24], axis=1) + 0.5], (0, 0, 24, 24))
        white = x["image"][0, ..., 0] > 127
        assert (inside & white).sum() / (inside | white).sum() > 0.7
        mirrored.add(bool(white[:, :12].sum() > white[:, 12:].sum()))
    assert mirrored == {True, False}


def test_generated_outlines_come_first_and_between(tmp_path):
    save_coco(tmp_path, [annotation(n, 10 + n % 2, [[[4, 4], [60, 4], [60, 40]]]) for n in range(6)])

    def generated_of(step, **options):  # the object of the file has three vertices, generated ones have four and more
        _, targets, _ = coco.read(tmp_path, "val", preset(), min_area=0, simplify=0, **options).batch(step, 4, 0)
        return ((targets < 64).sum(axis=1) > 3).tolist()

    assert generated_of(0) == [False] * 4
    assert generated_of(1, generated_steps=2) == [True] * 4 and generated_of(2, generated_steps=2) == [False] * 4
    assert generated_of(2, generated_steps=2, generated_share=0.5) == [True, True, False, False]
    with pytest.raises(ValueError, match="generated_share must be 0 to 1. Received: generated_share=2"):
        Drawing(generated_share=2)
    with pytest.raises(ValueError, match="simplify, cache_mb and generated_steps must be at least 0"):
        Drawing(simplify=-1)


def test_generated_outlines():
    made = generate(40, 32, np.random.default_rng(0), most=9)
    again = generate(40, 32, np.random.default_rng(0), most=9)
    np.testing.assert_array_equal(made.images, again.images)
    assert made.images.shape == (40, 32, 32, 3) and made.polygons.shape == (40, 9, 2)
    assert set(made.counts) == set(range(4, 10))
    inside = masks(made.polygons, 32)
    for polygon, count, seen, image in zip(made.polygons, made.counts, inside, made.images):
        assert area(polygon[:count]) > 0.1 and (polygon[count:] == polygon[0]).all()
        np.testing.assert_allclose(box_of([polygon]), (MARGIN, MARGIN, 1 - MARGIN, 1 - MARGIN), atol=1e-6)
        np.testing.assert_array_equal(seen, mask([polygon[:count] * 32], (0, 0, 32, 32)))
        assert image[seen].mean(axis=0).max() > 0
    contrast = [np.abs(i[s].mean(0) - i[~s].mean(0)).max() for i, s in zip(made.images, inside)]
    assert np.mean(contrast) > 30  # of 255: the object can be seen


def test_generated_samples_are_like_others():
    samples = GeneratedSamples("generated", (24, 24), 8, 6, seed=0, count=5)
    x, y, weight = samples[2]
    about = samples.about(2)
    assert x["image"].shape == (24, 24, 3) and about["size"] == (24, 24) and about["crop"] == (0, 0, 24, 24)
    cells = cells_of(y[0], about["crop"], 8, 6, 1.0)
    assert iou(y, [pixels_of(cells, about["crop"], 8)]) > 0.5
    assert (pixels_of(cells, about["crop"], 8)[0] == about["first"]).all()
    one, other = (samples.batch(step, 3, 0)[0]["image"] for step in (0, 1))
    assert (one != other).any() and (samples.batch(0, 3, 0)[0]["image"] == one).all()
    parts = [generated("anywhere", split, preset()) for split in ("train", "val", "test")]
    assert len({each[0][0]["image"].tobytes() for each in parts}) == 3
    with pytest.raises(ValueError, match="Generated outlines are on square images. Received: 24 x 32 pixels"):
        generated(".", "val", preset(image_size=(24, 32)))


# Writers --------------------------------------------------------------------------------------------------------------

OBJECTS = [
    Drawn("cup", (np.array(SQUARE, float),)),
    Drawn("dog", (np.array(TRIANGLE, float), np.array(SQUARE) + 8.125)),
]


def test_labelme_is_read_back(tmp_path):
    save_image(tmp_path / "a.png")
    write_labelme(tmp_path / "a.json", "a.png", (48, 64), OBJECTS)
    found = list(labelme.outlines_of(tmp_path / "a.json", Counts()))
    for mine, theirs in zip(OBJECTS, found, strict=True):
        assert mine.label == theirs.label
        for polygon, read in zip(mine.polygons, theirs.polygons, strict=True):
            np.testing.assert_array_equal(polygon, read)
    keys = {"label", "points", "group_id", "description", "shape_type", "flags", "mask"}
    content = json.loads((tmp_path / "a.json").read_text())
    assert set(content["shapes"][0]) == keys
    assert set(content) == {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}


def test_labelme_itself_reads_it(tmp_path):
    labelme_ = pytest.importorskip("labelme")
    save_image(tmp_path / "a.png")
    write_labelme(tmp_path / "a.json", "a.png", (48, 64), OBJECTS)
    found = labelme_.LabelFile(str(tmp_path / "a.json"))
    written = [polygon.tolist() for each in OBJECTS for polygon in each.polygons]
    assert [each["points"] for each in found.shapes] == written
    assert [each["group_id"] for each in found.shapes] == [None, 1, 1]


def test_coco_is_read_back(tmp_path):
    for name in ("0.png", "1.png"):
        save_image(tmp_path / "val2017" / name)
    images = {"0.png": ((48, 64), OBJECTS), "1.png": ((48, 64), OBJECTS[:1])}
    write_coco(tmp_path / "annotations" / "instances_val2017.json", images)
    samples = coco.read(tmp_path, "val", preset(), min_area=0, parts="keep")
    written = [polygon for _, objects in images.values() for each in objects for polygon in each.polygons]
    assert len(samples) == len(written)
    for index, polygon in enumerate(written):
        np.testing.assert_array_equal(samples[index][1][0], polygon)
    content = json.loads((tmp_path / "annotations" / "instances_val2017.json").read_text())
    assert content["annotations"][0]["bbox"] == [4, 4, 32, 16] and content["annotations"][0]["area"] == 512
    assert [each["id"] for each in content["annotations"]] == [1, 2, 3]


def test_boxes_that_are_none():
    assert check_box((-4, 2, 20, 30), (24, 32), "here") == (0, 2, 20, 24)
    for box, said in (
        ((5, 5, 5, 9), "here: a box is left, top, right and bottom in pixels, left < right"),
        ((40, 5, 50, 9), "here: the box lies outside the image, which is 32 x 24 pixels"),
        ((1, 2, 3), "here: a box is four numbers"),
        ((1, 2, 3, float("nan")), "here: a box is left, top, right and bottom"),
    ):
        with pytest.raises(ValueError, match=said):
            check_box(box, (24, 32), "here")


@needs_outlines
def test_real_coco(data_folder):
    samples = coco.read(data_folder / "coco", "val", preset(grid=28, steps=60))
    assert len(samples) == 267 and "26 objects in several parts" in samples.notes[0]
    ceiling = []
    for index in range(0, len(samples), 20):
        crop, polygons = samples.about(index)["crop"], samples[index][1]
        ceiling.append(iou(polygons, [pixels_of(cells_of(polygons[0], crop, 28, 60), crop, 28)]))
    assert np.mean(ceiling) > 0.9
