"""Writes what the published weights of presets give for their examples: `python tests/golden/save.py PRESET ...`.

For a preset whose weights are new; the other files stay as they are, so that a change of the numbers is seen.
"""

import sys
from pathlib import Path

import numpy as np

from scs_keras import zoo
from scs_keras.training.publish import outputs

if __name__ == "__main__":
    for name in sys.argv[1:]:
        model = zoo.load(name)
        frames = model.preset.make_example()
        path = Path(__file__).parent / f"{name}.golden.npz"
        np.savez_compressed(path, input=frames, **outputs(model, frames))
