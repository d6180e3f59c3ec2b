"""The page of the local server, pressed and read in headless Chromium. $SCS_KERAS_SCREENSHOTS names a folder for pictures."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import served_model
from tests.served_model import HEIGHT, NAME, TIME, WIDTH, clips, expected

pytestmark = pytest.mark.slow
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium: apt-get install chromium", allow_module_level=True)

PIXELS = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from scs_keras.serving.server.pages import routes
    from scs_keras.serving.server.run import local_server

    folder = tmp_path_factory.mktemp("served")
    served_model.write(folder)
    with local_server(folder / NAME, routes=routes, sessions=True) as server, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser, f"http://127.0.0.1:{server.rest_port}"
        browser.close()


@pytest.fixture
def page(served):
    made = served[0].new_page(viewport=dict(width=1100, height=900))
    made.asked, made.errors = [], []
    made.on("request", lambda request: made.asked.append(request.url))
    made.on("pageerror", lambda error: made.errors.append(str(error)))
    made.goto(served[1])
    made.wait_for_function("() => document.getElementById('takes').textContent")
    yield made
    assert not made.errors
    assert all(url.startswith((served[1], "blob:", "data:")) for url in made.asked)  # nothing from outside
    made.close()


def picture(frame, kind="PNG"):
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(frame).save(written, kind)
    return written.getvalue()


def give(page, *files):
    page.set_input_files("#files", [dict(name=name, mimeType=kind, buffer=data) for name, kind, data in files])
    page.wait_for_function("() => !document.getElementById('said').textContent.match(/^(Reading|Asking)/)")
    page.wait_for_function("() => document.querySelector('#said.wrong') || !document.getElementById('answer').hidden")


def said(page):
    return page.inner_text("#said")


def drawn(page, row):
    """uint8 (frames, height, width) of a row of the answer, red."""
    canvases = page.query_selector_all(f"#drawn h3:has-text('{row}') + .frames canvas")
    return np.array([each.evaluate(PIXELS) for each in canvases], "uint8").reshape(len(canvases), HEIGHT, WIDTH, 4)[
        ..., 0
    ]


def shoot(page, name):
    if folder := os.environ.get("SCS_KERAS_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def npy(array):
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


def test_pictures_are_seen_in_the_order_of_their_numbers(page):
    frames = clips(1, time=12)[0, ..., 0]
    colours = np.repeat(frames[..., None], 3, axis=3)
    give(page, *((f"frame_{index}.png", "image/png", picture(colours[index])) for index in reversed(range(12))))
    assert said(page) == ""
    assert page.inner_text("#summary").startswith("12 pictures: The last 4 of 12 frames. Answered in ")
    np.testing.assert_array_equal(drawn(page, "observed"), frames[-TIME:])
    made = drawn(page, "predicted").astype(float)
    output = expected(frames[None, -TIME:, ..., None])[0][0, ..., 0]
    assert np.corrcoef(made.ravel(), output.ravel())[0, 1] > 0.95  # a map of colours, brighter for more
    shoot(page, "pictures")


def test_arrays_and_gifs(page):
    from PIL import Image

    frames = clips(1)[0, ..., 0]
    give(page, ("clip.npy", "", npy(frames)))
    np.testing.assert_array_equal(drawn(page, "observed"), frames)
    images, written = [Image.fromarray(each) for each in frames], io.BytesIO()
    images[0].save(written, "GIF", save_all=True, append_images=images[1:], duration=100)
    give(page, ("clip.gif", "image/gif", written.getvalue()))
    page.wait_for_function("() => document.getElementById('summary').textContent.startsWith('clip.gif')")
    assert abs(drawn(page, "observed").astype(int) - frames).max() <= 2
    assert "0.10 s" in page.inner_text("#drawn")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (("a.npy", "", npy(np.zeros((4, 8, 9), "uint8"))), "The array must be uint8 (time, 8, 12, 1). Received: |u1 (4, 8, 9)."),
        (("a.npy", "", npy(np.zeros((4, 8, 12), "float32"))), "The array must be uint8 (time, 8, 12, 1). Received: <f4"),
        (("a.npy", "", npy(np.zeros((3, 8, 12), "uint8"))), "The model sees 4 frames. Received: 3. Drop a longer clip"),
        (("a.npy", "", b"text"), "This is no .npy file."),
        (("a.png", "image/png", b"text"), "a.png is no picture that this browser can read."),
        (("a.gif", "image/gif", b"text"), "a.gif is no GIF that this browser can read."),
        (("a.mp4", "video/mp4", b"text"), "a.mp4 is no video that this browser can read."),
        (("a.txt", "text/plain", b"text"), "Drop a video, a GIF, pictures or a .npy file. Received: a.txt (text/plain)."),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(page, file, message):
    give(page, file)
    assert said(page).startswith(message)


def test_keyboard_alone_asks_and_streams(page):
    names = []
    for _ in range(4):
        page.keyboard.press("Tab")
        names.append(page.evaluate("() => document.activeElement.id"))
    assert names == ["model", "drop", "example", "camera"]  # there is no clip to stream yet
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("() => !document.getElementById('answer').hidden")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.id") == "stream"
    page.keyboard.press("Space")
    page.wait_for_function("() => document.getElementById('said').textContent.startsWith('Streamed')")
    assert said(page) == "Streamed 8 frames of a moving disc."
    assert page.inner_text("#figures").startswith("Frame 8: ") and " ms. Median " in page.inner_text("#figures")
    assert len(page.query_selector_all("#now canvas")) == 2
    shoot(page, "wide")


def test_narrow_pages_do_not_scroll_sideways(page):
    page.set_viewport_size(dict(width=360, height=700))
    page.click("#example")
    page.wait_for_function("() => !document.getElementById('answer').hidden")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    shoot(page, "narrow")


def test_a_refusal_of_the_server_is_shown(page):
    page.evaluate("() => { model.version = '9' }")
    page.click("#example")
    page.wait_for_function("() => document.querySelector('#said.wrong')")
    assert said(page) == "Servable not found for request: Specific(fading, 9)"
