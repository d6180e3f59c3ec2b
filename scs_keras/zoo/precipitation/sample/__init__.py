"""The radar sequence that ships with the project; where it is from and its licence are in README.md beside it."""

from pathlib import Path

SAMPLE = Path(__file__).parent / "meteonet_SE_20160828a.npz"
