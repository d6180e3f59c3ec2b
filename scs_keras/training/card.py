"""Model cards: written from the preset, its record and the columns of its task's scores, never by hand."""

from scs_keras.training.scores import defined, markdown_table
from scs_keras.training.task import task
from scs_keras.zoo.preset import Preset

_FILES = 20  # of one part that a card names


def model_card(preset: Preset) -> str:
    """The card of a preset with weights, in Markdown."""
    record, scores = preset.record, task(preset.task).empty_scores(preset)
    settings = " ".join(f"--set {key}={value}" for key, value in record["settings"].items())
    known = {metric for results in record["metrics"].values() for values in results.values() for metric in values}
    columns = [column for column in scores.columns if column.main and column.name in known]
    notes = " ".join([scores.notes, *dict.fromkeys(column.note for column in columns if column.note)])
    tables = [
        line
        for data, results in record["metrics"].items()
        for line in ("", *markdown_table(columns, defined(columns, results), data, scores.bounds))
    ]
    lines = [
        f"# {preset.name}",
        "",
        f"{preset.summary[0].upper()}{preset.summary[1:]}. Task: {preset.task}. Stands for: {preset.paper_row}.",
        "",
        f"- Input {preset.input_shape}, output {preset.output_shape}. Values: {preset.values}.",
        *([f"- Classes: {', '.join(preset.labels)}."] if preset.labels else []),
        f"- {record['parameters']:,} parameters, {record['bytes']:,} bytes, sha256 `{record['sha256']}`.",
        f"- Trained {record['date']} with scs-keras {record['version']} on {record['hardware']}, "
        f"{record['minutes']} minutes:",
        f"  `scs-keras train {record['recipe']} --data DIR --output DIR {settings}`",
        *_files(record),
        *_formats(record),
        f"- Data: {preset.data_licence}. Weights: {preset.weights_licence}.",
        "",
        f"Scores on {_kept_out(preset)} (`{record['evaluated']}`), the best in bold:",
        *tables,
        "",
        f"{notes} A dash is a score that is not defined.",
        "",
        "Made for study and as a start for your own training, not for decisions that people depend on.",
    ]
    return "\n".join([*lines, ""])


def _kept_out(preset):
    """What the scored part of the data set may have been used for."""
    if task(preset.task).dataset(preset.dataset).scored == "val":
        return "validation data: kept out of training, looked at when choices were made"
    return "data kept out of training and of every choice"


def _files(record):
    """The line of the files that the model was trained and scored on; none where the record does not say."""
    files = dict(record.get("files", {}))
    note = files.pop("note", "")
    parts = [f"{part} on {_some(names)}" for part, names in files.items()]
    return [f"- Files: {'; '.join(parts)}.{note and f' {note}'}"] if parts else []


def _formats(record):
    """The line of the exports that were compared with the model; none where the record does not say."""
    formats = record.get("formats", {})
    parts = [f"{name} {_differences(found)}" if found else f"not {name}" for name, found in formats.items()]
    streamed = any(found and "streamed" in found for found in formats.values())
    said = "Exported, with the largest difference from the model in its own numbers"
    said += " (streamed: pixels in steps, other values relative)" if streamed else ""
    return [f"- {said}: {', '.join(parts)}; `python benchmarks/formats.py --record`."] if parts else []


def _differences(found):
    whole, streamed = (f"{found[case]:.1g}" if case in found else "" for case in ("whole", "streamed"))
    return f"{whole} ({streamed})" if streamed else whole


def _some(names):
    more = f" and {len(names) - _FILES} more, all in the record beside this card" if len(names) > _FILES else ""
    return ", ".join(f"`{name}`" for name in names[:_FILES]) + more
