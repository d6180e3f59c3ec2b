"""Expected number of back-propagation chains by length, like the paper's Fig. 3.

    python benchmarks/plot_chains.py

Where both probabilities are p, every length shrinks by the same factor (1 - p)^layers; where only the temporal
branch closes, the long chains, which need it, shrink most.

Writes benchmarks/results/expected_chains.png.
"""

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator
from measuring import RESULTS

from scs_keras import expected_chains

SIZES = ((5, 10), (15, 10), (5, 20), (15, 20))  # layers, time steps
PROBABILITIES = (0.0, 0.3, 0.5, 0.7)
TEMPORAL_ONLY = (0.0, 0.5)  # the predecessor CBM closes only the temporal branch


def draw(axis, layers, steps):
    """One curve for each probability, on a logarithmic axis."""
    lengths = np.arange(layers, layers + steps)
    for index, p in enumerate(PROBABILITIES):
        colour = plt.cm.viridis(0.9 * index / (len(PROBABILITIES) - 1))
        axis.semilogy(lengths, expected_chains(layers, steps, p)[layers:], color=colour, label=f"p = {p}")
    p_s, p_t = TEMPORAL_ONLY
    chains = expected_chains(layers, steps, TEMPORAL_ONLY)[layers:]
    axis.semilogy(lengths, chains, color="C3", linestyle="--", label=f"p_s = {p_s}, p_t = {p_t}")
    axis.axhline(1, color="black", linewidth=0.6, linestyle=":")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(title=f"{layers} layers, {steps} time steps", xlabel="length of the chain (edges)")


def main():
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), sharey="row")
    for axis, (layers, steps) in zip(axes.T.flat, SIZES):
        draw(axis, layers, steps)
    for axis in axes[:, 0]:
        axis.set_ylabel("expected number of chains")
    axes[0, 1].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "expected_chains.png", dpi=120)


if __name__ == "__main__":
    main()
