"""The extras of pyproject.toml: which may be installed together, and which the messages ask for."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
BACKENDS = {"tensorflow", "cpu", "cuda"}  # one of them, never two: all install into the folder `tensorflow`


def needed(requirements):
    """Names of all packages that the requirements bring with them, as far as they are installed here."""
    names, waiting = set(), [Requirement(each) for each in requirements]
    while waiting:
        requirement = waiting.pop()
        if requirement.name in names:
            continue
        names.add(requirement.name)
        try:
            further = map(Requirement, metadata.requires(requirement.name) or [])
        except metadata.PackageNotFoundError:
            continue
        extras = requirement.extras or {""}
        waiting += [
            r for r in further if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return {re.sub("[-_.]+", "-", name).lower() for name in names}


@pytest.mark.parametrize("extra", sorted(EXTRAS.keys() - BACKENDS))
def test_cpu_goes_with_every_extra_that_is_no_backend(extra):
    """`tensorflow-cpu` and `tensorflow` overwrite each other's files."""
    assert not {name for name in needed(EXTRAS[extra]) if re.fullmatch("tensorflow(-cpu|-gpu)?", name)}


def test_the_package_itself_brings_no_backend():
    assert {"keras", "numpy", "h5py"} <= needed(PROJECT["dependencies"])
    assert not {"tensorflow", "tensorflow-cpu", "jax"} & needed(PROJECT["dependencies"])


def test_each_backend_is_one_package():
    found = {extra: Requirement(*EXTRAS[extra]).name for extra in BACKENDS}
    assert found == {"tensorflow": "tensorflow", "cpu": "tensorflow-cpu", "cuda": "tensorflow"}


def test_what_needs_tensorflow_is_found():
    """The walk sees through a package: what brings `tensorflow` by a detour would be noticed."""
    assert "absl-py" in needed(["tensorboard"]) and "absl-py" not in needed(["pillow"])


def test_messages_ask_for_extras_that_exist():
    files = [path for folder in ("scs_keras", "docs") for path in (ROOT / folder).rglob("*")]
    texts = [path.read_text() for path in (*files, ROOT / "README.md") if path.suffix in (".py", ".md")]
    asked = {
        extra for text in texts for found in re.findall(r"scs-keras\[([\w,]+)\]", text) for extra in found.split(",")
    }
    assert {"pictures", "tensorflow"} <= asked <= EXTRAS.keys()


def test_make_installs_one_backend():
    chosen = re.search(r"^EXTRAS \?= \$\(if .*,(\w+),(\w+)\),(\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(chosen.groups()[:2]) <= BACKENDS and chosen[3] in EXTRAS.keys() - BACKENDS
