"""Tables and picture of the runs of moving_geometries.py."""

import numpy as np

KINDS = {"seen": "-", "unseen": "--"}  # and their lines
TITLES = {
    "direction": "direction (dashed: unseen geometry)",
    "geometry": "geometry (dashed: disordered motion)",
    "pairs, 256 examples": "direction, 256 examples (dashed: unseen pairs)",
}


def mean_and_spread(values):
    """Mean and standard deviation over the seeds; of one seed the value alone."""
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def tables(runs):
    """Markdown: the studies, and Tab. 3 with its differences from the whole, seed by seed."""
    groups = {}
    for run in runs:
        groups.setdefault((run["study"], run["task"], run["model"], run["row"], run["rate"]), {})[run["seed"]] = run
    lines = [
        "| task | model | rate | steps to 95 % of seen | seen | unseen | seen - unseen |",
        "|---|---|---|---|---|---|---|",
    ]
    for (study, task, model, _, rate), group in groups.items():
        if study in ("fig2", "pairs"):
            seen, unseen = ([run[kind] for run in group.values()] for kind in KINDS)
            steps = ", ".join(str(run["steps_to_95"] or "never") for run in group.values()) if rate else ""
            cells = [
                task,
                model,
                f"{rate:g}" if rate else "",
                steps,
                *map(mean_and_spread, (seen, unseen, np.subtract(seen, unseen))),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| Tab. 3 | seen | unseen | seen, less whole | unseen, less whole |", "|---|---|---|---|---|"]
    for (study, task, model, row, rate), group in groups.items():
        if study == "tab3":
            whole = groups.get((study, task, model, "whole", rate), {})
            cells = [mean_and_spread([run[kind] for run in group.values()]) for kind in KINDS]
            for kind in KINDS:
                differences = [group[seed][kind] - whole[seed][kind] for seed in group if seed in whole]
                cells.append(" ".join(f"{each:+.3f}" for each in differences) if row != "whole" else "")
            lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(runs, path):
    """A line for each training on the seen and the unseen kind, a point for each of Tab. 3."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ablations = [run for run in runs if run["study"] == "tab3"]
    panels = len(TITLES) + bool(ablations)
    figure, axes = plt.subplots(1, panels, figsize=(4 * panels, 4.5), sharey=True)
    studies = [run for run in runs if run["study"] in ("fig2", "pairs") and "curve" in run]
    colours = {model: f"C{index}" for index, model in enumerate(dict.fromkeys(run["model"] for run in studies))}
    for axis, (task, title) in zip(axes, TITLES.items()):
        for run in (run for run in studies if run["task"] == task):
            steps = [look["step"] for look in run["curve"]]
            for kind, style in KINDS.items():
                axis.plot(steps, [look[kind] for look in run["curve"]], style, color=colours[run["model"]], linewidth=1)
        axis.set(title=title, xlabel="steps")
        axis.axhline(0.25, color="grey", linestyle=":")
    for model, colour in colours.items():
        axes[0].plot([], [], color=colour, label=model)
    axes[0].legend(loc="lower right", fontsize=8)
    axes[0].set_ylabel("accuracy")
    for kind, marker in zip(KINDS, "ox") if ablations else ():
        axes[-1].plot(
            [run["row"] for run in ablations], [run[kind] for run in ablations], marker, color="C0", label=kind
        )
        axes[-1].set(title="Tab. 3 on the task to the left, SCS")
        axes[-1].tick_params("x", rotation=40, labelsize=8)
        axes[-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
