"""Clips that stay decoded while a model trains on them."""

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scs_keras.training.data.clips import Footage, footage


@dataclass(frozen=True)
class _Decoded:
    """Some frames that are in memory. See `Footage`."""

    seconds: np.ndarray
    end: float
    indices: np.ndarray
    frames: np.ndarray

    def read(self, indices: Sequence[int] | np.ndarray, least: tuple[int, int]) -> np.ndarray:
        return self.frames[np.searchsorted(self.indices, indices)]


class Kept:
    """Decoded frames of the first small clips that fit into so many bytes; others are decoded anew each time.

    None makes room for another: of clips that come in shuffled epochs, those used longest ago are the next to come.
    """

    def __init__(self, limit: float):
        self.limit, self.held = limit, 0
        self._found: dict[Hashable, Footage] = {}
        self._lock = threading.Lock()

    def footage(
        self, key: Hashable, path: Path, indices: Callable[[Footage], np.ndarray], least: tuple[int, int]
    ) -> Footage:
        """Those frames of a file, perhaps others too, to be read with this `least`; the key says which they are."""
        if key in self._found:
            return self._found[key]
        found = footage(path)
        chosen = indices(found)
        if len(chosen) * least[0] * least[1] * 3 > min(self.limit / 16, self.limit - self.held):
            return found
        decoded = _Decoded(found.seconds, found.end, chosen, found.read(chosen, least))
        with self._lock:
            if key not in self._found and self.held + decoded.frames.nbytes <= self.limit:
                self._found[key] = decoded
                self.held += decoded.frames.nbytes
        return decoded
