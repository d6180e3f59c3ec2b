"""Breaks the code in small ways and looks whether a test notices: `python tests/mutate.py --count 150 --seed 0`.

One mutant is one change of one node of the syntax tree: an operator, a comparison, a constant, a condition, an argument
left out. Each is written into a copy of the package and tested in a process of its own (TensorFlow hangs in forked
children), the nearest test file first, until a test fails. What survives is printed with its place and kept in the
result file: kill it with a test, or say there why it computes the same.
"""

import argparse
import ast
import copy
import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = {  # of each file, nearest first
    "core/switch.py": ["test_switch", "test_gradients", "test_model"],
    "core/tensorflow_step.py": ["test_model", "test_long_sequence", "test_distribute_step"],
    "core/long_sequence.py": ["test_long_sequence"],
    "core/objective.py": ["test_long_sequence", "test_model", "test_gradients", "test_distribute_step", "test_jax"],
}
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
SECONDS = 400  # a mutant that loops for ever is noticed by that


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
            yield (
                dict(file=file, line=node.lineno, kind=kind, before=before, after=after),
                ast.unparse(ast.fix_missing_locations(changed)),
            )


def killed_by(folder, file):
    """The test file that fails on the package in `folder`; None if none does."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
    for name in TESTS[file]:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
        command += ["--rootdir", folder, "-c", folder / "pyproject.toml", folder / "tests" / f"{name}.py"]
        try:
            result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return f"{name} (did not end)"
        if result.returncode:
            return name
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=150, help="how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument(
        "--first", type=int, default=0, help="begin with this one of the draw, to go on (with the same code)"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the result file"
    )
    arguments = parser.parse_args()
    everything = [mutant for file in TESTS for mutant in mutants(file)]
    chosen = random.Random(arguments.seed).sample(everything, min(arguments.count, len(everything)))
    print(f"{len(chosen)} of {len(everything)} mutants, from number {arguments.first} on")
    result = dict(seed=arguments.seed, of=len(everything), date=datetime.date.today().isoformat(), mutants=[])
    path = arguments.output / f"mutations_{result['date']}_seed{arguments.seed}_from{arguments.first}.json"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "copy"
        ignored = shutil.ignore_patterns("__pycache__", ".venv", ".git", "site", "build", "*.egg-info")
        shutil.copytree(ROOT, folder, symlinks=True, ignore=ignored)
        for file in TESTS:
            if killed_by(folder, file):
                sys.exit(f"The tests of {file} fail without any change: {', '.join(TESTS[file])}.")
        for number, (about, source) in enumerate(chosen):
            if number < arguments.first:
                continue
            target = folder / "scs_keras" / about["file"]
            original = target.read_text()
            target.write_text(source)
            about["killed_by"] = killed_by(folder, about["file"])
            target.write_text(original)
            result["mutants"].append(about)
            what = f"{about['file']}:{about['line']} {about['before']} -> {about['after']}"
            print(f"{number:4} {about['killed_by'] or 'SURVIVED':24} {what}", flush=True)
            path.write_text(json.dumps(result, indent=1) + "\n")
    survivors = [each for each in result["mutants"] if each["killed_by"] is None]
    print(f"{len(result['mutants']) - len(survivors)} killed, {len(survivors)} survived. Kept in {path}.")


if __name__ == "__main__":
    main()
