"""Live streams whose state the server keeps: one frame a request, frames of several sessions computed together.

TF Serving has none of it: there a client carries the state (`scs_keras.serving.Client.stream`).
"""

import asyncio
import hashlib
import math
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scs_keras.serving.server import json_answer, json_request
from scs_keras.serving.server.core import LONG, Core
from scs_keras.serving.server.errors import ServingError, invalid
from scs_keras.serving.server.loaded import Loaded
from scs_keras.serving.server.options import said
from scs_keras.serving.server.pictures import check_pixels, size_of

RAW = "application/octet-stream"
FIRST = (0, 1)  # numbers that the first frame may have
_STATE, _NEXT = "state_", "next_state_"


@dataclass
class Session:
    """One stream.

    Attributes:
        model, version: that see all its frames.
        state: {input of `step`: array}; None before the first frame.
        last: number, digest and answer of the last frame; it may be sent again.
    """

    model: str
    version: int
    state: dict[str, np.ndarray] | None = None
    last: tuple[int, bytes, bytes] | None = None
    used: float = 0.0
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sessions:
    """All sessions of a server; its methods belong to one event loop."""

    def __init__(self, core: Core):
        self._core, self._store, self._options = core, core.store, core.options
        self._sessions: dict[str, Session] = {}
        self._timer: asyncio.TimerHandle | None = None

    def create(self, body: bytes) -> dict[str, Any]:
        """A new session for the `model`, and the `version` or `label`, of a JSON object; what the client must know.

        Raises:
            ServingError: no such model or version, one that does not stream, or too many sessions.
        """
        document = json_request.parse(body) if body.strip() else {}
        name, version, label = self._asked(document)
        loaded = self._store.find(name, version, label)
        missing = {"step", "initial_state"} - set(loaded.signatures)
        if missing:
            raise invalid(
                f"{name} sees all frames at once: it has no signature {min(missing)}. Keep the last frames and send "
                f"them to /v1/models/{name}:predict."
            )
        self.forget_idle()
        if len(self._sessions) >= self._options.max_sessions:
            raise ServingError(
                "RESOURCE_EXHAUSTED",
                f"All {self._options.max_sessions} sessions are in use. DELETE /v1/sessions/ID ends one; one that is "
                f"not used ends after {self._options.session_seconds:g} s; {said('max_sessions')} allows more.",
            )
        key = secrets.token_urlsafe(16)
        self._sessions[key] = Session(name, loaded.version, used=time.monotonic())
        if self._timer is None:
            self._sweep()
        return {
            "id": key,
            "model": name,
            "version": str(loaded.version),
            "seconds_to_live": self._options.session_seconds,
            "state_bytes": state_bytes(loaded),
        }

    async def step(self, key: str, body: bytes, content_type: str, number: str | None) -> bytes:
        """The answer for the next frame, or once more the one for the last.

        Args:
            key: of the session.
            body: a JSON object with `frame` (or the model's inputs by name) and `number`, raw pixels, or a PNG or JPEG
                file.
            content_type: which of them it is.
            number: of the frame, for a body that is no JSON; None: it is the next.

        Raises:
            ServingError: no such session, a frame out of order, or one that the model does not take.
        """
        session = self._find(key)
        async with session.alone:
            session.used = time.monotonic()
            loaded = self._served(key, session)
            with loaded.held():
                frames, number_ = await self._frames(session, loaded, body, content_type, number)
                seen = {name: frames[name] for name in loaded.inputs_of("step") if not name.startswith(_STATE)}
                digest = _digest(seen)
                running = self._number(session, number_, digest)
                if session.last and running == session.last[0]:
                    return session.last[2]
                state = session.state or await self._core.run(loaded, "initial_state", frames)
                made = await self._core.run(loaded, "step", {**seen, **state})
            outputs = {
                name: np.asarray(each[0], each.dtype) for name, each in made.items() if not name.startswith(_NEXT)
            }
            answer = b'{\n    "number": %d,' % running + json_answer.columns(outputs).removeprefix(b"{")
            session.state = {  # copies: a row of a batch would hold the whole batch
                name.removeprefix("next_"): each.copy() for name, each in made.items() if name.startswith(_NEXT)
            }
            session.last, session.used = (running, digest, answer), time.monotonic()
            return answer

    async def reset(self, key: str) -> None:
        """The next frame is the first of another sequence."""
        session = self._find(key)
        async with session.alone:
            session.state = session.last = None
            session.used = time.monotonic()

    def delete(self, key: str) -> None:
        """Ends a session."""
        self._find(key)
        del self._sessions[key]

    def forget_idle(self) -> None:
        """Ends the sessions that were not used for too long."""
        oldest = time.monotonic() - self._options.session_seconds
        for key, session in list(self._sessions.items()):
            if session.used < oldest and not session.alone.locked():
                del self._sessions[key]

    def _sweep(self):
        """Gives the memory of idle sessions back, as long as there are any."""
        self.forget_idle()
        wait = max(self._options.session_seconds / 4, 0.1)
        self._timer = asyncio.get_running_loop().call_later(wait, self._sweep) if self._sessions else None

    # What a request means -----------------------------------------------------------------------------------------

    def _asked(self, document: dict[str, Any]) -> tuple[str, Any, Any]:
        name, version, label = (document.get(key) for key in ("model", "version", "label"))
        if name is None:
            served = list(self._store.models())
            if len(served) != 1:
                raise invalid(f'Which model? Served: {", ".join(served)}. Send {{"model": NAME}}.')
            name = served[0]
        if isinstance(version, str) and version.isdecimal():  # as it is written everywhere else
            version = int(version)
        for key, value, kind in (("model", name, str), ("version", version, int), ("label", label, str)):
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                raise invalid(f"'{key}' must be {'a whole number' if kind is int else 'a string'}.")
        return name, version, label

    def _find(self, key):
        self.forget_idle()
        if key not in self._sessions:
            raise ServingError(
                "NOT_FOUND",
                "There is no such session; one that is not used ends after "
                f"{self._options.session_seconds:g} s. POST /v1/sessions starts one.",
            )
        return self._sessions[key]

    def _served(self, key, session):
        try:
            return self._store.find(session.model, session.version)
        except ServingError:
            self._sessions.pop(key, None)
            raise ServingError(
                "NOT_FOUND",
                f"Version {session.version} of {session.model}, which saw this session's frames, is served no longer. "
                "POST /v1/sessions starts one with another version.",
            ) from None

    async def _frames(self, session, loaded, body, content_type, number):
        """({input: array of one row}, number of the frame or None)."""
        signature = "step" if session.state else "initial_state"
        infos = {
            name: info for name, info in loaded.signatures[signature].inputs.items() if not name.startswith(_STATE)
        }
        kind = content_type.partition(";")[0].strip().lower()
        if kind == RAW:
            return _raw(infos, body), _whole_number(number)
        if kind.startswith("image/"):
            return await self._decoded(infos, body), _whole_number(number)
        dtypes = {name: each for name, each in loaded.inputs_of(signature).items() if name in infos}
        async with self._core.reading(len(body)):
            arrays, number = await self._of_json(body, dtypes, number)
        if isinstance(arrays, bytes):
            return await self._decoded(infos, arrays), number
        for name, array in arrays.items():
            _check_shape(name, array.shape[1:], infos[name])
        return arrays, number

    async def _of_json(self, body, dtypes, number):
        """({input: array of one row} or the file that stands for it, number of the frame or None)."""
        document = await self._core.in_thread(len(body), json_request.parse, body)
        number = _whole_number(number) if number is not None else document.pop("number", None)
        if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
            raise invalid("'number' must be a whole number.")
        frame = document.get("frame")
        if isinstance(frame, dict) and set(frame) == {"b64"}:
            (file,) = json_request.inputs_of({"inputs": frame}, {"frame": "string"}, 1).arrays.values()
            return file.item(), number
        rows = {name: [document[name]] for name in dtypes if name in document}
        read, most = json_request.inputs_of, self._options.max_values
        return (await self._core.in_thread(len(body), read, {"inputs": rows}, dtypes, most)).arrays, number

    async def _decoded(self, infos, file):
        """The pixels of a PNG or JPEG file, which must be as large as the model's frames."""
        name, (height, width, channels) = _pixels(infos)
        check_pixels([file], self._options.max_pixels)
        received = size_of(file)
        if not all(size in (None, given) for given, size in zip(received, (height, width))):
            raise invalid(f"Frames have {height}x{width} pixels. Received: {received[0]}x{received[1]}.")
        return {name: (await self._core.in_thread(LONG, _decode, file, channels))[None]}

    def _number(self, session, number, digest):
        """The running number of a frame; it is the last one's if that is sent again."""
        if session.last is None:
            if number not in (None, *FIRST):
                raise ServingError("ABORTED", f"The first frame has number 0 or 1. Received: {number}.")
            return number or 0
        last, seen, _ = session.last
        if number in (None, last + 1):
            return last + 1
        if number == last and digest == seen:
            return last
        other = f", and number {last} was another frame" if number == last else ""
        raise ServingError("ABORTED", f"The next frame has number {last + 1}{other}. Received: {number}.")


def state_bytes(loaded: Loaded) -> int | None:
    """Memory of a session's state; None where the size of the frames is free."""
    import tensorflow as tf

    shapes = {
        name: (_sizes(info), tf.dtypes.as_dtype(info.dtype))
        for name, info in loaded.signatures["step"].inputs.items()
        if name.startswith(_STATE)
    }
    if any(None in sizes for sizes, _ in shapes.values()):
        return None
    return sum(math.prod(sizes) * dtype.size for sizes, dtype in shapes.values())


def _raw(infos, body):
    name, shape = _pixels(infos)
    if None in shape or len(body) != math.prod(shape):
        raise invalid(
            f"Raw pixels are {_shown(shape)} bytes, rows of a frame one after the other. Received: {len(body)}."
        )
    return {name: np.frombuffer(body, np.uint8).reshape(1, *shape)}


def _check_shape(name, received, info):
    expected = _sizes(info)
    if len(received) != len(expected) or any(size not in (None, given) for given, size in zip(received, expected)):
        raise invalid(f"{name} is {_shown(expected)} numbers. Received: {_shown(received)}.")


def _sizes(info) -> tuple[Any, ...]:
    """Without the batch axis; None where a size is free."""
    return tuple(None if axis.size < 0 else axis.size for axis in info.tensor_shape.dim[1:])


def _shown(shape):
    return "x".join("any" if size is None else str(size) for size in shape) or "1"


def _pixels(infos) -> tuple[str, tuple[Any, ...]]:
    """(name, (height, width, channels)) of the one input, which must be pixels."""
    from tensorflow.core.framework import types_pb2

    (name, info), *others = infos.items()
    if others or info.dtype != types_pb2.DT_UINT8 or len(info.tensor_shape.dim) != 4:
        raise invalid(f"This model takes {', '.join(infos)} as numbers: send JSON.")
    return name, _sizes(info)


def _decode(file, channels):
    import tensorflow as tf

    try:
        return tf.io.decode_image(file, channels=channels or 0, expand_animations=False).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise invalid(f"The picture cannot be decoded: {error.message}") from None


def _whole_number(text):
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise invalid(f"'number' must be a whole number. Received: {text[:40]!r}.")
    return int(text)


def _digest(arrays):
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.digest()
