"""Requests that are computed together: with whom, with which answers, and what a failing one does to others."""

import asyncio
import threading

import numpy as np
import pytest
from serving_case import served, write_model

from scs_keras.serving.server.batching import Batcher
from scs_keras.serving.server.errors import ServingError
from scs_keras.serving.server.loaded import Call, Loaded


class Fake:
    """Adds 1 to each row; a negative value fails, a whole number of 99 is answered without rows."""

    def __init__(self, batches=True):
        self.seen, self.free, self.uses = [], threading.Event(), 0
        self.batches = batches

    held = Loaded.held

    def takes_batches(self, signature):
        return self.batches

    def run(self, signature, outputs, arrays):
        self.free.wait(60)
        self.seen.append((signature, *(array.shape for array in arrays)))
        if (arrays[0] < 0).any():
            raise ServingError("INVALID_ARGUMENT", "negative")
        if (arrays[0] == 99).any():
            return [np.float32(len(arrays[0]))[None][0:1].reshape(())]
        return [arrays[0] + 1]


def ask(values, signature="s", outputs=("y",)):
    return Call(signature, (np.asarray(values, "float32"),), outputs)


def answers(fake, calls, threads=1, most=8, queue=100):
    """What each call gets, all but the first of which come while the threads are busy."""

    async def main():
        batcher = Batcher(threads, most, queue)
        first = asyncio.ensure_future(batcher.submit(fake, ask([0.0], "first")))
        await asyncio.sleep(0)
        rest = [asyncio.ensure_future(batcher.submit(fake, call)) for call in calls]
        await asyncio.sleep(0)
        fake.free.set()
        made = await asyncio.gather(first, *rest, return_exceptions=True)
        batcher.close()
        return made[1:]

    return asyncio.run(main())


def test_what_waits_together_is_computed_together():
    fake = Fake()
    made = answers(fake, [ask([[1.0, 2]]), ask([[3.0, 4], [5, 6]]), ask([[7.0, 8]])])
    assert fake.seen == [("first", (1,)), ("s", (4, 2))]
    assert [each[0].tolist() for each in made] == [[[2, 3]], [[4, 5], [6, 7]], [[8, 9]]]


def test_only_of_one_signature_shape_and_choice_of_outputs():
    fake = Fake()
    calls = [ask([[1.0]]), ask([[2.0, 3]]), ask([[4.0]], "other"), ask([[5.0]]), ask([[6.0]], outputs=("z",))]
    made = answers(fake, calls)
    assert sorted(fake.seen) == sorted(
        [("first", (1,)), ("s", (2, 1)), ("s", (1, 2)), ("other", (1, 1)), ("s", (1, 1))]
    )
    assert [each[0].ravel().tolist() for each in made] == [[2], [3, 4], [5], [6], [7]]


def test_no_batch_is_larger_than_allowed_and_no_request_is_split():
    fake = Fake()
    answers(fake, [ask(np.zeros((rows, 1))) for rows in (3, 2, 2, 9)], most=4)
    assert sorted(rows for _, (rows, *_) in fake.seen[1:]) == [2, 2, 3, 9] or [
        rows for _, (rows, *_) in fake.seen[1:]
    ] == [3, 4, 9]


def test_a_failing_request_harms_no_other():
    made = answers(Fake(), [ask([1.0]), ask([-1.0]), ask([2.0])])
    assert made[0][0].tolist() == [2] and made[2][0].tolist() == [3]
    assert isinstance(made[1], ServingError) and made[1].message == "negative"


def test_outputs_without_rows_are_computed_alone():
    fake = Fake()
    made = answers(fake, [ask([99.0]), ask([99.0, 99.0])])
    assert [float(each[0]) for each in made] == [1, 2] and len(fake.seen) == 4


@pytest.mark.parametrize("fake, most", [(Fake(batches=False), 8), (Fake(), 1)])
def test_batching_may_be_off(fake, most):
    answers(fake, [ask([1.0]), ask([2.0])], most=most)
    assert fake.seen == [("first", (1,)), ("s", (1,)), ("s", (1,))]


def test_a_full_queue_refuses_and_who_has_gone_is_left_out():
    async def main():
        fake, batcher = Fake(), Batcher(1, 8, 2)
        tasks = [asyncio.ensure_future(batcher.submit(fake, ask([float(number)]))) for number in range(4)]
        await asyncio.sleep(0)
        assert isinstance(tasks[3].exception(), ServingError) and tasks[3].exception().code == "RESOURCE_EXHAUSTED"
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert fake.uses == 1  # held while it computes, also if nobody waits any more
        fake.free.set()
        made = await asyncio.gather(*tasks, return_exceptions=True)
        assert made[0][0].tolist() == [1] and made[2][0].tolist() == [3]
        assert fake.seen == [("s", (1,)), ("s", (1,))] and fake.uses == 0
        batcher.close()

    asyncio.run(main())


def test_batched_answers_equal_single_ones(tmp_path):
    write_model(tmp_path / "m" / "1")
    values = [np.random.default_rng(seed).normal(size=(1 + seed % 2, 5)).astype("float32") for seed in range(12)]
    seen, run = [], Loaded.run

    def spied(self, signature, outputs, arrays):
        seen.append(len(arrays[0]))
        return run(self, signature, outputs, arrays)

    with served(tmp_path / "m", batch_threads=1) as clients, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loaded, "run", spied)
        loop, core = clients.server._serving.get_loop(), clients.server.core

        async def all_at_once():
            return await asyncio.gather(*(core.predict("m", {"x": x}, signature="rows") for x in values))

        made = asyncio.run_coroutine_threadsafe(all_at_once(), loop).result(20)
        assert max(seen) > 2 and len(seen) < len(values)
        for x, outputs in zip(values, made):
            assert np.array_equal(outputs["same"], x)
            np.testing.assert_allclose(outputs["sum"], x.sum(1), atol=1e-5)
