"""Protobuf's encoding, for messages whose classes are not at hand or cost an object for each value."""


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, text, a message or packed values."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A whole number, seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])
