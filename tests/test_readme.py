"""The code blocks of the README and of the documentation's pages, run in order in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FAST = ("Install and predict",)
SLOW = (
    "docs/index.md", "Use the cell", "Train on your data", "Predict video", "Serve", "docs/tasks/precipitation.md",
    "docs/tasks/video_prediction.md", "docs/tasks/action.md", "docs/tasks/driving.md",
    "docs/tasks/outline.md", "docs/api/serving.md", "docs/serving.md",
)  # fmt: skip
ELSEWHERE = ("docs/clients.md",)  # tests/test_clients_page.py, against a server


def blocks(text):
    return re.findall(r"```(python|bash)\n(.*?)```", text, flags=re.S)


@pytest.mark.parametrize("place", [*FAST, *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW)])
def test_code_blocks_run(place, tmp_path):
    """`place` is a section of the README or a page."""
    if place.endswith(".md"):
        text = (ROOT / place).read_text()
    else:
        text = (ROOT / "README.md").read_text().split(f"## {place}\n")[1].split("\n## ")[0]
    found = blocks(text)
    assert found, f"{place!r} has no code"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for language, code in found:
        command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, f"{code}\n{result.stdout}\n{result.stderr[-3000:]}"


def test_every_code_block_is_run():
    sections = re.findall(r"^## (.*)$", (ROOT / "README.md").read_text(), re.M)
    pages = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md") if blocks(path.read_text())]
    assert sorted([*FAST, *SLOW, *ELSEWHERE]) == sorted({*sections, *pages} - {"Documentation"})
