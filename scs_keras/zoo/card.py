"""Model cards: written from the preset and its record, never by hand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scores:
    """What a task's cards say of its scores.

    Attributes:
        heading: line above the tables, in which the recipe's settings are filled in.
        shown: metrics in the tables.
        note: what they mean, and what the models are not for.
        digits: {metric: digits behind the point}, where not four.
        sizes: what else is to say of the shapes.
    """

    heading: str
    shown: tuple
    note: str
    digits: dict
    sizes: str = ""


SCORES = {
    "precipitation": Scores(
        heading="Scores on whole events that were kept out of training, all windows "
        "(`scs-keras evaluate {preset} --data DIR --split val`):",
        shown=("mse", "csi_0.5", "csi_2", "csi_5", "csi_paper", "correlation"),
        note="MSE is in units of (70 dBZ)²; CSI thresholds are mm/h, `csi_paper` and the correlation 35 dBZ. "
        "A dash is a score that is not defined (no rain above the threshold).\n\n"
        "Made for study and as a start for your own training; not an official weather service.",
        digits={},
        sizes="; height and width may vary",
    ),
    "video_prediction": Scores(
        heading="Scores on sequences that were kept out of training and of every choice "
        "(`scs-keras evaluate {preset} --data DIR --dataset {dataset} --limit 1000`):",
        shown=("mse", "mae", "ssim", "ssim_published", "psnr"),
        note="MSE and MAE are sums over a frame's pixels, means over frames; values are in [0, 1]. `ssim` has the "
        "range 1 of the values, `ssim_published` the range 2 of the published tables. PSNR in dB.",
        digits={"mse": 2, "mae": 2, "psnr": 2},
    ),
}


def model_card(preset):
    """The card of a preset with weights, in Markdown."""
    record, scores = preset.record, SCORES[preset.task]
    recipe = record["recipe"]
    settings = " ".join(f"--set {key}={value}" for key, value in record["settings"].items())
    lines = [
        f"# {preset.name}",
        "",
        f"{preset.summary[0].upper()}{preset.summary[1:]}. Task: {preset.task}. Stands for: {preset.paper_row}.",
        "",
        f"- Input {preset.input_shape}, output {preset.output_shape}{scores.sizes}. Values: {preset.values}.",
        f"- {record['parameters']:,} parameters, {record['bytes']:,} bytes, sha256 `{record['sha256']}`.",
        f"- Trained {record['date']} with scs-keras {record['version']} on {record['hardware']}, "
        f"{record['minutes']} minutes:",
        f"  `scs-keras train {recipe} --data DIR --output DIR {settings}`",
        f"- Data: {preset.data_licence}. Weights: {preset.weights_licence}.",
        "",
        scores.heading.format(**record["settings"]),
    ]
    for event, forecasts in record["metrics"].items():
        lines += [
            "",
            f"| {event} | {' | '.join(scores.shown)} |",
            f"|---|{'---|' * len(scores.shown)}",
            *(f"| {name} | {' | '.join(_cells(values, scores))} |" for name, values in forecasts.items()),
        ]
    return "\n".join([*lines, "", scores.note, ""])


def _cells(values, scores):
    return [_number(values.get(metric), scores.digits.get(metric, 4)) for metric in scores.shown]


def _number(value, digits):
    return "–" if value is None else f"{value:.{digits}f}"
