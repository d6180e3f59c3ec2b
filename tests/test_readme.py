"""The code blocks of the README and of the documentation's pages, run in order in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTIONS = ("Install and predict", "Use the cell", "Train on your data", "Predict video", "Serve")
LONG = dict.fromkeys(("Predict video", "Serve"), pytest.mark.slow)  # each half a minute
PAGES = ("docs/index.md", "docs/tasks/precipitation.md", "docs/tasks/video_prediction.md", "docs/api/serving.md")


def blocks(text):
    return re.findall(r"```(python|bash)\n(.*?)```", text, flags=re.S)


def check(found, folder):
    assert found, "no code"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for language, code in found:
        command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, f"{code}\n{result.stdout}\n{result.stderr[-3000:]}"


@pytest.mark.parametrize("section", [pytest.param(each, marks=LONG.get(each, ())) for each in SECTIONS])
def test_code_blocks_run(section, tmp_path):
    readme = (ROOT / "README.md").read_text()
    check(blocks(readme.split(f"## {section}\n")[1].split("\n## ")[0]), tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_code_blocks_of_pages_run(page, tmp_path):
    check(blocks((ROOT / page).read_text()), tmp_path)


def test_every_code_block_is_run():
    readme = re.findall(r"^## (.*)$", (ROOT / "README.md").read_text(), re.M)
    assert [each for each in readme if each not in SECTIONS] == ["Documentation"]
    pages = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md") if blocks(path.read_text())]
    assert sorted(pages) == sorted(PAGES)
