"""The size of a picture is read from its head as Pillow reads it; broken ones are refused before anything is decoded."""

import io

import numpy as np
import pytest

from scs_keras.serving.pictures import check_pictures, picture_size

Image = pytest.importorskip("PIL.Image", reason="writes the pictures")


def file_of(height, width, mode, kind, **options):
    written = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), "uint8")).convert(mode).save(written, kind, **options)
    return written.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind", "channels", "options"),
    [
        ("L", "PNG", 1, {}), ("RGB", "PNG", 3, {}), ("RGBA", "PNG", 4, {}), ("LA", "PNG", 2, {}), ("P", "PNG", 3, {}),
        ("L", "JPEG", 1, {}), ("RGB", "JPEG", 3, {}), ("RGB", "JPEG", 3, {"progressive": True}),
        ("RGB", "JPEG", 3, {"exif": b"Exif\0\0" + bytes(5000)}), ("CMYK", "JPEG", 4, {}),
    ],
)  # fmt: skip
def test_size_is_what_was_written(mode, kind, channels, options):
    file = file_of(37, 1023, mode, kind, **options)
    assert picture_size(file) == (37, 1023, channels)
    assert picture_size(file[: file.index(b"\xff\xda") if kind == "JPEG" else 40]) == (37, 1023, channels)  # head only


def test_a_bomb_is_measured_not_decoded():
    file = bytearray(file_of(1, 1, "L", "PNG"))
    file[16:24] = (60000).to_bytes(4, "big") * 2
    assert picture_size(bytes(file)) == (60000, 60000, 1)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "Pictures are PNG or JPEG files. Received: 0 bytes"),
        (b"GIF89a" + bytes(20), "begin with b'GIF89a"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "A picture ends in its head. Received: 18 bytes"),
        (b"\xff\xd8\xff\xe0", "A picture ends in its head. Received: 4 bytes"),
        (b"\xff\xd8\xff\xda\0\0", "does not say how large"),
        (b"\xff\xd8abcdefgh", "does not say how large"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(17), "The picture has no pixels. Received: 0x0"),
    ],
)
def test_what_is_no_picture_is_refused(file, message):
    with pytest.raises(ValueError, match="(?s).*") as error:
        picture_size(file)
    assert message in str(error.value)


@pytest.mark.parametrize("seed", range(200))
def test_any_bytes_end(seed):
    """Whatever follows the first bytes, it ends, with a size or a refusal."""
    values = np.random.default_rng(seed)
    file = bytearray(file_of(20, 30, "RGB", ("PNG", "JPEG")[seed % 2]))
    for _ in range(int(values.integers(1, 30))):
        file[values.integers(2, len(file))] = values.integers(256)
    try:
        assert min(picture_size(bytes(file[: values.integers(0, len(file))]))) > 0
    except ValueError:
        pass


def test_pixels_of_a_request_are_counted_together():
    files = [file_of(10, 20, "L", "PNG"), file_of(10, 30, "L", "JPEG")]
    check_pictures(files, 500)
    with pytest.raises(
        ValueError, match=r"may have 499 pixels together. Received: more, the last 10x30\. Send smaller"
    ):
        check_pictures(files, 499)
    with pytest.raises(ValueError, match="Pictures are PNG or JPEG files"):
        check_pictures([b"text"], 500)
