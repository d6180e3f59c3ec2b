"""How a server listens, and what it refuses; the command line's options are made from these fields."""

from dataclasses import dataclass, field, fields
from typing import Any

from scs_keras.zoo.words import words


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


def said(name: str, value: object = None) -> str:
    """An option, with a value if one is given, as it is typed or as Python has it."""
    typed = f"--{name.replace('_', '-')}"
    return words(f"`{name}`", typed) if value is None else words(f"{name}={value!r}", f"{typed} {value}")


@dataclass(frozen=True)
class Options:
    """Of a local server. Sizes are those of one request; port 0 takes a free one."""

    rest_port: int = _option(8501, "port of REST; 0: a free one")
    port: int = _option(8500, "port of gRPC; 0: a free one")
    host: str = _option("127.0.0.1", "address to listen at; 0.0.0.0: all of this machine")
    tls_certificate: str | None = _option(None, "PEM file of the server's certificate: both ports speak TLS")
    tls_key: str | None = _option(None, "PEM file of the certificate's key")
    token_file: str | None = _option(None, "file with a token; clients send it as authorization: Bearer TOKEN")
    timeout: float = _option(30.0, "seconds for a request whose client names no deadline")
    body_timeout: float = _option(4.0, "seconds in which the head and the body of a REST request have to arrive")
    max_body_mb: int = _option(32, "largest body or message in MiB, unpacked")
    max_bodies_mb: int = _option(256, "most MiB of all bodies and messages in work together; more are refused")
    max_values: int = _option(16_000_000, "most values (pixels, numbers) in all inputs together")
    max_pixels: int = _option(16_000_000, "most pixels of all pictures together, before they are decoded")
    max_concurrency: int = _option(256, "most requests at a time; more are refused")
    max_queue: int = _option(100, "most requests that wait for the model; more are refused")
    max_batch_size: int = _option(8, "most rows that are computed together; 1: no batching")
    batch_threads: int = _option(2, "batches that are computed at a time")
    poll: float = _option(1.0, "seconds between two looks at the folders and the configuration")
    sessions: bool = _option(False, "keep the state of live streams: POST /v1/sessions")
    max_sessions: int = _option(100, "most sessions at a time")
    session_seconds: float = _option(300.0, "seconds without a frame after which a session ends")
    drain: float = _option(30.0, "seconds that requests in work have to finish when the server is told to end")

    def __post_init__(self):
        for each in fields(self):
            value = getattr(self, each.name)
            port = each.name in ("rest_port", "port")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and not (0 <= value < 65536 if port else value > 0):
                allowed = "a port from 0 to 65535" if port else "more than 0"
                raise ValueError(f"{said(each.name)} must be {allowed}. Received: {value}.")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"TLS needs both: {said('tls_certificate')} and {said('tls_key')}.")
