"""What can be checked of the documentation without building it: names, links, length, no trace of a machine."""

import ast
import re
from pathlib import Path

import pytest

import scs_keras

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
API = sorted((ROOT / "docs" / "api").glob("*.md"))
# Modules whose page shows all their public members.
WHOLE = ("scs_keras.goals", "scs_keras.metrics")


def directives():
    """{name: the names of its members that are shown, None for all} of the `:::` lines of the API pages."""
    found = {}
    for page in API:
        for name, members in re.findall(
            r"^::: ([\w.]+)(?:\n +options: .*members: \[([^]]*)\])?", page.read_text(), re.M
        ):
            found[name] = [each.strip() for each in members.split(",")] if members else None
    return found


def documented(name):
    """Whether a page has the name, or the module with it among its members."""
    found, (module, _, member) = directives(), name.rpartition(".")
    return name in found or (module in found and member in (found[module] or [member]))


def names_of(module):
    """`__all__` of a module, read from its source."""
    path = ROOT.joinpath(*module.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    (names,) = (
        ast.literal_eval(each.value)
        for each in tree.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__all__"
    )
    return names


@pytest.mark.parametrize("name", scs_keras.__all__)
def test_every_public_name_has_a_page(name):
    assert documented(f"scs_keras.{name}"), f"docs/api/*.md has no `::: scs_keras.{name}`"


@pytest.mark.parametrize("module", ["scs_keras.zoo", "scs_keras.zoo.video_prediction"])
def test_every_public_name_of_the_zoo_has_a_page(module):
    missing = [name for name in names_of(module) if not name.isupper() and not documented(f"{module}.{name}")]
    assert not missing, f"docs/api/*.md shows none of {missing} of {module}"


def test_whole_modules_are_shown_whole():
    assert all(directives()[module] is None for module in WHOLE)


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f": {page}\n" not in navigation] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    links = re.findall(r"\]\(([^)\s#]+)", prose)
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken, f"{page}: no such files: {broken}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_of_the_repository_exist(page):
    """`benchmarks/results/...` and the like in the text, as code."""
    named = re.findall(r"`((?:benchmarks|scs_keras|tests|docs)/[\w./-]+)`", page.read_text())
    broken = [name for name in named if "TASK" not in name and not (ROOT / name).exists()]
    assert not broken, f"{page}: no such files: {broken}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_trace_of_a_machine(page):
    text = page.read_text()
    traces = re.findall(
        r"(?:/home/|/work/|/tmp/|/root/|/Users/|/opt/)\S*|localhost:\d+|--index-url|[\w.-]*pypi[\w.-]*/simple", text
    )
    assert not traces, f"{page}: {traces}"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110


def test_versions_agree():
    version = re.escape(scs_keras.__version__)
    assert re.search(rf"^version: {version}$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert re.search(rf"^## {version}\b", (ROOT / "CHANGELOG.md").read_text(), re.M)
