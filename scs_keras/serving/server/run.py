"""Starts a server: in an event loop, in a thread of a test or notebook, or as a process that signals end."""

import asyncio
import contextlib
import gc
import ipaddress
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import uvicorn

from scs_keras.serving.server.core import Core
from scs_keras.serving.server.impatient import impatient
from scs_keras.serving.server.models_config import Source
from scs_keras.serving.server.options import Options, said
from scs_keras.serving.server.rest import application
from scs_keras.serving.server.rpc import make_server
from scs_keras.serving.server.store import Store

log = logging.getLogger("scs_keras.serving")


class Server:
    """REST and gRPC of the same models, in the running event loop.

    Args:
        source: what is to be served.
        options: ports and limits.
        routes: function of the `Core` to further routes of the REST interface.

    Attributes:
        rest_port: that it listens at, once started.
        port: that of gRPC.
        core: what both answer with.
    """

    def __init__(
        self,
        source: Source,
        options: Options | None = None,
        routes: Callable[[Core], Sequence[Any]] = lambda core: (),
    ):
        self.options = options or Options()
        self.core = Core(Store(source, self.options.max_values), self.options)
        self._routes = routes
        self.rest_port = self.port = 0

    async def start(self) -> None:
        """Loads and warms up, then listens.

        Raises:
            ValueError: nothing can be served, or a port is in use.
        """
        options = self.options
        if options.tls_certificate and options.tls_key:
            _check_pair(options.tls_certificate, options.tls_key)
        listening = self._listen()
        try:
            self._grpc, self._health = make_server(self.core)
            self.port = self._bind_grpc()
            await self.core.store.start()
        except BaseException:
            listening.close()
            self.core.close()
            raise
        loop = asyncio.get_running_loop()
        always = (self.core.store.watch(options.poll), self.core.give_back_memory(1.0))
        self._always = [loop.create_task(each) for each in always]
        config = uvicorn.Config(
            application(self.core, self._routes(self.core)),
            http=impatient(options.body_timeout), ws="none", lifespan="off", server_header=False,
            log_config=None, log_level="warning", access_log=False, timeout_graceful_shutdown=1,
            ssl_certfile=options.tls_certificate, ssl_keyfile=options.tls_key,
        )  # fmt: skip
        self._rest = _Uvicorn(config)
        self._serving = loop.create_task(self._rest.serve([listening]))
        await self._grpc.start()
        from grpc_health.v1 import health_pb2

        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        while not self._rest.started:
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Refuses what is new, waits for what is in work, and ends."""
        await self._health.enter_graceful_shutdown()
        await self.core.drain()
        for each in self._always:
            each.cancel()
        self._rest.should_exit = True
        await asyncio.gather(self._grpc.stop(1), self._serving)
        await self.core.store.close()
        self.core.close()

    def _listen(self):
        host, port = self.options.host, self.options.rest_port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so named, asyncio sends at once
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            listening.close()
            raise ValueError(_port_in_use("rest_port", host, port, error)) from None
        self.rest_port = listening.getsockname()[1]
        return listening

    def _bind_grpc(self):
        options = self.options
        address = f"[{options.host}]:{options.port}" if ":" in options.host else f"{options.host}:{options.port}"
        try:
            if options.tls_certificate:
                pair = Path(str(options.tls_key)).read_bytes(), Path(options.tls_certificate).read_bytes()
                return self._grpc.add_secure_port(address, grpc.ssl_server_credentials([pair]))
            return self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise ValueError(_port_in_use("port", options.host, options.port, error)) from None


def _check_pair(certificate, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, FileNotFoundError) as error:
        said = f"TLS needs a certificate and its key, PEM files without password. {certificate} and {key}: {error}"
        raise ValueError(said) from None


class _Uvicorn(uvicorn.Server):
    """Leaves the signals to us: on the first one, requests in work finish."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


def _port_in_use(name, host, port, error):
    reason = getattr(error, "strerror", None) or "it is in use"
    return f"Cannot listen at {host}:{port}: {reason}. Give another one: {said(name, 0)} takes a free one."


@contextlib.contextmanager
def local_server(
    folder: str | Path | None = None,
    *,
    models_config: str | Path | None = None,
    name: str | None = None,
    routes: Callable[[Core], Sequence[Any]] = lambda core: (),
    **options: Any,
) -> Iterator[Server]:
    """A server in a thread of this process, at free ports unless others are given.

    Args:
        folder: of versions, or of several models.
        models_config: a file of TF Serving instead.
        name: of the model in `folder`.
        routes: as of `Server`.
        **options: of `Options`.
    """
    loop, started = asyncio.new_event_loop(), threading.Event()
    chosen = Options(**{"rest_port": 0, "port": 0, **options})
    server = Server(Source(folder, models_config, name), chosen, routes)
    failed: list[BaseException] = []

    async def start():
        try:
            await server.start()
        except BaseException as error:
            failed.append(error)
        started.set()

    def run():
        asyncio.set_event_loop(loop)
        loop.create_task(start())
        loop.run_forever()

    thread = threading.Thread(target=run, name="server", daemon=True)
    thread.start()
    started.wait()
    try:
        if failed:
            raise failed[0]
        yield server
    finally:
        if not failed:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def serve(source: Source, options: Options, routes: Callable[[Core], Sequence[Any]] = lambda core: ()) -> None:
    """Serves until SIGTERM or SIGINT; then what is in work finishes.

    Raises:
        ValueError: as `Server.start` does.
    """
    asyncio.run(_serve(Server(source, options, routes)))


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve(server):
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):  # loop.add_signal_handler is not there on Windows
        signal.signal(each, lambda *_: loop.call_soon_threadsafe(ended.set))
    if not server.options.token_file and not _is_loopback(server.options.host):
        said_option = said("token_file")
        log.warning("Whoever reaches %s can use this server: it has no token (%s).", server.options.host, said_option)
    await server.start()
    gc.collect()
    gc.freeze()  # TensorFlow's objects: to look through them again and again took a tenth of a second each time
    for name, labels in server.core.store.models().items():
        log.info("%s: labels %s", name, labels or "none")
    scheme = "https" if server.options.tls_certificate else "http"
    host = server.options.host
    log.info("REST at %s://%s:%d/v1/models, gRPC at %s:%d", scheme, host, server.rest_port, host, server.port)
    await ended.wait()
    log.info("Ends: requests in work finish, new ones are refused.")
    await server.stop()
