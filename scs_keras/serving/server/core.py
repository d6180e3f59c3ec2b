"""What every front end of the server does with a request: count it, find its version, check it, compute it in time."""

import asyncio
import contextlib
import ctypes
import hmac
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.serving.server.batching import Batcher
from scs_keras.serving.server.errors import ServingError, unavailable
from scs_keras.serving.server.loaded import Loaded
from scs_keras.serving.server.metrics import Metrics
from scs_keras.serving.server.options import Options, said
from scs_keras.serving.server.pictures import check_pixels
from scs_keras.serving.server.store import Store

log = logging.getLogger("scs_keras.serving")
LONG = 20_000  # bytes from which on reading and writing a message goes to a thread, which costs time too
READERS = 2  # threads that do


class Work:
    """A request in work; what it holds counts until it ends."""

    def __init__(self, core: "Core"):
        self._core, self.held = core, 0

    def hold(self, size: int) -> None:
        """Counts so many bytes of a body; raises RESOURCE_EXHAUSTED where all requests together would hold too many."""
        most = self._core.options.max_bodies_mb
        if self._core.held + size > most * 2**20:
            raise ServingError(
                "RESOURCE_EXHAUSTED",
                f"The bodies of all requests in work together have {most} MiB, the most here; {said('max_bodies_mb')} "
                "allows more.",
            )
        self.held += size
        self._core.held += size


class Core:
    """One for all front ends.

    Attributes:
        store: finds versions.
        options: limits.
        metrics: what Prometheus reads.
        draining: from then on new requests get UNAVAILABLE.
        held: bytes of the bodies of all requests in work.
    """

    def __init__(self, store: Store, options: Options):
        self.store, self.options = store, options
        self.metrics = Metrics()
        self.draining = False
        self.held = 0
        self._in_work, self._answered = 0, False
        self._batcher = Batcher(options.batch_threads, options.max_batch_size, options.max_queue)
        self._readers, self._reading = ThreadPoolExecutor(READERS, "messages"), asyncio.Semaphore(READERS)
        self._token = _token(options.token_file)

    # The call -------------------------------------------------------------------------------------------------------

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray],
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = "",
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature.

        Args:
            model: name.
            inputs: {name: array}; strings as arrays of bytes objects.
            version: None for that of the label, else the highest.
            label: of a version.
            signature: "" for serving_default.
            outputs: those to compute; none: all.
            timeout: seconds; None for the server's.

        Raises:
            ServingError: with gRPC's code.
        """
        with self.store.find(model, version, label).held() as loaded:
            return await self.run(loaded, signature, inputs, outputs, timeout)

    async def run(
        self,
        loaded: Loaded,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """As `predict`, of a version that the caller holds."""
        call = loaded.call(signature, inputs, outputs)
        for array in call.arrays:
            if array.dtype == object:
                check_pixels(array.ravel(), self.options.max_pixels)
        made = await self.in_time(self._batcher.submit(loaded, call), timeout)
        return dict(zip(call.outputs, made))

    async def in_time(self, work: Any, timeout: float | None = None) -> Any:
        """What an awaitable gives, within so many seconds (None: the server's).

        Raises:
            ServingError: DEADLINE_EXCEEDED.
        """
        try:
            return await asyncio.wait_for(work, self.options.timeout if timeout is None else timeout)
        except TimeoutError:
            raise ServingError("DEADLINE_EXCEEDED", "The answer took longer than the request's deadline.") from None

    async def in_thread(self, size: int, function: Callable, *arguments: Any, long: int = LONG) -> Any:
        """What a function gives that reads or writes a message; in a thread from `long` bytes on."""
        if size < long:
            return function(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._readers, function, *arguments)

    @contextlib.asynccontextmanager
    async def reading(self, size: int, long: int = LONG) -> AsyncIterator[None]:
        """Inside, a message of so many bytes is read: few long ones at a time, for what JSON becomes is many times as
        large as its text.
        """
        async with self._reading if size >= long else contextlib.nullcontext():
            yield

    # Around each request --------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def request(self) -> AsyncIterator[Work]:
        """Inside, a request counts as in work.

        Raises:
            ServingError: UNAVAILABLE while the server ends, RESOURCE_EXHAUSTED when there are too many, INTERNAL for an
                error that nobody thought of, which is logged.
        """
        if self.draining:
            raise unavailable()
        if self._in_work >= self.options.max_concurrency:
            raise ServingError("RESOURCE_EXHAUSTED", f"{self._in_work} requests are in work, the most here.")
        self._in_work += 1
        work = Work(self)
        try:
            yield work
        except ServingError:
            raise
        except Exception as error:
            log.exception("A request ended in an error of the server's.")
            raise ServingError("INTERNAL", f"An error of the server's: {type(error).__name__}.") from error
        finally:
            self._in_work -= 1
            self.held -= work.held
            self._answered = True

    @contextlib.contextmanager
    def measured(self, model: str, api: str, entrypoint: str):
        """Inside, a request is answered or refused; its count and time go to the metrics."""
        start, status = time.perf_counter(), "OK"
        try:
            yield
        except ServingError as error:
            status = error.code
            raise
        except BaseException:
            status = "CANCELLED"
            raise
        finally:
            known = model if model in self.store.models() else ""
            self.metrics.add(known, status, api, entrypoint, time.perf_counter() - start)

    def check_token(self, authorization: str | None) -> None:
        """Raises UNAUTHENTICATED unless it is `Bearer TOKEN`, or the server has no token."""
        if self._token is not None and not hmac.compare_digest((authorization or "").encode(), self._token):
            raise ServingError(
                "UNAUTHENTICATED", "This server asks for a token. Send the header authorization: Bearer TOKEN."
            )

    async def give_back_memory(self, seconds: float) -> None:
        """Again and again, when requests have been answered and none is in work, what they took goes to the system."""
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
        while trim is not None:
            await asyncio.sleep(seconds)
            if self._answered and not self._in_work:
                self._answered = False
                await asyncio.get_running_loop().run_in_executor(self._readers, trim, 0)

    async def drain(self) -> None:
        """Waits until no request is in work, at most `options.drain` seconds."""
        self.draining = True
        end = time.monotonic() + self.options.drain
        while self._in_work and time.monotonic() < end:
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Ends the threads."""
        self._batcher.close()
        self._readers.shutdown(wait=False)


def _token(file: str | None) -> bytes | None:
    if file is None:
        return None
    token = Path(file).read_text(encoding="utf-8").strip()
    if not token:
        raise ValueError(f"{file} is empty. Expected: a token. For example: openssl rand -hex 32 > {file}")
    return f"Bearer {token}".encode()
