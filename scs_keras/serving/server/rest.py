"""The REST interface: TF Serving's paths, codes and JSON on Starlette.

Reference: tensorflow_serving/model_servers/http_rest_api_handler.cc and http_rest_api_util.cc.
"""

import asyncio
import re
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from scs_keras.serving.server import answers, json_answer, json_request
from scs_keras.serving.server.core import Core, Work
from scs_keras.serving.server.errors import ServingError, invalid, too_large
from scs_keras.serving.server.loaded import DEFAULT
from scs_keras.serving.server.metrics import PATH as METRICS

_VERSION = r"(?:(?:/versions/(?P<version>\d+))|(?:/labels/(?P<label>[^/:]+)))?"
_CALL = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.I | re.A)
_LOOK = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<metadata>metadata))?", re.I | re.A)
JSON = "application/json"
MESSAGE = 4096  # characters of an error's text


def application(core: Core, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The application; further routes come before TF Serving's."""
    own = [Route("/{path:path}", _TFServing(core))]
    return Starlette(routes=[*routes, *own])


class _TFServing:
    """All paths of TF Serving; an ASGI application, so that no method is refused before us."""

    def __init__(self, core: Core):
        self._core = core

    async def __call__(self, scope, receive, send):
        response = await self.answer(Request(scope, receive, send))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("latin-1")
        try:
            self._core.check_token(request.headers.get("authorization"))
            if path == METRICS:
                return Response(self._core.metrics.page(), media_type="text/plain")
            if not path.lower().startswith("/v1/"):
                return Response(status_code=404)
            async with self._core.request() as work:
                return Response(await self._of_models(request, path, work), media_type=JSON)
        except ServingError as error:
            return refusal(error)

    async def _of_models(self, request, path, work):
        malformed = invalid(f"Malformed request: {request.method} {path}")
        pattern = {"POST": _CALL, "GET": _LOOK}.get(request.method)
        found = pattern.fullmatch(path) if pattern else None
        if found is None:
            raise malformed
        given = found.groupdict()
        version = int(given["version"]) if given["version"] and len(given["version"]) < 20 else None
        if given["version"] and (version is None or version >= 2**63):
            raise invalid(f"{malformed.message} Failed to convert version: {given['version']} to numeric.")
        label = unquote(given["label"]) if given["label"] else None
        if not given["name"]:
            raise invalid("Missing model name in request.")
        name = unquote(given["name"])
        if request.method == "GET":
            return _looked_up(self._core, name, version, label, given["metadata"] == "metadata")
        method = given["method"]
        if method != method.lower():  # the rest of a path may be in capitals
            raise malformed
        body = await read_body(request, self._core, work)
        with self._core.measured(name, method.capitalize(), "REST"):
            if method == "predict":
                return await self._core.in_time(self._predict(body, name, version, label))
            return await self._core.in_time(self._classify(body, method, name, version, label))

    async def _predict(self, body, name, version, label):
        core = self._core
        async with core.reading(len(body)):
            loaded, signature, given = await self._inputs(body, name, version, label)
        with loaded.held():  # nothing else has run since `_inputs` held it
            outputs = await core.run(loaded, signature, given.arrays)
        write = json_answer.rows if given.rows else json_answer.columns
        return await core.in_thread(sum(array.nbytes for array in outputs.values()), write, outputs)

    async def _inputs(self, body, name, version, label):
        """The version, the signature and its inputs; the document, which is large, ends here."""
        core = self._core
        document = await core.in_thread(len(body), json_request.parse, body)
        signature = json_request.signature_of(document)
        with core.store.find(name, version, label).held() as loaded:
            if (signature or DEFAULT) not in loaded.signatures:
                raise invalid(f'Serving signature name: "{signature or DEFAULT}" not found in signature def')
            dtypes = loaded.inputs_of(signature or DEFAULT)
            if not dtypes:
                raise invalid(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
            given = await core.in_thread(len(body), json_request.inputs_of, document, dtypes, core.options.max_values)
        return loaded, signature, given

    async def _classify(self, body, method, name, version, label):
        """No export of ours has such a signature; a client hears what TF Serving would say to it."""
        async with self._core.reading(len(body)):
            document = await self._core.in_thread(len(body), json_request.parse, body)
            signature = json_request.signature_of(document)
            json_request.check_examples(document)
            del document
        check_method(self._core.store.find(name, version, label), signature, method)


def check_method(loaded: Any, signature: str, method: str) -> None:
    """Raises INVALID_ARGUMENT for a signature that is not there or is no classification (or regression).

    Those that are get UNIMPLEMENTED.
    """
    kind = {"classify": "classification", "regress": "regression"}[method]
    if (signature or DEFAULT) not in loaded.signatures:
        raise invalid(f"No signature was found with the name: {signature or DEFAULT}")
    was, expected = loaded.signatures[signature or DEFAULT].method_name, f"tensorflow/serving/{method}"
    if was != expected:
        raise invalid(f"Expected {kind} signature method_name to be {expected}. Was: {was}")
    raise ServingError("UNIMPLEMENTED", f"This server answers Predict. For {kind} use TF Serving itself.")


def _looked_up(core, name, version, label, metadata):
    from google.protobuf import json_format

    def text(message):
        return json_format.MessageToJson(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )

    if not metadata:
        return text(answers.status(core, name, version)).encode()
    spec, signatures = answers.metadata(core, name, version, label)
    return f'{{\n"model_spec":{text(spec)},\n"metadata": {{"signature_def": {text(signatures)}}}\n}}\n'.encode()


def refusal(error: ServingError) -> Response:
    """The answer to a refused request."""
    error.without_frames()
    message = error.message if len(error.message) <= MESSAGE else f"{error.message[:MESSAGE]}...TRUNCATED"
    return Response(json_answer.error(message), error.status, media_type=JSON)


async def read_body(request: Request, core: Core, work: Work) -> bytes:
    """The body, unpacked if it is gzip; it counts as held by the request.

    Raises:
        ServingError: 413 beyond the limit, 429 where all requests together hold too much, 408 if it does not arrive in
            time, 400 for broken gzip.
    """
    most = core.options.max_body_mb * 2**20
    refused = too_large(f"The body is larger than {core.options.max_body_mb} MiB, the most here.")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most:
        raise refused
    try:
        async with asyncio.timeout(core.options.body_timeout):
            parts, size = [], 0
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise refused
                work.hold(len(part))
                parts.append(part)
    except TimeoutError:
        raise ServingError("DEADLINE_EXCEEDED", "The body did not arrive in time.", 408) from None
    except ClientDisconnect:
        raise ServingError("CANCELLED", "The client has gone.") from None
    body = b"".join(parts)
    if request.headers.get("content-encoding", "").lower() == "gzip":
        body = await core.in_thread(len(body), _unpacked, body, most, refused)
        work.hold(len(body))
    return body


def _unpacked(body, most, refused):
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacking.decompress(body, most)
    except zlib.error as error:
        raise invalid(f"The body is no gzip: {error}") from None
    if unpacking.unconsumed_tail:
        raise refused
    if not unpacking.eof:
        raise invalid("The body's gzip is cut off.")
    return unpacked
