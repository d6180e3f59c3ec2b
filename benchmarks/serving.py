"""The local server beside bare calls of the same graph: clips and steps, gRPC and REST, batches, clients, sessions.

    scs-keras export predrnn_video_small_moving_mnist --output DIR
    python benchmarks/serving.py DIR
    python benchmarks/serving.py DIR --frames 10000    also a long session: the time and memory of early and late frames

The server is a process of its own on this machine; each served call is followed by a bare one (TensorFlow's
Session of the same SavedModel, in this process), so that other work weighs on both alike. Milliseconds by the clock.
"""

import argparse
import gc
import os
import sys
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))  # tests.serving_process starts the server

import numpy as np
from measuring import provenance, result_path, write

from scs_keras.serving import Client
from tests.serving_process import Server

BATCHES, CLIENTS = (1, 4, 16), (1, 4, 16, 64)
RAW = {"content-type": "application/octet-stream"}


def main():
    parser = argparse.ArgumentParser(description="The local server beside bare calls of the same graph.")
    parser.add_argument("folder", type=Path, help="of an export")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each row")
    parser.add_argument("--frames", type=int, default=0, help="of a long session")
    given = parser.parse_args()
    document = {**provenance(), "model": given.folder.name, "seconds_of_a_row": given.seconds}
    began = time.monotonic()
    with Server(given.folder, "--sessions", "--max-batch-size", "16") as server:
        document["start_s"] = round(time.monotonic() - began, 2)
        bare = Bare(given.folder)
        gc.freeze()  # a client of REST has no TensorFlow, through whose objects the garbage collector would look
        document["first"] = first(server, bare)
        document["pairs"] = [*pairs(server, bare, given.seconds)]
        document["clients"] = [*clients(server, bare, given.seconds)]
        if given.frames:
            document["session"] = session(server, bare, given.frames)
    document["limits"] = limits(document)
    path = result_path("serving", document)
    write(path, document)
    print(path)


class Bare:
    """The graph as the server runs it, without a server."""

    def __init__(self, folder):
        from scs_keras.serving.server.loaded import Loaded

        version = max(int(each.name) for each in folder.iterdir() if each.name.isdigit())
        self.loaded = Loaded(folder.name, version, folder / str(version))
        shape = self.loaded.signatures["serving_default"].inputs["frames"].tensor_shape.dim
        self.clip = tuple(axis.size for axis in shape[1:])
        self.dice = np.random.default_rng(0)

    def clips(self, batch):
        return self.dice.integers(0, 256, (batch, *self.clip), "uint8")

    def call(self, signature, inputs):
        call = self.loaded.call(signature, inputs)
        return dict(zip(call.outputs, self.loaded.run(call.signature, call.outputs, call.arrays)))


def limits(document):
    """What was promised beside what was measured."""
    pairs = {each["name"]: each for each in document["pairs"]}
    many = next(each for each in document["clients"] if each["clients"] == 16)
    figures = {
        "gRPC, batch 16, of the bare call": (pairs["gRPC, clip, batch 16"]["ratio"], "<=", 1.10),
        "gRPC, batch 1, ms more than the bare call": (pairs["gRPC, clip, batch 1"]["more_ms"], "<=", 6),
        "16 clients, of one client's batches": (many["answers_per_s"] / many["one_client_batches_per_s"], ">=", 0.85),
        "first request, of the median": (document["first"]["first_ms"] / document["first"]["median_ms"], "<=", 3),
    }
    if "session" in document:
        times = document["session"]
        figures["late frames, of early ones"] = (times["late_p50_ms"] / times["early_p50_ms"], "<=", 1.10)
        figures["late frames, MB more"] = (times["memory_mb"][-1] - times["memory_mb"][0], "<=", 10)
    made = []
    for name, (figure, sign, limit) in figures.items():
        holds = figure <= limit if sign == "<=" else figure >= limit
        made.append(dict(name=name, measured=round(figure, 3), limit=f"{sign} {limit}", holds=holds))
        print(made[-1], flush=True)
    return made


def first(server, bare):
    """The first request after the start, and the median of those that follow."""
    frames = bare.clips(1)
    with Client(server.grpc, bare.loaded.name) as client:
        client.signatures()
        taken = [timed(lambda: client.predict(frames)) for _ in range(16)]
    return dict(first_ms=round(taken[0], 2), median_ms=round(float(np.median(taken[1:])), 2))


def pairs(server, bare, seconds):
    """A row for each protocol, kind of request and batch: one client, each served call followed by a bare one."""
    for address, protocol in ((server.grpc, "gRPC"), (server.rest, "REST")):
        with Client(address, bare.loaded.name) as client:
            for batch in BATCHES:
                frames = bare.clips(batch)
                yield row(
                    f"{protocol}, clip, batch {batch}",
                    seconds,
                    lambda frames=frames: client.predict(frames),
                    lambda frames=frames: bare.call("serving_default", {"frames": frames}),
                )
            yield step_row(f"{protocol}, step, the client keeps the state", seconds, client.stream().step, bare)
    yield step_row("REST, step, a session", seconds, Session(server, bare), bare)


def step_row(name, seconds, step, bare):
    frame = bare.clips(1)[:, 0]
    state = bare.call("initial_state", {"frame": frame})
    return row(name, seconds, lambda: step(frame), lambda: bare.call("step", {"frame": frame, **state}))


class Session:
    """Sends the frames of one session, raw."""

    def __init__(self, server, bare):
        import httpx

        self.http = httpx.Client(base_url=server.rest, trust_env=False, timeout=60)
        self.key = self.http.post("/v1/sessions", json={"model": bare.loaded.name}).json()["id"]
        self.number = 0

    def __call__(self, frame):
        path = f"/v1/sessions/{self.key}:step?number={self.number}"
        self.http.post(path, content=frame.tobytes(), headers=RAW).raise_for_status()
        self.number += 1


def row(name, seconds, served, bare):
    for _ in range(3):
        served(), bare()
    pairs_, end = [], time.monotonic() + seconds
    while time.monotonic() < end or len(pairs_) < 8:
        pairs_.append((timed(served), timed(bare)))
    mine, other = np.array(pairs_).T
    found = dict(
        name=name, calls=len(pairs_), **percentiles(mine), requests_per_s=round(1000 / float(mine.mean()), 1),
        bare_p50_ms=round(float(np.median(other)), 2), more_ms=round(float(np.median(mine - other)), 2),
        least_ms=round(float(mine.min()), 2), bare_least_ms=round(float(other.min()), 2),
        ratio=round(float(np.median(mine / other)), 3),
    )  # fmt: skip
    print(found, flush=True)
    return found


def clients(server, bare, seconds):
    """Answers per second of several clients with one clip each, beside one client's best batch in turn with them."""
    frames, many = bare.clips(1), bare.clips(BATCHES[-1])
    for count in CLIENTS:
        with Client(server.grpc, bare.loaded.name) as client:
            client.predict(many)
            half, end = [], time.monotonic() + seconds / 2
            while time.monotonic() < end:
                half.append(timed(lambda client=client: client.predict(many)))
        best = len(many) * 1000 / float(np.mean(half))
        taken, wall = at_once(server, bare, frames, count, seconds)
        found = dict(
            clients=count, answers_per_s=round(len(taken) / wall, 1), **percentiles(taken),
            one_client_batches_per_s=round(best, 1),
        )  # fmt: skip
        print(found, flush=True)
        yield found


def at_once(server, bare, frames, count, seconds):
    """(milliseconds of each call, seconds that all took)."""
    taken, ready = [], threading.Barrier(count + 1)

    def load():
        with Client(server.grpc, bare.loaded.name, timeout=120) as client:
            client.predict(frames)
            ready.wait()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                taken.append(timed(lambda: client.predict(frames)))

    threads = [threading.Thread(target=load) for _ in range(count)]
    for each in threads:
        each.start()
    ready.wait()
    began = time.monotonic()
    for each in threads:
        each.join()
    return taken, time.monotonic() - began


def session(server, bare, frames):
    """The last 200 frames of a long session, in turn with frames 5 to 15 of new ones, and the server's memory."""
    step, frame = Session(server, bare), bare.clips(1)[:, 0]
    early, late, memory = [], [], []
    for number in range(frames - 200):
        step(frame)
        if number in (200, frames // 2):
            memory.append(round(server.megabytes(), 1))
    for number in range(200):
        if number % 10 == 0:
            new = Session(server, bare)
            for _ in range(5):
                new(frame)
        late.append(timed(lambda: step(frame)))
        early.append(timed(lambda new=new: new(frame)))
    memory.append(round(server.megabytes(), 1))
    medians = [round(float(np.median(each)), 2) for each in (early, late)]
    found = dict(frames=step.number, memory_mb=memory, early_p50_ms=medians[0], late_p50_ms=medians[1])
    print(found, flush=True)
    return found


def timed(function):
    began = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - began)


def percentiles(taken):
    p50, p95, p99 = np.percentile(taken, (50, 95, 99))
    return dict(p50_ms=round(float(p50), 2), p95_ms=round(float(p95), 2), p99_ms=round(float(p99), 2))


if __name__ == "__main__":
    main()
