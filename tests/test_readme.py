"""The README's code blocks, run in order in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
SECTIONS = ("Use the cell", "Train on your data", "Predict video", "Serve")


def blocks(section):
    text = README.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```(python|bash)\n(.*?)```", text, flags=re.S)


@pytest.mark.parametrize("section", SECTIONS)
def test_code_blocks_run(section, tmp_path):
    found = blocks(section)
    assert found, f"section {section!r} has no code"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for language, code in found:
        command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, f"{code}\n{result.stdout}\n{result.stderr[-3000:]}"
