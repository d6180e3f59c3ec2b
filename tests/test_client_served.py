"""The client against a server: the local one, or those in $SCS_SERVING_ADDRESS, such as TF Serving itself.

python -m tests.served_model FOLDER                                    # writes FOLDER/fading/1
docker run -p 8500:8500 -p 8501:8501 -v FOLDER/fading:/models/fading -e MODEL_NAME=fading tensorflow/serving
SCS_SERVING_ADDRESS=HOST:8500,http://HOST:8501 pytest tests/test_client_served.py
"""

import io
import os

import numpy as np
import pytest

from scs_keras.serving import Client, ServingError
from tests import served_model
from tests.served_model import NAME, clips, expected

pytest.importorskip("httpx", reason='REST: pip install "scs-keras[serving]"')
pytest.importorskip("tensorflow_serving", reason="messages: pip install --no-deps tensorflow-serving-api")

GIVEN = os.environ.get("SCS_SERVING_ADDRESS")


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    if GIVEN:
        yield GIVEN.split(",")
        return
    from scs_keras.serving.server.pages import routes
    from scs_keras.serving.server.run import local_server

    folder = tmp_path_factory.mktemp("served")
    served_model.write(folder)
    with local_server(folder / NAME, routes=routes) as server:
        yield [f"127.0.0.1:{server.port}", f"http://127.0.0.1:{server.rest_port}"]


@pytest.fixture(params=range(len(GIVEN.split(",")) if GIVEN else 2))
def client(request, addresses):
    with Client(addresses[request.param], NAME, timeout=30) as made:
        yield made


def test_a_clip_and_a_batch(client):
    frames = clips()
    output, labels = expected(frames)
    for dtype in ("uint8", "int64"):
        answer = client.predict(frames.astype(dtype))
        np.testing.assert_allclose(answer["output"], output, atol=1e-5)
        assert answer["output"].dtype == "float32" and list(answer["labels"]) == list(labels)
    answer = client.predict(frames[2])
    assert answer["output"].shape == output.shape[1:] and answer["labels"] == "bright"


def test_files(client):
    image = pytest.importorskip("PIL.Image")
    frames, files = clips(2), []
    for frame in frames.reshape(-1, *frames.shape[2:4]):
        written = io.BytesIO()
        image.fromarray(frame).save(written, "PNG")
        files.append(written.getvalue())
    half = len(files) // 2
    np.testing.assert_allclose(client.predict(files[:half])["output"], expected(frames)[0][0], atol=1e-5)
    np.testing.assert_allclose(client.predict([files[:half], files[half:]])["output"], expected(frames)[0], atol=1e-5)


@pytest.mark.parametrize("batch", [None, 3])
def test_streamed_is_the_whole(client, batch):
    frames = clips(batch or 1, time=7)
    output, stream = expected(frames)[0], client.stream()
    for index in range(7):
        answer = stream.step(frames[:, index] if batch else frames[0, index])
        np.testing.assert_allclose(answer["output"], output[:, index] if batch else output[0, index], atol=1e-5)


def test_more_than_4_mb(addresses):
    """What a gRPC client takes only if it is told to."""
    for address in (each for each in addresses if "://" not in each):
        with Client(address, NAME) as client:
            made = client.predict(np.float32(0.1), "large")
            assert made.shape == (1_500_000,) and (made == np.float32(0.1)).all()


def test_refusals_carry_the_servers_reason(client):
    address = client.address
    with Client(address, "nothing") as other, pytest.raises(ServingError, match="NOT_FOUND: .*nothing"):
        other.predict(clips(1))
    with Client(address, NAME, version=99) as other, pytest.raises(ServingError, match="NOT_FOUND: .*99"):
        other.predict(clips(1))
    with Client(address, NAME, version=1) as other:
        np.testing.assert_allclose(other.predict(clips(1))["output"], expected(clips(1))[0], atol=1e-5)
    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: "):
        client.predict([b"no", b"picture", b"at", b"all"])


@pytest.mark.skipif(GIVEN is not None, reason="TF Serving does not tell what it serves")
def test_the_only_model_needs_no_name(addresses):
    for address in addresses:
        with Client(address) as client:
            assert client.predict(clips(1)[0])["labels"] == "bright" and client.model == NAME
