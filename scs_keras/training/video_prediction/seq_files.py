"""Norpix .seq files, the videos of Caltech Pedestrian: a header, then one JPEG image a frame.

Little-endian. Header: 0xFEED at byte 0, its own size at byte 32. A frame: its size in bytes (4 bytes, which count),
the JPEG image, a time stamp of a length that differs from version to version.
"""

import functools
import io
import mmap
import struct
from pathlib import Path

import numpy as np

from scs_keras.training.video_prediction.images import decode_image
from scs_keras.training.video_prediction.video import Video

_MAGIC, _JPEG = 0xFEED, b"\xff\xd8\xff"
_LONGEST_STAMP = 64  # bytes; 8 in Caltech's files, 16 in newer ones


def seq_video(path, size, channels, every=1):
    """A video of every third frame, say: frames 2, 5, 8, ... for every=3. They are decoded when they are needed.

    Args:
        path: of the file.
        size: (height, width) that frames get: the middle is cut out of another shape.
        channels: 1 (grey) or 3 (RGB).
        every: of so many frames the last is kept.

    Raises:
        ValueError: the file is not such a file, or truncated.
        ImportError: Pillow is missing.
    """
    path = Path(path)
    places = frame_places(path)[every - 1 :: every]

    def read(start, stop):
        return np.stack([_frame(path, place, tuple(size), channels) for place in places[start:stop]])

    return Video(f"{path.parent.name}/{path.name}", len(places), read)


def frame_places(path):
    """[(first byte, number of bytes)] of the JPEG images of a file.

    Raises:
        ValueError: the file is not a .seq file of JPEG images, or truncated.
    """
    with open(path, "rb") as file:
        if len(file.read(36)) < 36:
            raise ValueError(f"{path}: is not a .seq file; it has fewer bytes than a header. Get it again.")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    magic, place = struct.unpack_from("<I28xi", data)
    if magic != _MAGIC:
        raise ValueError(f"{path}: is not a .seq file; it starts with {magic:#x} and not {_MAGIC:#x}. Get it again.")
    places = []
    while place + 4 < len(data):
        (size,) = struct.unpack_from("<I", data, place)
        if data[place + 4 : place + 7] != _JPEG:
            raise ValueError(f"{path}: frame {len(places)} is no JPEG image; only such .seq files are read.")
        if place + size > len(data):
            raise ValueError(f"{path}: is truncated in frame {len(places)}. Get it again.")
        places.append((place + 4, size - 4))
        following = data.find(_JPEG, place + size, place + size + _LONGEST_STAMP)
        if following < 0:
            break
        place = following - 4
    return places


@functools.lru_cache(maxsize=2**13)
def _frame(path, place, size, channels):
    with open(path, "rb") as file:
        file.seek(place[0])
        return decode_image(io.BytesIO(file.read(place[1])), path, size, channels)
