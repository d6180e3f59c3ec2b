"""A version of a model in memory: its signatures, and the graph behind them, run as TF Serving runs it."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.serving.server.errors import ServingError, invalid, of_tensorflow
from scs_keras.serving.server.tensors import arrays_of, dtype_name

DEFAULT = "serving_default"
METHODS = tuple(f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))
WARMUP = "assets.extra/tf_serving_warmup_requests"
MOST_RECORDS = 1000  # of warm-up


@dataclass(frozen=True)
class Call:
    """A request to a signature, checked: arrays in the order of the signature's sorted inputs."""

    signature: str
    arrays: tuple[np.ndarray, ...]
    outputs: tuple[str, ...]


class Loaded:
    """A loaded version. Blocking calls: `load` and `run` belong in threads.

    Attributes:
        name: of the model.
        version: number.
        path: its folder.
        signatures: {name: SignatureDef}.
        uses: number of requests that hold it.
    """

    def __init__(self, name: str, version: int, path: Path):
        import tensorflow as tf

        self.name, self.version, self.path = name, version, path
        self.uses = 0
        self._callables: dict[tuple, Any] = {}
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph)
        try:
            with self._graph.as_default():
                definition = tf.compat.v1.saved_model.load(self._session, ["serve"], str(path))
        except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
            self._session.close()
            raise of_tensorflow(error) from error
        self.signatures: Mapping[str, Any] = dict(definition.signature_def)
        self._free = {each: self._takes_batches(each) for each in self.signatures}

    def close(self) -> None:
        """Frees the graph and the weights."""
        self._callables.clear()
        self._session.close()

    @contextlib.contextmanager
    def held(self) -> Iterator["Loaded"]:
        """Inside, the version is in use and is not closed."""
        self.uses += 1
        try:
            yield self
        finally:
            self.uses -= 1

    def inputs_of(self, signature: str) -> dict[str, str]:
        """{input: TensorFlow's name of its type} of a signature, which has to be there."""
        return {name: dtype_name(info.dtype) for name, info in self.signatures[signature].inputs.items()}

    def call(self, signature: str, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] = ()) -> Call:
        """Checks a request as TF Serving does, in its order.

        Args:
            signature: name; "" for the default one.
            arrays: {input: array}.
            outputs: those to answer with; none: all.

        Raises:
            ServingError: FAILED_PRECONDITION for an unknown signature; INVALID_ARGUMENT for other inputs, other types,
                unknown or repeated outputs.
        """
        signature = signature or DEFAULT
        self.check_names(signature, arrays)
        definition = self.signatures[signature]
        chosen = _chosen(definition, outputs)
        _check_types(definition, arrays)
        return Call(signature, tuple(arrays[name] for name in sorted(arrays)), chosen)

    def check_names(self, signature: str, names: Iterable[str]) -> None:
        """Raises FAILED_PRECONDITION for a signature that is not there, INTERNAL for one that cannot be called, and
        INVALID_ARGUMENT for other inputs than it has.
        """
        if signature not in self.signatures:
            raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.')
        definition = self.signatures[signature]
        if definition.method_name not in METHODS:
            raise ServingError(
                "INTERNAL",
                f"Expected prediction signature method_name to be one of {{{', '.join(METHODS)}}}. "
                f"Was: {definition.method_name}",
            )
        _check_names(definition, set(names))

    def run(self, signature: str, outputs: tuple[str, ...], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The values of the outputs.

        Raises:
            ServingError: with TensorFlow's code.
        """
        import tensorflow as tf

        try:
            made = self._callable(signature, outputs)(*arrays)
        except (tf.errors.OpError, ValueError, TypeError, RuntimeError) as error:
            raise of_tensorflow(error) from error
        # A scalar comes as a value, a string as bytes.
        return [np.array(value, object if isinstance(value, bytes) else None, copy=None) for value in made]

    def _callable(self, signature, outputs):
        key = (signature, outputs)
        if key not in self._callables:
            definition = self.signatures[signature]
            fetched = [self._tensor(definition.outputs[name]) for name in outputs]
            fed = [self._tensor(definition.inputs[name]) for name in sorted(definition.inputs)]
            self._callables[key] = self._session.make_callable(fetched, fed)
        return self._callables[key]

    def _tensor(self, info):
        return self._graph.get_tensor_by_name(info.name)

    def takes_batches(self, signature: str) -> bool:
        """Whether rows of several requests may be computed together: the first axis of all is declared free."""
        return self._free[signature]

    def _takes_batches(self, signature):
        definition = self.signatures[signature]
        shapes = [info.tensor_shape for info in (*definition.inputs.values(), *definition.outputs.values())]
        return bool(definition.inputs) and all(shape.dim and shape.dim[0].size == -1 for shape in shapes)

    def warm_up(self, path: Path, max_values: int) -> None:
        """Answers the requests in the version's `assets.extra`, if there are any.

        Raises:
            ServingError: a record cannot be read or answered.
        """
        for number, record in enumerate(_records(path / WARMUP), 1):
            if number > MOST_RECORDS:
                raise invalid(f"Number of warmup records exceeds the maximum ({MOST_RECORDS}) at {path / WARMUP}")
            request = record.predict_log.request
            call = self.call(
                request.model_spec.signature_name, arrays_of(request.inputs, max_values), request.output_filter
            )
            self.run(call.signature, call.outputs, call.arrays)


def _check_names(definition, given):
    known = set(definition.inputs)
    if len(given) != len(known):
        extra, missing = (",".join(sorted(names)) for names in (given - known, known - given))
        raise invalid(
            f"input size does not match signature: {len(given)}!={len(known)} len({{{','.join(sorted(given))}}}) != "
            f"len({{{','.join(sorted(known))}}}). Sent extra: {{{extra}}}. Missing but required: {{{missing}}}."
        )
    for name in sorted(given - known):
        raise invalid(
            f"input tensor alias not found in signature: {name}. Inputs expected to be in the set "
            f"{{{','.join(sorted(known))}}}."
        )


def _check_types(definition, arrays):
    """Python's Session would cast what it is fed."""
    import tensorflow as tf

    for number, name in enumerate(sorted(arrays)):
        expected, array = definition.inputs[name].dtype, arrays[name]
        given = tf.dtypes.as_dtype(tf.string if array.dtype == object else array.dtype).as_datatype_enum
        if given != expected:
            raise invalid(
                f"Expects arg[{number}] to be {dtype_name(expected)} but {dtype_name(given)} is provided "
                f"(input {name})."
            )


def _chosen(definition, outputs):
    seen = []
    for name in outputs:
        if name not in definition.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(definition.outputs))}}}."
            )
        if name in seen:
            raise invalid(f"duplicate output tensor alias: {name}")
        seen.append(name)
    return tuple(seen or sorted(definition.outputs))


def _records(path):
    """The PredictionLogs of a file of warm-up; none where there is no file."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    if not path.exists():
        return
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(path)):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") != "predict_log":
                raise ServingError("UNIMPLEMENTED", f"Unsupported log_type for warmup: {log.WhichOneof('log_type')}")
            yield log
    except DecodeError:
        raise invalid(f"Failed to parse warmup record from {path}") from None
    except tf.errors.OpError as error:
        raise ServingError(
            "DATA_LOSS", f"{error.message}. Please verify your warmup data is in TFRecord format."
        ) from None
