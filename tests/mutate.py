"""Breaks the code in small ways and looks whether a test notices: `python tests/mutate.py --count 150 --seed 0`.

One mutant is one change of one node of the syntax tree: an operator, a comparison, a constant, a condition, an argument
left out. Each is written into a copy of the package and tested in a process of its own (TensorFlow hangs in forked
children) by the tests that call the changed function, until one fails; quick ones that call little else first. What
survives is printed with its place and kept in the result file: kill it with a test, or say there why it computes the
same. The same command goes on where one that was stopped left off, while the code is the same.
"""

import argparse
import ast
import copy
import datetime
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = {  # files of tests that reach a file
    "core/switch.py": ["test_switch", "test_gradients", "test_model", "test_distribute_step"],
    "core/controller.py": ["test_switch", "test_model"],
    "core/switch_callbacks.py": ["test_switch", "test_distribute_step", "test_model"],
    "core/tensorflow_step.py": [
        "test_model", "test_reduction", "test_long_sequence", "test_inputs", "test_distribute_step",
    ],
    "core/keras_step.py": ["test_jax"],
    "core/trainer.py": ["test_model", "test_reduction", "test_long_sequence", "test_distribute_step", "test_jax"],
    "core/compile_arguments.py": ["test_model", "test_switch", "test_long_sequence", "test_distribute_step"],
    "core/long_sequence.py": ["test_long_sequence", "test_reduction"],
    "core/streaming.py": ["test_model", "test_inputs", "test_long_sequence"],
    "core/objective.py": [
        "test_reduction", "test_long_sequence", "test_model", "test_goals", "test_inputs", "test_gradients",
        "test_distribute_step", "test_jax",
    ],
    "core/targets.py": ["test_goals", "test_model", "test_long_sequence"],
    "core/reduction.py": ["test_reduction", "test_long_sequence", "test_model"],
}  # fmt: skip
ELSEWHERE = ("test_jax",)  # runs the package in another process, so that nobody sees which functions it calls
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
SECONDS = 240  # and four times what the tests take: a mutant that loops for ever is noticed by that


def changes(node):
    """Functions that each change a copy of the node in one way, with what they do."""
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OPERATORS:
        yield "operator", lambda n: setattr(n, "op", OPERATORS[type(n.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        yield "comparison", lambda n: n.ops.__setitem__(0, OPERATORS[type(n.ops[0])]())
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", lambda n: setattr(n, "value", not n.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "constant", lambda n: setattr(n, "value", n.value + 1)
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "condition", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.Call) and len(node.args) > 1:
        yield "last argument left out", lambda n: n.args.pop()


def skipped(tree):
    """Nodes of messages and annotations, whose change is no fault of the computation."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.JoinedStr):
            yield from map(id, ast.walk(node))
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield from map(id, ast.walk(node.annotation))
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield from map(id, ast.walk(node.returns))


def enclosing(tree, line):
    """The line of the innermost function around a line; None outside of any."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return max((each.lineno for each in functions if each.lineno <= line <= each.end_lineno), default=None)


def noting(file):
    """The source of a file of the package whose functions note for the plugin `reach` that they were called."""
    tree = ast.parse((ROOT / "scs_keras" / file).read_text())
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.FunctionDef):
            note = f"__import__('builtins').__dict__.setdefault('reached', set()).add(({file!r}, {node.lineno}))"
            node.body.insert(ast.get_docstring(node) is not None, ast.parse(note).body[0])
    return ast.unparse(ast.fix_missing_locations(tree))


def mutants(file):
    """(place and kind, changed source) of every mutant of a file of the package."""
    source = (ROOT / "scs_keras" / file).read_text()
    tree = ast.parse(source)
    left_out = set(skipped(tree))
    for index, node in enumerate(ast.walk(tree)):
        if id(node) in left_out:
            continue
        for number, (kind, _) in enumerate(changes(node)):
            changed = copy.deepcopy(tree)
            twin = next(each for place, each in enumerate(ast.walk(changed)) if place == index)
            before = ast.unparse(twin).splitlines()[0]
            list(changes(twin))[number][1](twin)
            after = ast.unparse(twin).splitlines()[0]
            about = dict(file=file, line=node.lineno, function=enclosing(tree, node.lineno), kind=kind)
            yield {**about, "before": before, "after": after}, ast.unparse(ast.fix_missing_locations(changed))


def run_tests(folder, names, seconds, **settings):
    """pytest on test files of the package's copy in `folder`, with the plugin `reach`."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3", **settings}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "tests.reach"]
    command += ["--hypothesis-seed=0", "-m", "not slow", "--rootdir", folder, "-c", folder / "pyproject.toml"]
    command += [folder / "tests" / f"{name}.py" for name in names]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds)


def reached(folder, kept):
    """{test file: {test: (seconds, functions that it calls)}} of all test files, which pass without any change.

    What was found is kept in a folder, and not looked for again.
    """
    kept.mkdir(parents=True, exist_ok=True)
    found = {}
    for file in TESTS:
        (folder / "scs_keras" / file).write_text(noting(file))
    for name in dict.fromkeys(name for names in TESTS.values() for name in names):
        record = kept / f"{name}.json"
        if not record.exists():
            done = run_tests(folder, [name], 3600, REACH_RECORD=str(record))
            if done.returncode:
                record.unlink(missing_ok=True)
                sys.exit(f"{name} fails without any change:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        tests = json.loads(record.read_text())
        found[name] = {test: (seconds, set(map(tuple, calls))) for test, (seconds, calls) in tests.items()}
        print(f"{name}: {len(tests)} tests, {sum(each[0] for each in found[name].values()):.0f} s", flush=True)
    for file in TESTS:
        shutil.copy(ROOT / "scs_keras" / file, folder / "scs_keras" / file)
    return found


def chosen_tests(about, reach):
    """[(test, seconds)] that may notice a mutant: first those that are quick and call little else."""
    place = about["file"], about["function"]
    tests = [
        (name in ELSEWHERE, seconds * len(calls), seconds, test)
        for name in TESTS[about["file"]]
        for test, (seconds, calls) in reach[name].items()
        if place[1] is None or place in calls or name in ELSEWHERE
    ]
    return [(test, seconds) for *_, seconds, test in sorted(tests)]


def killed_by(folder, about, reach):
    """The test that fails on the package in `folder`; None if none does."""
    tests = chosen_tests(about, reach)
    if not tests:
        return None
    only = folder / "only.json"
    only.write_text(json.dumps([test for test, _ in tests]))
    names = dict.fromkeys(Path(test.split("::")[0]).stem for test, _ in tests)
    try:
        done = run_tests(folder, names, SECONDS + 4 * sum(seconds for _, seconds in tests), REACH_ONLY=str(only))
    except subprocess.TimeoutExpired:
        return "tests that did not end"
    if done.returncode == 0:
        return None
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if done.returncode == 5 or (done.returncode == 1 and not failed):
        sys.exit(f"pytest did not say what failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failed[0] if failed else "the import of the tests"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=150, help="how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the result file"
    )
    arguments = parser.parse_args()
    everything = [mutant for file in TESTS for mutant in mutants(file)]
    chosen = random.Random(arguments.seed).sample(everything, min(arguments.count, len(everything)))
    code = hashlib.sha256("".join((ROOT / "scs_keras" / file).read_text() for file in TESTS).encode()).hexdigest()
    result = dict(
        command=f"python tests/mutate.py --count {arguments.count} --seed {arguments.seed}", of=len(everything),
        date=datetime.date.today().isoformat(), code=code, mutants=[],
    )  # fmt: skip
    path = arguments.output / f"mutations_{result['date']}_seed{arguments.seed}.json"
    before = json.loads(path.read_text()) if path.exists() else result
    if all(before[key] == result[key] for key in ("command", "code")):
        result = before
    done = len(result["mutants"])
    print(f"{len(chosen)} of {len(everything)} mutants, {done} of them done before", flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve() / "copy"
        ignored = shutil.ignore_patterns("__pycache__", ".venv", ".git", "site", "build", "*.egg-info")
        shutil.copytree(ROOT, folder, symlinks=True, ignore=ignored)
        reach = reached(folder, Path(tempfile.gettempdir()) / f"scs_keras_reach_{code[:16]}")
        for number, (about, source) in list(enumerate(chosen))[done:]:
            target = folder / "scs_keras" / about["file"]
            original = target.read_text()
            target.write_text(source)
            about["killed_by"] = killed_by(folder, about, reach)
            target.write_text(original)
            result["mutants"].append(about)
            what = f"{about['file']}:{about['line']} {about['before']} -> {about['after']}"
            print(f"{number:4} {what:100} {about['killed_by'] or 'SURVIVED'}", flush=True)
            path.write_text(json.dumps(result, indent=1) + "\n")
    survivors = [each for each in result["mutants"] if each["killed_by"] is None]
    print(f"{len(result['mutants']) - len(survivors)} killed, {len(survivors)} survived. Kept in {path}.")


if __name__ == "__main__":
    main()
