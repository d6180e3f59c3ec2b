"""A pytest plugin of mutate.py: notes which functions of the package each test calls, or runs the tests asked for.

REACH_RECORD: file to write {test: [seconds, [[file, first line of the function], ...]]} to. REACH_ONLY: file with the
names of the tests to run, in this order. Each test starts from the same seed, whichever ran before it.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

import keras
import pytest

PACKAGE = Path(__file__).parents[1] / "scs_keras"
RECORD, ONLY = os.environ.get("REACH_RECORD"), os.environ.get("REACH_ONLY")
called = {}  # the code that was called since the last look, by its id: to hash code is slow
shared, of_test = {}, {}  # functions that a test file's import and fixtures called; {test: [seconds, functions]}


def note(frame, event, _):
    if event == "call":
        called[id(frame.f_code)] = frame.f_code


def functions():
    """The functions of the package that were called since the last look."""
    found = {(code.co_filename, code.co_firstlineno) for code in list(called.values())}
    called.clear()
    return {(str(Path(file).relative_to(PACKAGE)), line) for file, line in found if file.startswith(f"{PACKAGE}/")}


if RECORD:
    sys.setprofile(note)
    threading.setprofile(note)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
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
    sys.setprofile(None)
    if RECORD:
        reached = {item.nodeid: [seconds, sorted(own | shared[item.path])] for item, (seconds, own) in of_test.items()}
        Path(RECORD).write_text(json.dumps(reached))
