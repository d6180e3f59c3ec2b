"""The arrows between the rooms, and what the wheel and the source distribution hold."""

import ast
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("zoo", "training", "serving")
ALLOWED = {"scs_keras": set(), "zoo": set(), "training": {"zoo"}, "serving": {"zoo"}, "__main__": set(ROOMS)}
TENSORFLOW_FILES = {  # the only files that may import tensorflow at their top
    "scs_keras/tensorflow_step.py",
}


def sources():
    for room in ("scs_keras", *ROOMS):
        for path in sorted((ROOT / room).rglob("*.py")):
            if not any((ROOT / room / part).is_symlink() for part in path.relative_to(ROOT / room).parts[:1]):
                yield "__main__" if path.name == "__main__.py" else room, path


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_arrows_point_one_way():
    wrong, seen = [], 0
    for room, path in sources():
        seen += 1
        for name in imported(ast.parse(path.read_text())):
            parts = name.split(".")
            target = parts[1] if parts[0] == "scs_keras" and len(parts) > 1 and parts[1] in ROOMS else None
            if target and target != room and target not in ALLOWED[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert seen > 20 and not wrong, wrong


def test_tensorflow_is_imported_at_the_top_of_its_own_files_only():
    for _, path in sources():
        top = ast.Module([node for node in ast.parse(path.read_text()).body], [])
        names = [
            alias for node in top.body if isinstance(node, ast.Import | ast.ImportFrom) for alias in imported_of(node)
        ]
        if any(name.split(".")[0] == "tensorflow" for name in names):
            assert str(path.relative_to(ROOT)) in TENSORFLOW_FILES, path


def imported_of(node):
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]


def test_the_mechanism_needs_keras_and_numpy_only():
    """Also inside functions; `__main__` may import all rooms, TensorFlow's step TensorFlow."""
    wrong, seen = [], 0
    for room, path in sources():
        if room != "scs_keras":
            continue
        seen += 1
        file = str(path.relative_to(ROOT))
        allowed = {"keras", "numpy", "scs_keras"} | ({"tensorflow"} if file in TENSORFLOW_FILES else set())
        names = {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}
        wrong += [f"{file} imports {name}" for name in sorted(names - allowed - sys.stdlib_module_names)]
    assert seen > 10 and not wrong, wrong


def test_importing_the_package_needs_no_optional_package():
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'PIL', 'tensorboard'): sys.modules[name] = None\n"
        "import scs_keras, scs_keras.zoo, scs_keras.training.run, scs_keras.serving.export\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


SOURCES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "scs_keras", *ROOMS, "tests")
FILES = (
    "scs_keras/cell.py",
    "scs_keras/zoo/preset.py",
    "scs_keras/training/run.py",
    "scs_keras/serving/export.py",
    "scs_keras/py.typed",
    "scs_keras/zoo/precipitation/weights/scs_precipitation_small_radar.weights.h5",
    "scs_keras/zoo/precipitation/sample/meteonet_SE_20160828a.npz",
)


def call(command, folder):
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The source distribution, built from a copy: setuptools would take in what an older build left behind."""
    copy, folder = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("sdist")
    for name in SOURCES:
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, copy)
        else:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
    code = f"import setuptools.build_meta; setuptools.build_meta.build_sdist({str(folder)!r})"
    call([sys.executable, "-c", code], copy)
    return tarfile.open(next(folder.glob("*.tar.gz")))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel as pip makes it from the source distribution, so that nothing can be missing there."""
    folder = tmp_path_factory.mktemp("wheel")
    sdist.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    call([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], folder)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_holds_the_rooms_as_real_files(wheel):
    sizes = {info.filename: info.file_size for info in wheel.infolist()}
    assert [name for name in FILES if not sizes.get(name)] == ["scs_keras/py.typed"]  # the one empty file
    assert "scs_keras/py.typed" in sizes
    assert not any(name.startswith((*(f"{room}/" for room in ROOMS), "tests/")) for name in sizes)


def test_wheel_holds_every_module(wheel):
    names = {name for name in wheel.namelist() if name.endswith(".py")}
    modules = set()
    for _, path in sources():
        name = path.relative_to(ROOT).as_posix()
        modules.add(name if name.startswith("scs_keras/") else f"scs_keras/{name}")
    assert names == modules


def test_sdist_holds_the_sources_and_no_half_of_the_tests(sdist):
    names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert {*FILES, "pyproject.toml", "README.md", "LICENSE"} <= names
    assert not any(name.startswith("tests/") for name in names)


def test_weights_are_small(wheel):
    sizes = [info.file_size for info in wheel.infolist() if info.filename.endswith(".weights.h5")]
    assert len(sizes) >= 3 and max(sizes) <= 5e6 and sum(sizes) <= 60e6
