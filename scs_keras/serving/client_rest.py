"""TF Serving's REST, from the client's side; TensorFlow is not imported."""

import base64
import json
from typing import Any
from urllib.parse import quote

import numpy as np

from scs_keras.serving.client import START_ONE, Version
from scs_keras.serving.server.errors import HTTP, ServingError
from scs_keras.serving.values import NUMPY, Arrays, Signature, Tensor

# One of the codes of each HTTP status; 400 is more than one, and a proxy says 502.
CODES = {status: code for code, status in reversed(HTTP.items())} | {413: "INVALID_ARGUMENT", 502: "UNAVAILABLE"}


class Rest:
    """One pool of connections; see `client.Connection`."""

    def __init__(self, address: str, token: str | None = None, certificate: str | None = None):
        try:
            import httpx
        except ImportError as error:
            raise ImportError(f'REST needs {error.name}. Type: pip install "scs-keras[serving]"') from error
        import ssl

        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        verify = True if certificate is None else ssl.create_default_context(cafile=certificate)
        self._address = address
        # Proxies of the environment are for what lies outside; a server of models does not.
        self._client = httpx.Client(base_url=address, headers=headers, verify=verify, trust_env=False)

    def models(self, timeout: float) -> list[str]:
        """Names of what `scs-keras serve` serves."""
        return sorted(each["name"] for each in self._call("GET", "/models", timeout)["models"])

    def metadata(self, model: str, version: Version, timeout: float) -> tuple[str, int, dict[str, Signature]]:
        """(name, version, signatures) of a served model."""
        answer = self._call("GET", f"{_path(model, version)}/metadata", timeout)
        found = {
            name: Signature(_tensors(each.get("inputs", {})), _tensors(each.get("outputs", {})))
            for name, each in answer["metadata"]["signature_def"]["signature_def"].items()
        }
        return answer["model_spec"]["name"], int(answer["model_spec"]["version"]), found

    def predict(
        self,
        model: str,
        version: Version,
        name: str,
        signature: Signature,
        inputs: Arrays,
        timeout: float,
    ) -> Arrays:
        """{output: array} of a signature."""
        sent = {key: value.tolist() for key, value in inputs.items()}
        body = json.dumps({"signature_name": name, "inputs": sent}, default=_base64)  # NaN goes as NaN
        answer = self._call("POST", f"{_path(model, version)}:predict", timeout, body)["outputs"]
        if len(signature.outputs) == 1:
            answer = {next(iter(signature.outputs)): answer}  # one output loses its name
        if not isinstance(answer, dict):
            expected = ", ".join(sorted(signature.outputs))
            raise ServingError("INTERNAL", f"The answer is of another model: expected {expected}, received one output.")
        return {key: _array(value, signature.outputs.get(key)) for key, value in answer.items()}

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def _call(self, method: str, path: str, timeout: float, body: str | None = None) -> Any:
        import httpx

        try:
            answer = self._client.request(method, path, content=body, timeout=timeout)
        except httpx.TimeoutException:
            raise ServingError("DEADLINE_EXCEEDED", f"{self._address} did not answer in {timeout:.3g} s.") from None
        except httpx.TransportError as error:
            reason = f"no server answers at {self._address} ({error}). {START_ONE}"
            raise ServingError("UNAVAILABLE", reason) from None
        if answer.status_code == 200:
            return json.loads(answer.content)
        raise ServingError(CODES.get(answer.status_code, "INTERNAL"), _reason(answer))


def _reason(answer):
    try:
        return answer.json()["error"]
    except (ValueError, KeyError, TypeError):  # not TF Serving's: a proxy's page, or another server
        return f"HTTP {answer.status_code} {answer.text[:200]}".strip()


def _path(model, version):
    chosen = f"/labels/{quote(version, safe='')}" if isinstance(version, str) else f"/versions/{version}"
    return f"/v1/models/{quote(model, safe='')}{'' if version is None else chosen}"


def _base64(value):
    return {"b64": base64.b64encode(value).decode()}


def _tensors(infos):
    return {name: _tensor(each["dtype"], each["tensor_shape"]) for name, each in infos.items()}


def _tensor(dtype: str, shape):
    sizes = tuple(None if int(axis["size"]) < 0 else int(axis["size"]) for axis in shape.get("dim", ()))
    return Tensor(NUMPY.get(dtype, dtype), None if shape.get("unknown_rank") else sizes)


def _array(value, expected):
    if expected is None or expected.dtype != "object":
        return np.array(value, None if expected is None else expected.dtype)
    return _strings(value)


def _strings(value):
    made = np.array(value, object)
    flat = [base64.b64decode(each["b64"]) if isinstance(each, dict) else each for each in made.ravel()]
    filled = np.empty(made.size, object)
    filled[:] = flat
    return filled.reshape(made.shape)
