"""Shared by all tests: devices, random numbers, data outside the repository, and what a run costs.

Memory is given back after each test, no process may pass 2 GB, and the processor time of all is told at the end.
"""

import ctypes
import gc
import os
import resource
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import keras
import pytest

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("tests")

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]  # has to happen before TensorFlow's first operation
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(scope="session")
def two_replicas():
    """One strategy for all tests: TensorFlow's collectives of two in one process share their keys."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(autouse=True, scope="module")
def seeded():
    keras.utils.set_random_seed(0)


# --- data that is not in the repository -------------------------------------------------------------------------------

DATA = Path(os.environ.get("SCS_KERAS_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture
def data_folder(request):
    """The folder that the test's marker `needs_data(folder, what)` names."""
    return DATA / request.node.get_closest_marker("needs_data").args[0]


def pytest_collection_modifyitems(items):
    for item in items:
        for marker in item.iter_markers("needs_data"):
            folder, what = marker.args
            if not (DATA / folder).is_dir():
                reason = f"needs {what}: no folder {folder} in $SCS_KERAS_DATA or in ../shared/data"
                item.add_marker(pytest.mark.skip(reason=reason))


# --- memory and processor time ----------------------------------------------------------------------------------------

MEMORY = 2e9  # bytes that a process of tests may hold
processes = []  # of each process that ran tests: what `usage` returns
steepest = {"test": "collection", "growth": 0}  # the test after which the peak of this process had grown most


def peak():
    """Most memory that this process held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux the other figure starts at that of the process that started this one
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def usage(children=True):
    who = [resource.RUSAGE_SELF] + [resource.RUSAGE_CHILDREN] * children
    seconds = sum(each.ru_utime + each.ru_stime for each in map(resource.getrusage, who))
    return {"seconds": seconds, "peak": peak(), **steepest}


def pytest_collection_finish():
    gc.freeze()


def forget_gradients():
    """TensorFlow registers the gradient of `add_bias` anew in each graph, for ever, and the graph hangs on to it."""
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.framework.ops import gradient_registry

        for name in [name for name in gradient_registry.list() if name.startswith("CustomGradient-")]:
            del gradient_registry._registry[name]


def return_freed_memory():
    """glibc keeps what was freed in pieces; after a large test it goes back to the system."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Collects: models are cycles, paper-size ones add up to several GB before Python looks for them.

    What the tests of earlier files have left is frozen, so that no collection looks at it again (up to 0.7 s each).
    """
    before = peak()
    result = yield
    forget_gradients()
    growth = peak() - before
    if nextitem is None or nextitem.path != item.path:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
    else:
        gc.collect()
    if growth > 1e8:
        return_freed_memory()
    if growth > steepest["growth"]:
        steepest.update(test=item.nodeid, growth=growth)
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    processes.append(getattr(node, "workeroutput", {}).get("usage") or usage(children=False))  # else: it crashed


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # a process of pytest-xdist
        session.config.workeroutput["usage"] = usage()
        return
    processes.append(usage(children=not processes))  # the children of the one that starts the others are the others
    if any(each["peak"] > MEMORY for each in processes):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    for each in processes:
        if each["peak"] > MEMORY:
            terminalreporter.write_line(
                f"FAILED: a process of tests held {each['peak'] / 1e9:.2f} GB. Allowed: {MEMORY / 1e9:.2f} GB. It grew "
                f"most, by {each['growth'] / 1e9:.2f} GB, in {each['test']}.",
                red=True,
            )
    peaks = ", ".join(f"{each['peak'] / 1e9:.2f}" for each in processes)
    seconds = sum(each["seconds"] for each in processes)
    terminalreporter.write_line(f"processor time: {seconds:.0f} s; most memory held by each process: {peaks} GB")
