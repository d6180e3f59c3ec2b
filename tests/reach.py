"""A pytest plugin of mutate.py: notes which functions of the package each test calls, or runs the tests asked for.

The functions note themselves, as mutate.py writes them, in the set `builtins.reached`: (file, line). REACH_RECORD: file
to write {test: [seconds, [[file, line], ...]]} to. REACH_ONLY: file with the names of the tests to run, in this order.
Each test starts from the same seed, whichever ran before it.
"""

import builtins
import json
import os
import time
from pathlib import Path

import keras
import pytest

RECORD, ONLY = os.environ.get("REACH_RECORD"), os.environ.get("REACH_ONLY")
shared, of_test = {}, {}  # functions that a test file's import and fixtures called; {test: (seconds, functions)}


def functions():
    """Those that were called since the last look."""
    found = set(builtins.__dict__.setdefault("reached", set()))
    builtins.reached.clear()
    return found


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    if ONLY:
        wanted = {name: place for place, name in enumerate(json.loads(Path(ONLY).read_text()))}
        items[:] = sorted((item for item in items if item.nodeid in wanted), key=lambda item: wanted[item.nodeid])
    shared.update(dict.fromkeys({item.path for item in items}, functions()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    keras.utils.set_random_seed(0)
    result = yield
    shared[item.path] = shared[item.path] | functions()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    start = time.monotonic()
    try:
        return (yield)
    finally:
        of_test[item] = time.monotonic() - start, functions()


def pytest_sessionfinish():
    if RECORD:
        reached = {item.nodeid: [seconds, sorted(own | shared[item.path])] for item, (seconds, own) in of_test.items()}
        Path(RECORD).write_text(json.dumps(reached))
