"""Draws the reliability diagram of scores that are there: of a JSON of `scs-keras evaluate`, or of a result file.

    python benchmarks/plot_reliability.py benchmarks/results/nowcast_validation_2026-11-26_0.2.0.json reliability.png

`scs-keras evaluate PRESET --data DIR --reliability FILE` draws it while it scores.
"""

import argparse
import json
from pathlib import Path

from scs_keras.training.precipitation.reliability import reliability_diagram


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path, help="JSON with `reliability`, of all images and more, or of these alone")
    parser.add_argument("output", type=Path, help="PNG")
    arguments = parser.parse_args()
    found = json.loads(arguments.scores.read_text())["reliability"]
    reliability_diagram(arguments.output, {name: each.get("all", each) for name, each in found.items()})


if __name__ == "__main__":
    main()
