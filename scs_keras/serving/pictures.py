"""How large a picture is, read from the head of its file: what is decoded is known before memory is taken for it."""

import struct
from collections.abc import Iterable

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # of PNG's colour types; a palette has colours
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's segments that have the size
_ALONE = {0x01, *range(0xD0, 0xD8)}  # those without a length


def picture_size(file: bytes) -> tuple[int, int, int]:
    """(height, width, channels) that a PNG or JPEG file says it has.

    Raises:
        ValueError: it is neither, or ends before it says so.
    """
    try:
        if file[:8] == _PNG and file[12:16] == b"IHDR":
            width, height, _, colours = struct.unpack_from(">IIBB", file, 16)
            return _checked(height, width, _CHANNELS.get(colours, 0))
        if file[:2] == _JPEG:
            return _checked(*_of_jpeg(file))
    except (struct.error, IndexError):
        raise ValueError(f"A picture ends in its head. Received: {len(file)} bytes.") from None
    raise ValueError(f"Pictures are PNG or JPEG files. Received: {len(file)} bytes that begin with {file[:8]!r}.")


def _of_jpeg(file):
    at = 2
    while True:
        while file[at] == 0xFF and file[at + 1] == 0xFF:  # padding
            at += 1
        marker, kind = file[at], file[at + 1]
        if marker != 0xFF or kind in (0xD9, 0xDA):  # its end or its pixels, before its size
            raise ValueError("The JPEG file does not say how large it is.")
        at += 2
        if kind in _ALONE:
            continue
        (length,) = struct.unpack_from(">H", file, at)
        if kind in _FRAMES:
            height, width, channels = struct.unpack_from(">HHB", file, at + 3)
            return height, width, channels
        at += max(length, 2)


def _checked(height, width, channels):
    if not (height and width and channels):
        raise ValueError(f"The picture has no pixels. Received: {height}x{width}, {channels} channels.")
    return height, width, channels


def check_pictures(files: Iterable[bytes], most_pixels: int) -> None:
    """Raises ValueError unless all are pictures, of so many pixels together."""
    pixels = 0
    for file in files:
        height, width, _ = picture_size(file)
        pixels += height * width
        if pixels > most_pixels:
            raise ValueError(
                f"The pictures of a request may have {most_pixels:,} pixels together. Received: more, the last "
                f"{height}x{width}. Send smaller or fewer ones, or start the server with a larger limit of pixels."
            )
