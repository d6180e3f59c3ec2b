"""The code of docs/clients.md, and the live example, run against the local server."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests import served_model
from tests.served_model import clips, expected

pytest.importorskip("httpx", reason='REST: pip install "scs-keras[serving]"')
pytest.importorskip("tensorflow_serving", reason="messages: pip install --no-deps tensorflow-serving-api")

ROOT = Path(__file__).parents[1]
CODE = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "clients.md").read_text(), re.M | re.S)
MODEL = "scs_action_small_fight"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from scs_keras.serving.server.pages import routes
    from scs_keras.serving.server.run import local_server

    folder = tmp_path_factory.mktemp("served")
    served_model.write(folder)
    with local_server(folder / served_model.NAME, name=MODEL, routes=routes, sessions=True) as made:
        yield made


@pytest.mark.parametrize("code", CODE, ids=range(len(CODE)))
def test_code_of_the_page(server, code, tmp_path, monkeypatch):
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    monkeypatch.chdir(tmp_path)
    frames = clips(3)[2]
    np.save("clip.npy", frames)
    output, labels = expected(frames[None])
    here = code.replace("HOST:8500", f"127.0.0.1:{server.port}").replace("HOST:8501", f"127.0.0.1:{server.rest_port}")
    made = {}
    exec(here, made)
    found = np.squeeze(made["output"] if "output" in made else made["answer"]["output"])
    whole = found.ndim == 3
    np.testing.assert_allclose(found, np.squeeze(output[0] if whole else output[0, -1]), atol=1e-5)
    if "labels" in code:
        assert made["answer"]["labels"] == labels[0]


def test_all_ways_are_there():
    assert len(CODE) == 7 and sum("for frame" in code or "frame in" in code for code in CODE) == 4


@pytest.mark.parametrize("protocol", ["gRPC", "REST"])
def test_live_example(server, protocol, tmp_path, capsys):
    av = pytest.importorskip("av")
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 24, 16, "yuv420p"
        for level in (0, 80, 250, 250, 250):
            pixels = np.full((16, 24, 3), level, "uint8")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    address = f"127.0.0.1:{server.port}" if protocol == "gRPC" else f"http://127.0.0.1:{server.rest_port}"
    example: dict = {"__name__": "example"}
    exec((ROOT / "examples" / "live_stream.py").read_text(), example)
    example["main"]([address, MODEL, str(path)])
    lines = capsys.readouterr().out.strip().split("\r")
    assert lines[0].startswith("frame 1: dark, ") and lines[-1].startswith("frame 5: bright, ")
    assert re.search(r"\d+\.\d ms \(p50 \d+\.\d, p95 \d+\.\d\)", lines[-1])
