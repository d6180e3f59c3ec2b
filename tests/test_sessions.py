"""Streams whose state the server keeps: the numbers of the whole clip, order, limits, and batches of several."""

import asyncio
import collections
import gc
import io
import json
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests import served_model
from tests.served_model import NAME, clips, expected

httpx = pytest.importorskip("httpx", reason='REST: pip install "scs-keras[serving]"')
pytest.importorskip("tensorflow_serving", reason="messages: pip install --no-deps tensorflow-serving-api")

RAW = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from scs_keras.serving.server.pages import routes
    from scs_keras.serving.server.run import local_server

    folder = tmp_path_factory.mktemp("served")
    served_model.write(folder)
    options = dict(sessions=True, max_sessions=4, session_seconds=60.0, poll=0.05)
    with local_server(folder / NAME, routes=routes, **options) as made:
        made.folder = folder
        yield made


@pytest.fixture
def http(server):
    base, started = f"http://127.0.0.1:{server.rest_port}", []

    def note(answer):
        if answer.request.url.path == "/v1/sessions" and answer.status_code == 200:
            started.append(json.loads(answer.read())["id"])

    with httpx.Client(base_url=base, trust_env=False, event_hooks={"response": [note]}) as client:
        yield client
        for each in started:
            client.delete(f"/v1/sessions/{each}")


@pytest.fixture
def session(http):
    """(id, function of a path after it and what `post` takes)."""
    made = http.post("/v1/sessions", json={"model": NAME}).json()
    return made["id"], lambda path, **given: http.post(f"/v1/sessions/{made['id']}{path}", **given)


def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def png(frame):
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(frame[..., 0]).save(written, "PNG")
    return written.getvalue()


def test_streamed_is_the_whole_however_a_frame_is_sent(session):
    step = session[1]
    frames = clips(1, time=9)[0]
    output, _ = expected(frames[None])
    ways = (
        lambda number, frame: step(":step", json={"number": number, "frame": frame.tolist()}),
        lambda number, frame: step(f":step?number={number}", content=frame.tobytes(), headers=RAW),
        lambda number, frame: step(f":step?number={number}", content=png(frame), headers={"content-type": "image/png"}),
    )
    for number, frame in enumerate(frames):
        answer = ways[number % 3](number, frame)
        assert answer.status_code == 200 and answer.json()["number"] == number
        np.testing.assert_allclose(answer.json()["outputs"]["output"], output[0, number], atol=1e-5)
        assert answer.json()["outputs"]["labels"] in served_model.LABELS
    assert step(":reset").json() == {}
    np.testing.assert_allclose(ways[0](0, frames[0]).json()["outputs"]["output"], output[0, 0], atol=1e-5)


def test_a_session_says_what_it_is(http, session):
    made = http.post("/v1/sessions", json={"model": NAME, "version": "1"}).json()
    assert made.pop("id") != session[0]
    assert made == dict(model=NAME, version="1", seconds_to_live=60, state_bytes=4 * 8 * 12)


def test_a_frame_sent_again_gets_the_same_answer_and_changes_nothing(session):
    frames, step = clips(1, time=3)[0], session[1]
    output, _ = expected(frames[None])
    first = step(":step?number=1", content=frames[0].tobytes(), headers=RAW)  # numbers from 1 on are fine too
    for _ in range(3):
        again = step(":step", json={"number": 1, "frame": frames[0].tolist()})
        assert again.content == first.content
    for number in (2, 3):
        answer = step(f":step?number={number}", content=frames[number - 1].tobytes(), headers=RAW)
    np.testing.assert_allclose(answer.json()["outputs"]["output"], output[0, 2], atol=1e-5)


def test_frames_out_of_order_are_refused(session):
    frames, step = clips(1, time=3)[0], session[1]

    def refused(number, frame, message):
        answer = step(f":step?number={number}", content=frame.tobytes(), headers=RAW)
        assert (answer.status_code, answer.json()["error"]) == (409, message)

    refused(7, frames[0], "The first frame has number 0 or 1. Received: 7.")
    for number in (0, 1):
        step(f":step?number={number}", content=frames[number].tobytes(), headers=RAW)
    refused(3, frames[2], "The next frame has number 2. Received: 3.")
    refused(0, frames[0], "The next frame has number 2. Received: 0.")
    refused(1, frames[2], "The next frame has number 2, and number 1 was another frame. Received: 1.")
    answer = step(":step", json={"frame": frames[2].tolist()})  # without a number it is the next
    np.testing.assert_allclose(answer.json()["outputs"]["output"], expected(frames[None])[0][0, 2], atol=1e-5)


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (bytes(95), RAW["content-type"], "Raw pixels are 8x12x1 bytes, rows of a frame one after the other. Received: 95."),
        (b"text", "image/png", "Frames have 8x12 pixels. Received: 0x0."),
        (png(np.zeros((9, 12, 1), "uint8")), "image/png", "Frames have 8x12 pixels. Received: 9x12."),
        (png(np.zeros((8, 12, 1), "uint8"))[:45], "image/png", "The picture cannot be decoded: "),
        (b"{}", "application/json", "Missing named input: frame"),
        (b'{"frame": [[1]]}', "application/json", "frame is 8x12x1 numbers. Received: 1x1."),
        (b'{"frame": {"b64": "*"}}', "application/json", "base64"),
        (b'{"frame": "x"}', "application/json", "x"),
        (b'{"number": 1.5, "frame": 1}', "application/json", "'number' must be a whole number."),
        (b"{", "application/json", "Parse"),
    ],
)  # fmt: skip
def test_what_is_no_frame_is_refused_and_changes_nothing(session, content, kind, message):
    answer = session[1](":step", content=content, headers={"content-type": kind})
    assert answer.status_code == 400
    assert message in answer.json()["error"], answer.text
    frame = clips(1)[0, 0]
    answer = session[1](":step?number=0", content=frame.tobytes(), headers=RAW)
    np.testing.assert_allclose(answer.json()["outputs"]["output"], frame / 255, atol=1e-5)


def test_a_number_must_be_one(session):
    answer = session[1](":step?number=-1", content=bytes(96), headers=RAW)
    assert (answer.status_code, answer.json()["error"]) == (400, "'number' must be a whole number. Received: '-1'.")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"model": "none"}, 404, "Servable not found for request: Latest(none)"),
        ({"model": NAME, "version": 9}, 404, "Specific(fading, 9)"),
        ({"model": NAME, "label": "none"}, 400, "Unrecognized servable version label: none"),
        ({"model": 5}, 400, "'model' must be a string."),
        ({"model": NAME, "version": True}, 400, "'version' must be a whole number."),
        ([], 400, ""),
    ],
)
def test_a_session_of_what_is_not_served(http, body, status, message):
    answer = http.post("/v1/sessions", json=body)
    assert answer.status_code == status and message in answer.json()["error"], answer.text


@pytest.mark.parametrize("path", [":step", ":reset"])
def test_unknown_sessions(http, path):
    answer = http.post(f"/v1/sessions/none{path}", json={"frame": 1})
    assert answer.status_code == 404 and answer.json()["error"].startswith("There is no such session;")
    assert http.delete("/v1/sessions/none").status_code == 404


def test_too_many_sessions(http):
    made = [http.post("/v1/sessions").json()["id"] for _ in range(4)]  # of the only model
    answer = http.post("/v1/sessions")
    assert answer.status_code == 429 and answer.json()["error"].startswith("All 4 sessions are in use. DELETE")
    assert http.delete(f"/v1/sessions/{made[0]}").json() == {}
    made[0] = http.post("/v1/sessions").json()["id"]


def test_idle_sessions_end(server, http, monkeypatch):
    from scs_keras.serving.server import sessions

    key, later = http.post("/v1/sessions").json()["id"], http.post("/v1/sessions").json()["id"]
    now = time.monotonic
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=lambda: now() + 50))
    assert http.post(f"/v1/sessions/{later}:step", content=bytes(96), headers=RAW).status_code == 200
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=lambda: now() + 70))
    assert http.post(f"/v1/sessions/{key}:step", content=bytes(96), headers=RAW).status_code == 404
    assert http.delete(f"/v1/sessions/{later}").status_code == 200


def test_frames_of_several_sessions_are_computed_together(server, http):
    """While one batch is computed, the frames that come wait and make the next; each gets its own answer."""
    keys = [http.post("/v1/sessions").json()["id"] for _ in range(4)]
    frames = clips(4, time=5)
    output, _ = expected(frames)
    loaded = server.core.store.find(NAME)
    run, rows, all_here = loaded.run, [], threading.Event()

    def with_company(signature, outputs, arrays):
        rows.append(len(arrays[0]))
        if len(rows) <= 2:  # both threads compute; the frames of the other sessions have to wait
            until(lambda: all_here.is_set() or sum(rows) + len(server.core._batcher._waiting) >= 4)
            all_here.set()
        return run(signature, outputs, arrays)

    loaded.run = with_company
    answers = {}

    def stream(index):
        with httpx.Client(base_url=str(http.base_url), trust_env=False) as client:
            for number, frame in enumerate(frames[index]):
                path = f"/v1/sessions/{keys[index]}:step?number={number}"
                answer = client.post(path, content=frame.tobytes(), headers=RAW)
                answers[index, number] = answer.json()["outputs"]["output"]

    threads = [threading.Thread(target=stream, args=(index,)) for index in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    loaded.run = run
    for (index, number), answer in answers.items():
        np.testing.assert_allclose(answer, output[index, number], atol=1e-5)
    assert len(answers) == 20 and max(rows) > 1, rows


def test_the_same_frame_at_the_same_time_is_seen_once(server, session):
    frame = clips(1)[0, 0]

    async def both():
        base = f"http://127.0.0.1:{server.rest_port}/v1/sessions/{session[0]}:step?number=0"
        async with httpx.AsyncClient(trust_env=False) as client:
            return await asyncio.gather(*(client.post(base, content=frame.tobytes(), headers=RAW) for _ in range(5)))

    answers = asyncio.run(both())
    assert {each.content for each in answers} == {answers[0].content}
    np.testing.assert_allclose(answers[0].json()["outputs"]["output"], frame / 255, atol=1e-5)


def test_a_session_ends_with_its_version(server, http):
    """Another one would not understand its state."""
    path = served_model.write(server.folder, 2, offset=1.0)
    until(lambda: server.core.store.find(NAME).version == 2)
    made = http.post("/v1/sessions").json()
    step = f"/v1/sessions/{made['id']}:step"
    answer = http.post(step, content=bytes(96), headers=RAW)
    np.testing.assert_allclose(answer.json()["outputs"]["output"], np.ones((8, 12, 1)), atol=1e-6)
    path.rename(path.with_name("gone"))
    until(lambda: server.core.store.find(NAME).version == 1)
    answer = http.post(step, content=bytes(96), headers=RAW)
    assert answer.status_code == 404
    assert answer.json()["error"].startswith(
        "Version 2 of fading, which saw this session's frames, is served no longer."
    )


def test_models_that_see_all_frames_at_once_have_no_sessions(server, http):
    loaded = server.core.store.find(NAME)
    kept = loaded.signatures
    loaded.signatures = {name: each for name, each in kept.items() if name != "step"}
    answer = http.post("/v1/sessions")
    loaded.signatures = kept
    assert answer.status_code == 400
    assert answer.json()["error"] == (
        "fading sees all frames at once: it has no signature step. Keep the last frames and send them to "
        "/v1/models/fading:predict."
    )


def test_without_the_option_there_are_none(server):
    from starlette.routing import Route

    from scs_keras.serving.server.core import Core
    from scs_keras.serving.server.options import Options
    from scs_keras.serving.server.pages import routes

    found = [each.path for each in routes(Core(server.core.store, Options())) if isinstance(each, Route)]
    assert found == ["/", "/models"]


def test_one_of_several_models_has_to_be_named():
    from scs_keras.serving.server.errors import ServingError
    from scs_keras.serving.server.sessions import Sessions

    store = SimpleNamespace(models=lambda: {"one": {}, "two": {}})
    with pytest.raises(ServingError, match=r'Which model\? Served: one, two\. Send {"model": NAME}\.'):
        Sessions(SimpleNamespace(store=store, options=None)).create(b"")


def test_models_of_numbers_take_json():
    from tensorflow.core.protobuf import meta_graph_pb2

    from scs_keras.serving.server import sessions
    from scs_keras.serving.server.errors import ServingError

    infos = {"frame": meta_graph_pb2.TensorInfo(dtype=1)}
    with pytest.raises(ServingError, match=r"This model takes frame as numbers: send JSON\."):
        sessions._raw(infos, b"")


@pytest.mark.slow
def test_late_frames_cost_what_early_ones_do(server):
    """A session has its state and the last answer, however long it is: as many calls a frame, as much memory."""
    from scs_keras.serving.server import sessions as module
    from scs_keras.serving.server.core import Core
    from scs_keras.serving.server.options import Options

    frames = [frame.tobytes() for frame in clips(1, time=20)[0]]
    folder = str(Path(module.__file__).parent)
    calls, held = collections.Counter(), {}

    async def stream(core):
        sessions, number = module.Sessions(core), 0
        key = sessions.create(b"")["id"]

        def count(frame, event, argument):
            if event == "call" and frame.f_code.co_filename.startswith(folder):
                calls[number] += 1

        for number in range(1, 1_001):
            sys.setprofile(count if number in (10, 1_000) else None)
            await sessions.step(key, frames[number % 20], RAW["content-type"], str(number))
            sys.setprofile(None)
            if number in (200, 1_000):
                gc.collect()
                held[number] = tracemalloc.get_traced_memory()[0]

    core = Core(server.core.store, Options(sessions=True))
    tracemalloc.start()
    try:
        asyncio.run(stream(core))
    finally:
        sys.setprofile(None)
        tracemalloc.stop()
        core.close()
    assert calls[1_000] == calls[10] > 10
    assert held[1_000] - held[200] < 800 * 50, held  # the least that Python could keep of each frame
