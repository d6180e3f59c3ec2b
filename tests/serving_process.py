"""`scs-keras serve` as a process of a test, at free ports of this machine."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]
READY = re.compile(r"REST at (https?://[^/\s]+)/\S* gRPC at (\S+)")


class Server:
    """Starts it and waits until it is ready; `with` ends it.

    Attributes:
        rest: "http://127.0.0.1:PORT".
        grpc: "127.0.0.1:PORT".
        log: the lines that it has written.
    """

    def __init__(self, *arguments, ports=(0, 0), wait=True):
        command = [sys.executable, "-m", "scs_keras", "serve", *map(str, arguments)]
        command += ["--rest-port", str(ports[0]), "--port", str(ports[1])]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.log, self._ready = [], threading.Event()
        self.rest = self.grpc = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if wait:
            self.wait()

    def _read(self):
        for line in self.process.stdout or ():
            self.log.append(line.rstrip())
            if found := READY.search(line):
                self.rest, self.grpc = found.groups()
                self._ready.set()
        self._ready.set()

    def wait(self):
        self._ready.wait(180)
        if not self.rest:
            self.kill()
            raise AssertionError("The server did not start:\n" + "\n".join(self.log))

    def runs(self):
        return self.process.poll() is None

    def megabytes(self):
        """What the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def kill(self):
        """At once; what it has written can still be read in `log`."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        if self.process.stdout:
            self.process.stdout.close()

    def stop(self):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(40)
        finally:
            self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()
