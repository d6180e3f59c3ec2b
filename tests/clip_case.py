"""What the tests of labelled videos share: tiny videos whose frames tell their number, and presets as readers see them."""

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np

MILLISECOND = Fraction(1, 1000)
STEP = 6  # grey levels from one frame to the next


def pictures(count, size=(24, 32), start=0):
    """uint8 (count, height, width, 3): frame i is grey of the level `STEP` * (start + i)."""
    levels = STEP * (start + np.arange(count))
    return np.broadcast_to(levels[:, None, None, None], (count, *size, 3)).astype("uint8")


def write_video(path, frames, seconds=None, codec="mpeg4", key_every=12, **metadata):
    """Writes frames (time, height, width, 3), uint8; `seconds`: when each is shown, 10 a second by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = pictures(frames) if isinstance(frames, int) else frames
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata)
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.gop_size, stream.bit_rate = key_every, 4_000_000  # so that grey levels stay
        if seconds is not None:
            stream.codec_context.time_base = stream.time_base = MILLISECOND
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if seconds is not None:
                picture.time_base, picture.pts = MILLISECOND, round(1000 * seconds[index])
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def numbers(frames):
    """Which pictures of `pictures` frames (time, height, width, channels) are."""
    return np.rint(np.asarray(frames).mean(axis=(1, 2, 3)) / STEP).astype(int).tolist()


def preset(time=4, size=(24, 32), channels=3, labels=(), classes=2, by_frame=False):
    """What readers use of a preset."""
    shape = (time, classes) if by_frame else (classes,)
    return SimpleNamespace(input_shape=(time, *size, channels), output_shape=shape, labels=tuple(labels))


def save_thermal(path, degrees, seconds=None):
    """A .npz of thermal frames, all pixels of frame i at degrees[i]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    centi = np.broadcast_to(np.rint(100 * np.asarray(degrees))[:, None, None], (len(degrees), 24, 32)).astype("int16")
    seconds = np.arange(len(degrees)) / 8 if seconds is None else seconds
    np.savez(path, thermal_centi_c=centi, seconds=np.asarray(seconds, "float32"))
    return path
