"""The arrows between the rooms, and what the wheel and the source distribution hold."""

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "scs_keras"
ROOMS = ("core", "zoo", "training", "serving")
LINKS = ("zoo", "training", "serving")  # at the top, to the rooms of these names
ALLOWED = {  # what each room may import of the others; the files beside them: the command line and all classes
    "core": set(),
    "zoo": {"core"},
    "training": {"core", "zoo"},
    "serving": {"core", "zoo"},
    "__init__.py": {"core", "zoo"},
    "registered.py": {"core", "zoo"},
    "__main__.py": set(ROOMS),
}
TENSORFLOW_FILES = {"core/tensorflow_step.py"}  # the only files that may import tensorflow at their top


def sources():
    """(room, path in the package) of every module; only the package itself is walked, never the links to its rooms."""
    for path in sorted(PACKAGE.rglob("*.py")):
        path = path.relative_to(PACKAGE)
        yield path.parts[0], path


def tree(path):
    return ast.parse((PACKAGE / path).read_text())


def imported(tree):
    """Dotted names of everything that is imported, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tasks():
    return [path.name for path in (PACKAGE / "zoo").iterdir() if (path / "__init__.py").exists()]


def test_arrows_point_one_way():
    wrong, seen = [], 0
    for room, path in sources():
        seen += 1
        for name in imported(tree(path)):
            parts = name.split(".")
            target = parts[1] if parts[0] == "scs_keras" and len(parts) > 1 and parts[1] in ROOMS else None
            if target and target != room and target not in ALLOWED[room]:
                wrong.append(f"{path} imports {name}")
    assert seen > 20 and not wrong, wrong


def test_no_task_imports_another_and_no_noun_imports_a_task():
    wrong, found = [], tasks()
    assert {"precipitation", "video_prediction"} <= set(found)
    for room, path in sources():
        own = path.parts[1] if room in ("zoo", "training") and path.parts[1] in found else None
        for name in imported(tree(path)):
            parts = name.split(".")
            target = parts[2] if parts[0] == "scs_keras" and len(parts) > 2 and parts[2] in found else None
            if target and target != own:
                wrong.append(f"{path} imports {name}")
    assert not wrong, wrong


def docstrings(tree):
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            yield body[0].value


def test_nothing_shared_names_a_task():
    """No table, condition or text by task outside of the tasks' own folders; docstrings may give one as an example."""
    wrong, seen = [], 0
    for room, path in sources():
        if room in ("zoo", "training") and path.parts[1] in tasks():
            continue
        seen += 1
        parsed = tree(path)
        allowed = set(map(id, docstrings(parsed)))
        texts = [
            node.value
            for node in ast.walk(parsed)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in allowed
        ]
        names = re.compile(rf"\b({'|'.join(tasks())})\b")  # whole words: a fraction is none
        wrong += [f"{path}: {text!r}" for text in texts if names.search(text)]
    assert seen > 30 and not wrong, wrong


def messages(tree):
    """Texts outside of docstrings, options of the command line and `words`, an f-string as one."""
    left_out = set(map(id, docstrings(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("words", "Option", "Command"):
            left_out |= set(map(id, ast.walk(node)))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in left_out:
            left_out |= set(map(id, node.values))
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.value


def test_python_is_not_told_of_options():
    """What a function says in Python names no option but in a whole command, `scs-keras train ...`."""
    shown = {
        "__main__.py",
        "training/card.py",
        "training/publish.py",
        "serving/tf_serving.py",
        "zoo/words.py",
    }  # commands
    wrong, seen = [], 0
    for _, path in sources():
        if path.as_posix() in shown:
            continue
        for text in messages(tree(path)):
            seen += 1
            if re.search(r"(?<![\w-])--[a-z]", re.sub(r"(scs-keras|pip) .*", "", text)):
                wrong.append(f"{path}: {text}")
    assert seen > 500 and not wrong, wrong


def test_nothing_is_imported_through_the_links():
    """`import zoo` in a checkout would be a second package with the same classes."""
    files = [path for folder in (PACKAGE, ROOT / "tests", ROOT / "benchmarks") for path in folder.rglob("*.py")]
    assert len(files) > 100
    for path in files:
        names = {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}
        assert not names & set(LINKS), path
    for name in LINKS:
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {name}"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (
            ROOT / name
        ).is_file() or f"Import scs_keras.{name}" in result.stderr  # a file: checked out without links


def test_the_cell_and_what_teaches_rnn_to_use_it_import_one_way():
    names = set(imported(tree(Path("core/rnn_support.py"))))
    assert not any(name.startswith("scs_keras.core.cell") for name in names)


def private_names(tree, defined):
    """Names with one leading underscore: those that the module defines, or those that it reaches into objects for."""
    own = {"self", "cls"}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and defined:
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and defined:
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            of_self = isinstance(node.value, ast.Name) and node.value.id in own
            if (of_self and isinstance(node.ctx, ast.Store)) if defined else True:
                yield node.attr


NOT_KERAS = {"_fields", "_get_function"}  # of a NamedTuple; of a graph of TensorFlow
WORK_AROUND = {
    "_FunctionConverterDataInEager",
    "_replace_variables_by_constants",
}  # of TensorFlow, with a test of its own
UNPROMISED = {"jax_state_sync", "train_function", "test_function", "predict_function"}
TENSORFLOW_STEP = {"train_function"}  # which make_train_function is asked to set


def test_private_keras_is_used_in_one_file():
    """`keras.src`, and attributes that no module here defines; tests/test_keras_private.py has a test for each use."""
    modules = {path: tree(path) for _, path in sources()}
    private = modules.pop(Path("core/keras_private.py"))
    defined = {name for module in modules.values() for name in private_names(module, defined=True)}
    used = set(private_names(private, defined=False))
    assert {"_flatten_layers", "_layers", "_tracker", "_make_function", "_loss_tracker"} <= used - defined
    wrong = []
    for path, module in modules.items():
        names = {name for name in private_names(module, defined=False) if name not in defined | NOT_KERAS} | {
            node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute) and node.attr in UNPROMISED
        }
        names |= {name for name in imported(module) if name.startswith("keras.src")}
        if path.name == "tensorflow_step.py":
            names -= TENSORFLOW_STEP
        if path == Path("serving/frozen.py"):
            names -= WORK_AROUND
        wrong += [f"{path} uses {name}" for name in sorted(names)]
        assert "keras.src" not in (PACKAGE / path).read_text(), path
    assert not wrong, wrong


def test_every_use_of_private_keras_has_its_test():
    functions = {node.name for node in tree(Path("core/keras_private.py")).body if isinstance(node, ast.FunctionDef)}
    tests = {
        node.name
        for node in ast.parse((ROOT / "tests/test_keras_private.py").read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert functions and {f"test_{name}" for name in functions} <= tests


def test_tensorflow_is_imported_at_the_top_of_its_own_files_only():
    for _, path in sources():
        nodes = [node for node in tree(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
        if any(name.split(".")[0] == "tensorflow" for node in nodes for name in imported(node)):
            assert path.as_posix() in TENSORFLOW_FILES, path


def test_the_mechanism_needs_keras_and_numpy_only():
    """Also inside functions; TensorFlow's step needs TensorFlow."""
    wrong, seen = [], 0
    for room, path in sources():
        if room != "core":
            continue
        seen += 1
        allowed = {"keras", "numpy", "scs_keras"} | ({"tensorflow"} if path.as_posix() in TENSORFLOW_FILES else set())
        names = {name.split(".")[0] for name in imported(tree(path))}
        wrong += [f"{path} imports {name}" for name in sorted(names - allowed - sys.stdlib_module_names)]
    assert seen > 10 and not wrong, wrong


def test_importing_the_package_needs_no_optional_package():
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'PIL', 'tensorboard'): sys.modules[name] = None\n"
        "import scs_keras, scs_keras.zoo, scs_keras.training.run, scs_keras.serving.export\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


SOURCES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "scs_keras", "tests")
FILES = (
    "scs_keras/core/cell.py",
    "scs_keras/zoo/preset.py",
    "scs_keras/training/run.py",
    "scs_keras/serving/export.py",
    "scs_keras/py.typed",
    "scs_keras/zoo/precipitation/weights/scs_precipitation_small_radar.weights.h5",
    "scs_keras/zoo/precipitation/sample/meteonet_SE_20160828a.npz",
    "scs_keras/zoo/precipitation/sample/mrms_florida_20190610.npz",
    "scs_keras/zoo/precipitation/sample/README.md",
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
    for name in LINKS:  # as git lays them down where there are no links: text files
        (copy / name).write_text(f"scs_keras/{name}")
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
    assert not any("golden" in name for name in sizes)  # outputs to compare with are test data


def test_wheel_holds_every_module(wheel):
    names = {name for name in wheel.namelist() if name.endswith(".py")}
    assert names == {f"scs_keras/{path.as_posix()}" for _, path in sources()}


def test_sdist_holds_the_sources_and_no_half_of_the_tests(sdist):
    names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert {*FILES, "pyproject.toml", "README.md", "LICENSE"} <= names
    assert not any(name.startswith("tests/") for name in names)


def test_weights_are_small(wheel):
    sizes = [info.file_size for info in wheel.infolist() if info.filename.endswith(".weights.h5")]
    assert len(sizes) >= 3 and max(sizes) <= 5e6 and sum(sizes) <= 60e6
