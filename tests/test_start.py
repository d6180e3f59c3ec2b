"""The start: what needs no Keras, what is imported by then, and that Keras finds every class in any order."""

import ast
import importlib
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import keras
import pytest

import scs_keras

PACKAGE = Path(scs_keras.__file__).parent
SAVED = sorted((Path(__file__).parent / "saved_by_0.1").glob("*.keras"))
FLAT = ("precipitation", "video_prediction")  # the tasks whose classes are registered as scs_keras>NAME; no more


def run(code, *arguments):
    """Runs it in a process of its own; what it printed."""
    result = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_presets_are_listed_where_there_is_no_keras():
    code = (
        "import sys\n"
        "for name in ('keras', 'tensorflow', 'jax'): sys.modules[name] = None\n"
        "import scs_keras, scs_keras.zoo as zoo\n"
        "for preset in zoo.list_presets(): print(preset.name, preset.has_weights, preset.summary)\n"
        "try: zoo.get_preset('tau_vido_kth')\n"
        "except ValueError as error: print(error)\n"
    )
    output = run(code)
    assert len(output.splitlines()) > 60 and "Did you mean 'tau_video_kth'?" in output


@pytest.mark.parametrize("code", ["import scs_keras", "import scs_keras.zoo; scs_keras.zoo.list_presets()"])
def test_nothing_heavy_is_imported(code):
    heavy = ("keras", "tensorflow", "jax", "matplotlib", "h5py")
    output = run(f"{code}\nimport sys; print([name for name in {heavy} if name in sys.modules])")
    assert output == "[]\n"


@pytest.mark.parametrize(
    "imports",
    [
        "import scs_keras, keras",
        pytest.param("import keras, scs_keras", marks=pytest.mark.slow),
        pytest.param("from scs_keras.core import analysis; import keras", marks=pytest.mark.slow),
    ],
)
def test_keras_finds_every_class_in_any_order(imports):
    code = f"{imports}\nimport sys\nfor path in sys.argv[1:]: print(type(keras.saving.load_model(path)).__name__)"
    assert len(run(code, *SAVED).split()) == len(SAVED) >= 8


# Registered names ---------------------------------------------------------------------------------


def registrations():
    """(module, object, package, name) of everything that is registered, read from the sources."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        aliases = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            for decorator in getattr(node, "decorator_list", ()):
                if isinstance(decorator, ast.Name):
                    decorator = aliases.get(decorator.id, decorator)
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if ast.unparse(called).endswith("register_keras_serializable"):
                    given = [ast.literal_eval(each) for each in getattr(decorator, "args", ())]
                    given += [ast.literal_eval(each.value) for each in getattr(decorator, "keywords", ())]
                    package, name = (*given, "Custom", node.name)[0], given[1] if len(given) > 1 else node.name
                    module = ".".join(("scs_keras", *path.relative_to(PACKAGE).with_suffix("").parts))
                    yield module, node.name, package, name


FOUND = list(registrations())


def test_registered_names_are_unique():
    """The second to come would replace the first without a word, and files of the first would load as the second."""
    places = defaultdict(list)
    for module, _, package, name in FOUND:
        places[package, name].append(module)
    assert len(places) > 30
    assert not {name: modules for name, modules in places.items() if len(modules) > 1}


def test_keras_knows_each_by_its_name():
    for module, name, package, registered in FOUND:
        thing = getattr(importlib.import_module(module), name)
        assert keras.saving.get_registered_object(f"{package}>{registered}") is thing


def package_of(module):
    """What names of a module are registered under: those of a task added since 0.1 under the task's."""
    room, folder, *rest = module.split(".")[1:] + [""]
    new_task = room in ("zoo", "training") and rest and folder not in FLAT and folder in scs_keras.zoo.tasks()
    return f"scs_keras.{folder}" if new_task else "scs_keras"


def test_new_tasks_register_under_their_own_name(monkeypatch):
    for module, name, package, _ in FOUND:
        assert package == package_of(module), f"{module}: {name} is to be registered under {package_of(module)!r}"
    monkeypatch.setattr(scs_keras.zoo, "tasks", lambda: [*FLAT, "driving"])
    assert package_of("scs_keras.zoo.driving.model") == "scs_keras.driving"
    assert package_of("scs_keras.zoo.precipitation.model") == package_of("scs_keras.zoo.convlstm") == "scs_keras"
