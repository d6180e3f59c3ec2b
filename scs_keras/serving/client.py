"""Asks a server, TF Serving or `scs-keras serve`, for a model's answers: to clips, and to streams with a state."""

import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from scs_keras.serving.server.errors import ServingError
from scs_keras.serving.values import Arrays, Signature, batch_of, text_of

Version = int | str | None  # a number, a label, or the server's choice
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds before a call is repeated; each pause is twice the one before

START_ONE = (
    "Start one: scs-keras serve DIR; its gRPC is Client('HOST:8500'), its REST Client('http://HOST:8501'). "
    "One that speaks TLS is asked with certificate=FILE, by REST at https://."
)
"""What to do where no server answers."""


class Connection(Protocol):
    """What `Grpc` and `Rest` have in common. Each call is one try; it raises `ServingError`."""

    def models(self, timeout: float) -> list[str]: ...

    def metadata(self, model: str, version: Version, timeout: float) -> tuple[str, int, dict[str, Signature]]: ...

    def predict(
        self, model: str, version: Version, name: str, signature: Signature, inputs: dict, timeout: float
    ) -> dict: ...

    def close(self) -> None: ...


class Client:
    """A served model. `with Client(...) as client:` closes the connection at the end.

    Args:
        address: "HOST:8500" speaks gRPC, "http://HOST:8501" (or https) REST, which does not import TensorFlow.
        model: its name; None where `scs-keras serve` serves only one.
        version: number or label ("stable"); None for the one that the server chooses.
        timeout: seconds for each question to the server, with all repetitions.
        token: sent as "authorization: Bearer TOKEN".
        certificate: file of the authority that signed the server's, PEM; gRPC uses TLS if it is given.

    Raises:
        ImportError: a package of the protocol is missing; the message says what to type.
    """

    def __init__(
        self,
        address: str,
        model: str | None = None,
        version: Version = None,
        timeout: float = 30.0,
        token: str | None = None,
        certificate: str | None = None,
    ):
        if "://" in address:
            from scs_keras.serving.client_rest import Rest as Chosen
        else:
            from scs_keras.serving.client_grpc import Grpc as Chosen
        if not timeout > 0:
            raise ValueError(f"timeout must be positive seconds. Received: {timeout}.")
        self._connection: Connection = Chosen(address, token, certificate)
        self.address, self.model, self.version, self.timeout = address, model, version, timeout
        self._signatures: dict[str, Signature] | None = None

    # What is asked ----------------------------------------------------------------------------------

    def predict(self, inputs: Any, signature: str | None = None) -> Any:
        """The model's answer.

        Args:
            inputs: a clip (time, height, width, channels) or a batch of them; a list of the bytes of PNG or JPEG
                files, one for each frame, or a list of such lists; of several inputs a dict by name.
            signature: name; None for "serving_default", of files "serve_bytes".

        Returns:
            An array, or of several outputs a dict by name; with a batch axis if the inputs had one. Text is `str`,
            outputs whose name ends in "_bytes" are `bytes`.

        Raises:
            ValueError: inputs of another shape, or of a type that does not fit; nothing is sent.
            ServingError: the server refused or did not answer in time.
        """
        name = signature or ("serve_bytes" if _are_files(inputs) else "serving_default")
        try:
            batch, single = _batch(inputs, self._signature(name))
        except ValueError:
            self._signatures = None  # by now another version may be served, which takes them
            batch, single = _batch(inputs, self._signature(name))
        return _shown(self._answered(self.version, name, self._signature(name), batch), single)

    def stream(self) -> "Stream":
        """A new `Stream`: one frame after the other, each answer with the state that the frames before have left.

        Raises:
            ValueError: the model sees all frames at once.
        """
        return Stream(self)

    def signatures(self) -> dict[str, Signature]:
        """What the model takes and gives, by name of the signature; asked once."""
        known = self._signatures
        if known is None:
            known = self._signatures = self._described(self.version)[1]
        return known

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # How it is asked --------------------------------------------------------------------------------

    def _answered(self, version, name, signature, batch):
        """{output: array} of a batch as it is sent."""
        model = self._name()
        made = self._repeated(lambda left: self._connection.predict(model, version, name, signature, batch, left))
        if set(made) != set(signature.outputs):
            raise ServingError(
                "INTERNAL",
                f"The answer is of another model: expected {', '.join(sorted(signature.outputs))}, "
                f"received {', '.join(sorted(made))}. Give the version: Client(..., {model!r}, version=N).",
            )
        return made

    def _signature(self, name):
        known = self.signatures()
        if name not in known:
            raise ValueError(f"{self.model} has the signatures {', '.join(sorted(known))}. Received: {name!r}.")
        return known[name]

    def _described(self, version):
        """(version number, signatures)."""
        model = self._name()
        found, number, signatures = self._repeated(lambda left: self._connection.metadata(model, version, left))
        if found != model:
            raise ServingError("INTERNAL", f"The answer is of another model: expected {model}, received {found}.")
        return number, signatures

    def _name(self):
        if self.model is None:
            try:
                served = self._repeated(self._connection.models)
            except ServingError as error:
                if error.code == "UNAVAILABLE":
                    raise
                served = []  # TF Serving does not tell
            if len(served) != 1:
                said = f"it serves {', '.join(served)}" if served else "the server does not tell what it serves"
                raise ValueError(f"Which model? {said}. Type: Client({self.address!r}, {(served or ['NAME'])[0]!r}).")
            self.model = served[0]
        return self.model

    def _repeated(self, call: Callable[[float], Any]) -> Any:
        """What the call returns; it is repeated, with growing pauses, while the server is unavailable and time is left.

        A call that was answered, but whose answer was lost, changes nothing when repeated: the state is the client's.
        """
        end, pause, unavailable = time.monotonic() + self.timeout, FIRST_PAUSE, None
        while True:
            try:
                return call(max(end - time.monotonic(), 0.001))
            except ServingError as error:
                if error.code == "DEADLINE_EXCEEDED" and unavailable is not None:
                    raise unavailable from None  # the reason why there was no more time
                wait = pause * random.uniform(0.5, 1.0)  # so that many clients do not come back together
                if error.code != "UNAVAILABLE" or time.monotonic() + wait >= end:
                    raise
                unavailable = error
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)


class Stream:
    """A live stream: `step` for each frame. The state is kept here and goes with each frame, whichever server answers.

    All frames are seen by the version that saw the first.
    """

    def __init__(self, client: Client):
        for name in ("initial_state", "step"):
            if name not in client.signatures():
                raise ValueError(
                    f"{client.model} sees all frames at once: it has no signature {name!r}. "
                    "Keep the last frames and call predict(frames)."
                )
        self._client = client
        self.reset()

    def step(self, frame: Any) -> Any:
        """The answer for the next frame.

        Args:
            frame: (height, width, channels), or (batch, ...) of as many streams side by side; of several inputs a
                dict by name. What the model sees as a whole (not frame after frame) is given with the first frame.

        Returns:
            As `Client.predict`, without the state.

        Raises:
            ValueError, ServingError: as `Client.predict`; the state stays as it was, so that the frame can be repeated.
        """
        client, step = self._client, self._client._signature("step")
        given = frame if isinstance(frame, Mapping) else {"frame": frame}
        state, version = self._state, self._version
        if state is None:
            version, _ = client._described(client.version)
            first = client._signature("initial_state")
            state = client._answered(version, "initial_state", first, batch_of(given, first)[0])
        frames = {name: spec for name, spec in step.inputs.items() if name not in state}
        seen = {name: value for name, value in given.items() if name in frames}
        batch, single = batch_of(seen, Signature(frames, {}))
        made = client._answered(version, "step", step, {**batch, **state})
        held = {name: each for name, each in made.items() if name.startswith("next_state_")}
        self._state, self._version = {name.removeprefix("next_"): each for name, each in held.items()}, version
        return _shown({name: each for name, each in made.items() if name not in held}, single)

    def reset(self) -> None:
        """The next frame is the first of another sequence."""
        self._state: Arrays | None = None
        self._version: int | None = None


def _are_files(inputs):
    while isinstance(inputs, list | tuple) and inputs:
        inputs = inputs[0]
    return isinstance(inputs, bytes)


def _batch(inputs, signature):
    if isinstance(inputs, Mapping):
        return batch_of(inputs, signature)
    if len(signature.inputs) != 1:
        raise ValueError(f"The inputs are {', '.join(signature.inputs)}: give a dict of them.")
    return batch_of({next(iter(signature.inputs)): inputs}, signature)


def _shown(outputs, single):
    """As the caller sees them: text as text, without a batch axis that was not given, and one output alone."""
    made = {name: text_of(name, each) if each.dtype == object else each for name, each in outputs.items()}
    made = {name: each[0] for name, each in made.items()} if single else made
    return next(iter(made.values())) if len(made) == 1 else made
