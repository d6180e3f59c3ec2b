"""What `scs-keras serve` has beside TF Serving's interface: a page to try models, and sessions."""

import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from scs_keras.serving.server.core import Core, Work
from scs_keras.serving.server.errors import ServingError
from scs_keras.serving.server.rest import JSON, read_body, refusal
from scs_keras.serving.server.sessions import Sessions
from scs_keras.serving.server.tensors import dtype_name

log = logging.getLogger("scs_keras.serving")
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"
_POLICY += "; media-src blob:"


def routes(core: Core) -> list[Route]:
    """`/`, `/models` and, where the server was told to, `/v1/sessions`."""
    page = resources.files("scs_keras.serving.server").joinpath("page.html").read_text(encoding="utf-8")
    head = {"content-security-policy": _POLICY, "cache-control": "no-cache"}

    async def show(request: Request) -> Response:
        return HTMLResponse(page, headers=head)

    found = [Route("/", show), Route("/models", _guarded(core, partial(_models, core)))]
    return [*found, *_of_sessions(core)] if core.options.sessions else found


def _guarded(
    core: Core, answer: Callable[[Request, Work], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            core.check_token(request.headers.get("authorization"))
            async with core.request() as work:
                return await answer(request, work)
        except ServingError as error:
            return refusal(error)
        except ClientDisconnect:
            return Response(status_code=499)

    return endpoint


async def _models(core, request, work):
    """What the page and a client without a model's name must know; TF Serving has no list of models."""
    found = [_model(core.store.find(name), labels) for name, labels in core.store.models().items()]
    return JSONResponse({"models": found, "sessions": core.options.sessions})


def _model(loaded, labels):
    signatures = {
        name: {"inputs": _tensors(each.inputs), "outputs": _tensors(each.outputs)}
        for name, each in loaded.signatures.items()
    }
    return {
        "name": loaded.name,
        "version": str(loaded.version),
        "labels": labels,
        "signatures": signatures,
        "about": _about(loaded.path),
    }


def _tensors(infos):
    return {name: {"dtype": dtype_name(info.dtype), "shape": _sizes(info.tensor_shape)} for name, info in infos.items()}


def _sizes(shape):
    return None if shape.unknown_rank else [None if axis.size < 0 else axis.size for axis in shape.dim]


def _about(folder: Path) -> dict[str, Any] | None:
    """What an export says of its model; None of another SavedModel."""
    try:
        return json.loads((folder / "assets.extra" / "preset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _of_sessions(core: Core) -> list[Route]:
    sessions = Sessions(core)

    async def create(request: Request, work: Work) -> Response:
        return JSONResponse(sessions.create(await read_body(request, core, work)))

    async def step(request: Request, work: Work) -> Response:
        body = await read_body(request, core, work)
        kind, number = request.headers.get("content-type", ""), request.query_params.get("number")
        return Response(await sessions.step(request.path_params["key"], body, kind, number), media_type=JSON)

    async def reset(request: Request, work: Work) -> Response:
        await sessions.reset(request.path_params["key"])
        return JSONResponse({})

    async def delete(request: Request, work: Work) -> Response:
        sessions.delete(request.path_params["key"])
        return JSONResponse({})

    found = {"": ("POST", create), "/{key}:step": ("POST", step), "/{key}:reset": ("POST", reset)}
    found["/{key}"] = ("DELETE", delete)
    return [
        Route(f"/v1/sessions{path}", _guarded(core, answer), methods=[method])
        for path, (method, answer) in found.items()
    ]
