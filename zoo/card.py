"""Model cards: written from the preset and its record, never by hand."""

SHOWN = ("mse", "csi_0.5", "csi_2", "csi_5", "csi_paper", "correlation")


def model_card(preset):
    """The card of a preset with weights, in Markdown."""
    record = preset.record
    recipe = record["recipe"]
    settings = " ".join(f"--set {key}={value}" for key, value in record["settings"].items())
    lines = [
        f"# {preset.name}",
        "",
        f"{preset.summary[0].upper()}{preset.summary[1:]}. Task: {preset.task}. Stands for: {preset.paper_row}.",
        "",
        f"- Input {preset.input_shape}, output {preset.output_shape}; height and width may vary. Values: {preset.values}.",
        f"- {record['parameters']:,} parameters, {record['bytes']:,} bytes, sha256 `{record['sha256']}`.",
        f"- Trained {record['date']} with scs-keras {record['version']} on {record['hardware']}, "
        f"{record['minutes']} minutes:",
        f"  `scs-keras train {recipe} --data DIR --output DIR {settings}`",
        f"- Data: {preset.data_licence}. Weights: {preset.weights_licence}.",
        "",
        "Scores on whole events that were kept out of training, all windows "
        f"(`scs-keras evaluate {preset.name} --data DIR --split val`):",
    ]
    for event, forecasts in record["metrics"].items():
        lines += [
            "",
            f"| {event} | {' | '.join(SHOWN)} |",
            f"|---|{'---|' * len(SHOWN)}",
            *(f"| {name} | {' | '.join(map(_number, map(scores.get, SHOWN)))} |" for name, scores in forecasts.items()),
        ]
    lines += [
        "",
        "MSE is in units of (70 dBZ)²; CSI thresholds are mm/h, `csi_paper` and the correlation 35 dBZ. "
        "A dash is a score that is not defined (no rain above the threshold).",
        "",
        "Made for study and as a start for your own training; not an official weather service.",
        "",
    ]
    return "\n".join(lines)


def _number(value):
    return "–" if value is None else f"{value:.4f}"
