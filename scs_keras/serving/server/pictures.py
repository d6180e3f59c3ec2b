"""The size of a picture from its head, so that one which would fill the memory is refused before it is decoded."""

import struct
from collections.abc import Iterable

from scs_keras.serving.server.errors import too_large

_NO_SIZE = {0x01, *range(0xD0, 0xDA)}  # JPEG markers without a length
_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG markers with the size of the picture


def check_pixels(files: Iterable[bytes], most: int) -> None:
    """Raises 413 if PNG, JPEG, GIF and BMP files among the values have more than `most` pixels together."""
    count = 0
    for file in files:
        height, width = size_of(file)
        count += height * width
        if count > most:
            raise too_large(f"The pictures have {count} pixels or more; this server decodes {most} a request.")


def size_of(file: bytes) -> tuple[int, int]:
    """(height, width) that the head of a file names; (0, 0) for what is no such file, which no decoder takes."""
    try:
        if file.startswith(b"\x89PNG"):
            width, height = struct.unpack_from(">II", file, 16)
        elif file.startswith(b"GIF8"):
            width, height = struct.unpack_from("<HH", file, 6)
        elif file.startswith(b"BM"):
            width, height = map(abs, struct.unpack_from("<ii", file, 18))
        elif file.startswith(b"\xff\xd8"):
            height, width = _of_jpeg(file)
        else:
            return 0, 0
    except struct.error:  # cut off
        return 0, 0
    return height, width


def _of_jpeg(file):
    """The largest frame of those named: a file may name several."""
    largest, at = (0, 0), 2
    while at + 9 <= len(file):
        if file[at] != 0xFF or file[at + 1] in (0x00, 0xFF, *_NO_SIZE):
            at += 1  # data of the picture, filling, or a marker alone
            continue
        marker, length = file[at + 1], struct.unpack_from(">H", file, at + 2)[0]
        if marker in _FRAME:
            largest = max(largest, struct.unpack_from(">HH", file, at + 5), key=lambda size: size[0] * size[1])
        if marker == 0xDA:  # what follows is data
            break
        at += 2 + length
    return largest
