"""Tables and picture of the runs of driving_world.py."""

import numpy as np

from scs_keras.training.driving.world import World

NAMES = {"main": "T", "spatial": "T1", "temporal": "T2"}


def values(document, kind, stream, road, metric):
    """Of a stream, by seed; of "difference", T2 less T1."""
    runs = [run["streams"] for run in document["runs"] if run["world"] == kind]
    if stream == "difference":
        return [run["temporal"][road][metric] - run["spatial"][road][metric] for run in runs]
    return [run[stream][road][metric] for run in runs]


def mean_and_spread(found):
    """Mean and standard deviation over the seeds; of one seed the value alone."""
    return f"{np.mean(found):.3f}" + (f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else "")


def tables(document):
    """Markdown: the share of right ways by road with the baselines, and Tab. 6 by Eq. 24."""
    kinds = [kind for kind in document["baselines"] if any(run["world"] == kind for run in document["runs"])]
    streams = [*NAMES, "difference"]
    lines = ["| right ways | best of a single frame | ridge, last frame | ridge, all | T | T1 | T2 | T2 - T1 |"]
    lines += ["|---" * 8 + "|"]
    for kind in kinds:
        baselines = document["baselines"][kind].values()
        for road, best in document["best_single_frame"][kind].items():
            cells = [f"{best:.3f}", *(f"{each[road]['right']:.3f}" for each in baselines)]
            cells += [mean_and_spread(values(document, kind, stream, road, "right")) for stream in streams]
            lines.append(f"| {kind}, {road} | {' | '.join(cells)} |")
    metrics = {"eq24_6": "λ = 6", "eq24_3": "λ = 3"}
    titles = [f"{name}, {title}" for name in ("T1", "T2", "T2 - T1") for title in metrics.values()]
    lines += ["", f"| Eq. 24 | {' | '.join(titles)} |", "|---" * 7 + "|"]
    for kind in kinds:
        for road in document["best_single_frame"][kind]:
            cells = [
                mean_and_spread(values(document, kind, stream, road, metric))
                for stream in streams[1:]
                for metric in metrics
            ]
            lines.append(f"| {kind}, {road} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(document, path):
    """Drives of the world, and T2 - T1 by road: a bar for the mean over the seeds, a point for each, a line at what a
    single frame lacks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, axis) = plt.subplots(1, 2, figsize=(13, 4), width_ratios=(1.15, 1))
    roads = list(document["best_single_frame"]["world"])
    films = [np.concatenate(list(frames), axis=1) for frames in one_of_each(roads)]
    left.imshow(np.concatenate(films), interpolation="nearest", aspect="auto")
    left.set_yticks([32 * place + 16 for place in range(len(roads))], roads)
    left.set_xticks([96 * place + 48 for place in range(7)], range(1, 8))
    left.set(title="a drive to the right, told by a sign", xlabel="frame")
    for place, (kind, bound) in enumerate(document["best_single_frame"].items()):
        at = np.arange(len(roads)) + 0.4 * place - 0.2
        found = [values(document, kind, "difference", road, "right") for road in roads]
        axis.bar(at, [np.mean(each or [np.nan]) for each in found], 0.36, color=f"C{place}", alpha=0.5, label=kind)
        for where, each, road in zip(at, found, roads):
            axis.plot([where] * len(each), each, "o", color=f"C{place}", markersize=4)
            axis.plot([where - 0.18, where + 0.18], [1 - bound[road]] * 2, color="black", linewidth=1)
    axis.plot([], [], color="black", linewidth=1, label="what the best of a single frame lacks")
    axis.set_xticks(range(len(roads)), roads)
    axis.set(ylabel="T2 - T1, share of right ways", title="How much a road asks of time")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def one_of_each(roads):
    """Frames of a drive to the right on each road, told by a sign; the curve lies in view."""
    drives = World(split="test", count=480).drives
    wanted = (drives.way == 1) & drives.signed & ~drives.crest & (drives.side == 1)
    return drives.frames()[[np.flatnonzero(wanted & (drives.road == place))[0] for place in range(len(roads))]]
