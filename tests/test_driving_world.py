"""The generated driving world: what its last frames can tell, and that training and test are drawn apart."""

import collections
from dataclasses import replace

import numpy as np
import pytest

from scs_keras.training.driving.world import (
    ANGLE,
    COUNT,
    CREST_EVERY,
    ROADS,
    WAYS,
    Drives,
    World,
    best_single_frame,
    nearest_way,
)

PLACES = np.arange(len(ROADS) * 6 * CREST_EVERY)  # every road, way and crest


def shares(times, control=False):
    """{road: the largest share of right ways of whoever sees these frames}: of the ways of a drive, all else as it was
    drawn, one of those that look the same."""
    drives, found = Drives.drawn(PLACES, (5,)), collections.defaultdict(list)
    of_way = {way: replace(drives, way=np.full_like(drives.way, way)).frames(control=control) for way in (-1, 0, 1)}
    for index, road in enumerate(ROADS[each] for each in drives.road):
        different = {of_way[way][index, times].tobytes() for way in WAYS[road]}
        found[road].append(len(different) / len(WAYS[road]))
    return {road: float(np.mean(each)) for road, each in found.items()}


def test_what_a_single_frame_can_tell_is_what_is_said():
    """The noise, the colours and the place of the sign do not depend on the way: the frames are equal bit by bit."""
    said = {road: best_single_frame(road) for road in ROADS}
    assert said == {"straight": 1, "curve": 1 - 1 / 2 / CREST_EVERY, "T-junction": 1 / 2, "crossroads": 1 / 3}
    assert shares(slice(-1, None)) == pytest.approx(said)
    assert shares(slice(-2, None)) == pytest.approx(said)  # nor do two frames tell more
    assert set(shares(slice(None)).values()) == {1.0}


def test_in_the_control_world_the_last_frame_tells_all():
    assert set(shares(slice(-1, None), control=True).values()) == {1.0}
    assert {best_single_frame(road, control=True) for road in ROADS} == {1.0}


def test_roads_ways_and_crests_are_equally_many():
    drives = World(split="test", count=COUNT).drives
    kinds = collections.Counter(zip(drives.road.tolist(), drives.way.tolist(), drives.crest.tolist()))
    expected = {
        (ROADS.index(road), way, crest): COUNT // 4 // len(ways)
        for road, ways in WAYS.items()
        for way in ways
        for crest in (False,)
    }
    of_curves = COUNT // 8 // CREST_EVERY
    for way in (-1, 1):
        expected[1, way, False] -= of_curves
        expected[1, way, True] = of_curves
    assert kinds == expected
    assert 0.4 < drives.signed.mean() < 0.6
    batch = World().batch(3, 32, 0)[1]  # and in a batch nearly
    assert np.abs(batch).max() == ANGLE and abs(batch.mean()) < ANGLE / 8


def grey(images):
    return images.mean(axis=-1, dtype="float32").reshape(len(images), -1)


def ridge(x, y, others, penalty=1e4):
    """Predictions for others of a linear regression in NumPy."""
    mean = x.mean(axis=0)
    x, others = x - mean, others - mean
    kernel = x @ x.T + penalty * np.eye(len(x))
    return others @ x.T @ np.linalg.solve(kernel, y - y.mean()) + y.mean()


@pytest.mark.parametrize("control", [False, True])
def test_a_linear_regression_reads_what_there_is_to_read(control):
    train, test = (World(split=split, control=control).drives for split in ("train", "test"))
    scores = {}
    for time in (3, 6):
        x, others = (grey(each.view(time, control).pixels(16, 48)) for each in (train, test))
        degrees = ridge(x, train.degrees, others)
        scores[time] = {
            road: np.mean(nearest_way(road, degrees[test.road == index]) == test.way[test.road == index])
            for index, road in enumerate(ROADS)
        }
    if control:
        assert min(scores[6].values()) > 0.97
    else:
        assert min(scores[3].values()) > 0.97 and scores[6]["straight"] > 0.97
        for road in ROADS:
            assert scores[6][road] == pytest.approx(best_single_frame(road), abs=0.08)


def test_samples():
    world = World(split="val", count=8)
    x, y, weight = world[5]
    assert x.shape == (7, 32, 96, 3) and x.dtype == np.uint8 and weight is None
    assert y.shape == (1,) and y.dtype == np.float32 and y[0] == ANGLE * world.drives.way[5]
    assert world.about(5) == dict(name="curve 5", group="curve", road="curve", cue=world.about(5)["cue"])
    assert len(world) == 8 and world.name == "generated world, val"


def test_a_batch_is_a_function_of_its_arguments_and_never_seen_before():
    world, again = World(), World()
    x, y = world.batch(2, 8, 1)
    np.testing.assert_array_equal(x, again.batch(2, 8, 1)[0])
    assert x.shape == (8, 7, 32, 96, 3) and y.shape == (8, 1)
    others = [world.batch(3, 8, 1), world.batch(2, 8, 2), World(split="val").batch(2, 8, 1)]
    others += [(World(split=split, count=8).frames,) for split in ("train", "val", "test")]
    every = np.concatenate([x, *(each[0] for each in others)])
    assert len({each.tobytes() for each in every}) == len(every)


def test_other_sizes_show_the_same():
    drives = Drives.drawn(np.arange(8), (0,))
    small, large = (drives.view(2).pixels(*size) for size in ((32, 96), (64, 192)))
    mean = large.reshape(8, 32, 2, 96, 2, 3).mean(axis=(2, 4))
    assert np.abs(mean - small).mean() < 6
    assert drives.view(2).pixels(8, 12).shape == (8, 8, 12, 3)  # of which a row is the horizon itself


def test_nearest_way():
    np.testing.assert_array_equal(nearest_way("crossroads", [-20, -7, 7, 8]), [-1, 0, 0, 1])
    np.testing.assert_array_equal(nearest_way("T-junction", [-20, -0.1, 0.1, 8]), [-1, -1, 1, 1])


@pytest.mark.parametrize("shape", [(3, 32, 96, 3), (7, 32, 96, 1), (7, 32, 96)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"is 7 frames of RGB.*Received: shape="):
        World(shape)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="`split` must be one of .*Received: split='dev'"):
        World(split="dev")
