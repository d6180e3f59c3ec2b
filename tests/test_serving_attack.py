"""The local server under broken requests and under kills: refused in time, others served, nobody answered wrongly."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests import served_model
from tests.served_model import NAME, clips, expected

pytestmark = pytest.mark.slow
pytest.importorskip("grpc", reason='gRPC: pip install "scs-keras[serving]"')
pytest.importorskip("tensorflow_serving", reason="messages: pip install --no-deps tensorflow-serving-api")

from tests import fuzz_serving  # noqa: E402
from tests.serving_process import Server  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("served")
    served_model.write(made)
    return Path(made) / NAME


def test_broken_requests(folder):
    """The longer run, which also measures that each answer comes in 5 s: python -m tests.fuzz_serving."""
    with Server(folder, "--sessions") as server:
        fuzzer, _ = fuzz_serving.fuzz(server, 250, seed=0, in_time=60.0)
        assert fuzzer.broken == []
        kinds = {kind for kind, _ in fuzzer.answers}
        assert len(kinds) > 15 and fuzzer.count_of_neighbour > 5, kinds


def test_a_seed_is_the_same_requests():
    first, again, other = ([case.data for case in fuzz_serving.cases(60, seed)] for seed in (3, 3, 4))
    assert first == again != other


def test_killed_and_restarted_under_load(folder):
    """Clients of both protocols go on, whole clips and streams, and no answer is wrong."""
    from scs_keras.serving import Client

    server = Server(folder)
    ports = [int(each.rpartition(":")[2]) for each in (server.rest, server.grpc)]
    frames = clips(1, time=200)[0]
    output = expected(frames[None])[0][0]
    ended, wrong, counts = threading.Event(), [], [0] * 4

    def load(index, address, streams):
        with Client(address, NAME, timeout=60) as client:
            stream = client.stream() if streams else None
            while not ended.is_set():
                try:
                    if stream is not None:
                        at = counts[index] % 200
                        if at == 0:
                            stream.reset()
                        made, right = stream.step(frames[at])["output"], output[at]
                    else:
                        made, right = client.predict(frames[:4])["output"], output[:4]
                    np.testing.assert_allclose(made, right, atol=1e-5)
                except Exception as error:
                    wrong.append(f"{address}, stream {streams}: {type(error).__name__} {error}")
                    return
                counts[index] += 1
                time.sleep(0.02)

    addresses = [(server.grpc, False), (server.grpc, True), (server.rest, False), (server.rest, True)]
    threads = [threading.Thread(target=load, args=(index, *each)) for index, each in enumerate(addresses)]
    try:
        for each in threads:
            each.start()
        for _ in range(2):
            before = list(counts)
            _until(lambda before=before: all(now > then + 3 for now, then in zip(counts, before)) or wrong)
            server.kill()
            server = Server(folder, ports=ports)
        before = list(counts)
        _until(lambda: all(now > then + 3 for now, then in zip(counts, before)) or wrong)
    finally:
        ended.set()
        for each in threads:
            each.join()
        server.kill()
    assert wrong == []


def _until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "the clients did not go on"
        time.sleep(0.05)
