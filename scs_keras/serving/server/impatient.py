"""HTTP connections that do not wait for ever: uvicorn itself has no limit for the head of a request."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = 64 * 1024  # bytes of a request's first line and headers


def impatient(seconds: float) -> type[HttpToolsProtocol]:
    """A protocol for uvicorn: a head that takes longer gets 408, one that is longer than `HEAD` gets 431."""

    class Impatient(HttpToolsProtocol):
        _timer: Any = None
        _head = 0  # bytes of the head that is being read; None: it is complete

        def connection_made(self, transport):
            super().connection_made(transport)
            self._await_head()

        def connection_lost(self, exc):
            self._timer.cancel()
            super().connection_lost(exc)

        def data_received(self, data):
            """Reads piece by piece, so that the size of a head is known while it is read."""
            for at in range(0, len(data), HEAD):
                if self.transport.is_closing():
                    return
                before = self._head
                super().data_received(data[at : at + HEAD])
                if before is not None and self._head is not None:
                    self._head += len(data[at : at + HEAD])
                    if self._head > HEAD:
                        self._refuse(b"431 Request Header Fields Too Large")

        def on_message_begin(self):
            super().on_message_begin()
            self._await_head()

        def on_headers_complete(self):
            self._timer.cancel()
            self._head = None
            super().on_headers_complete()

        def _await_head(self):
            if self._timer is not None:
                self._timer.cancel()
            self._head = 0
            self._timer = self.loop.call_later(seconds, self._refuse, b"408 Request Timeout")

        def _refuse(self, status):
            if not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                self.transport.close()

    return Impatient
