"""What happens in a video, or in every video of a folder: classes by frame, as JSON, table and picture."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from scs_keras.core.analysis import branch_maps
from scs_keras.training.action.samples import Clip, ClipSamples, Segment
from scs_keras.training.data.clips import ARRAYS, VIDEOS, footage
from scs_keras.training.data.folders import in_order
from scs_keras.training.evaluate import write_json
from scs_keras.training.film_strip import film_strip, map_strip
from scs_keras.training.importance import streams
from scs_keras.training.source import Source
from scs_keras.zoo.files import written_beside

TABLE = "predictions.csv"


def predict(source: Source, file: Path, output: Path, importance: bool = False, explain: bool = False) -> str:
    """Writes predictions.csv, and for each video FILE.json with a row for each frame and FILE.png, and says so.

    A model of one class a clip sees frames evenly spread over the video, one of a class a frame all frames, in windows
    beside each other: what `evaluate` sees of a whole video, so the numbers are the same. (Of a video whose first
    frames have no label `evaluate` sees windows from the first that has one.)

    Args:
        source: of a model of the task.
        file: a video, an .npz file of frames, or a folder of them, with its sub-folders.
        output: folder.
        importance: also what T1 and T2 say of the class: what time adds.
        explain: also FILE.maps.png and FILE.maps.npz: h_s, h_t and F of the last layer.

    Raises:
        FileNotFoundError: a folder without videos.
        ValueError: a file is broken, or the model has no such streams.
    """
    preset = source.preset
    if explain and preset.arguments["network"] != "scs":
        raise ValueError(f"Maps of h_s, h_t and F are those of semi-coupled layers. Received: {preset.name}.")
    root, paths = _videos(file)
    films = [clips_of(path, path.relative_to(root).as_posix(), preset) for path in paths]
    model = source.load()
    rows = []
    for path, film in zip(paths, films):
        name = path.relative_to(root).as_posix()
        told = _told(model, film, importance)
        document = _document(source.name, preset, name, film, told)
        write_json(output / f"{name}.json", document)
        _draw(output / name, film, told, document, preset.labels)
        if explain:
            _explain(model, output / name, film, name)
        rows.append(document)
    _write_table(output / TABLE, rows)
    count = f"{len(rows)} videos" if len(rows) > 1 else f"{rows[0]['file']}: {rows[0]['label']}"
    return f"{count}. Wrote {output / TABLE}, and a .json and .png for each video, to {output}."


def _videos(file):
    """(folder that names are relative to, files)."""
    if file.is_file():
        return file.parent, [file]
    found = in_order(path for path in file.rglob("*") if path.suffix.lower() in VIDEOS + ARRAYS)
    if not found:
        raise FileNotFoundError(f"{file}: holds no videos. Read are {', '.join(VIDEOS + ARRAYS)}.")
    return file, found


def clips_of(path: Path, name: str, preset: Any) -> ClipSamples:
    """What a model of the preset sees of a whole file: one clip, or windows beside each other. Labels mean nothing."""
    by_frame, length = len(preset.output_shape) == 2, preset.input_shape[0]
    whole = Segment(0, None, 0)
    clips = [Clip(path, name, name, (whole,))]
    if by_frame:
        starts = range(0, len(footage(path).seconds), length)
        clips = [Clip(path, name, name, (whole,), first, first + length) for first in starts]
    return ClipSamples(name, clips, preset.labels, preset.input_shape, by_frame)


def _told(model, film, importance):
    """What the model says of a file: arrays by name over the frames seen; frames after the end are left out.

    `main` (frames, classes), `answer` (classes,), and with `importance` also `spatial` and `temporal`.
    """
    preset, seen = model.preset, {"frames": [], "seconds": []}
    for index in range(len(film)):
        x, _, weight = film[index]
        real = np.broadcast_to(weight > 0, len(x))
        inputs = preset.preprocess(x[None])
        outputs = streams(model, inputs, return_sequences=True) if importance else {"main": _frames(model, inputs)}
        parts = {"frames": x, "seconds": film.about(index)["seconds"], **{k: v[0] for k, v in outputs.items()}}
        for key, values in parts.items():
            seen.setdefault(key, []).append(np.asarray(values)[real])
    told = {key: np.concatenate(parts) for key, parts in seen.items()}
    return {**told, "answer": told["main"].mean(axis=0)}


def _frames(model, inputs):
    import keras

    return np.asarray(keras.ops.convert_to_numpy(model(inputs, training=False, return_sequences=True)))


def _document(model_name, preset, name, film, told):
    labels, by_frame = list(preset.labels), film.by_frame
    best = int(told["answer"].argmax())
    document = dict(
        file=name, model=model_name, preset=preset.name, labels=labels, label=labels[best],
        probability=_rounded(told["answer"][best]), probabilities=_rounded(told["answer"]), per_frame=by_frame,
    )  # fmt: skip
    if "temporal" in told:
        document["importance"] = _importance(told, slice(None), best)
    document["frames"] = []
    for index, (seconds, row) in enumerate(zip(told["seconds"], told["main"])):
        own = int(row.argmax())
        frame: dict[str, Any] = dict(
            seconds=round(float(seconds), 3), label=labels[own], probability=_rounded(row[own]),
            probabilities=_rounded(row),
        )  # fmt: skip
        if "temporal" in told:
            frame["importance"] = _importance(told, slice(index, index + 1), own if by_frame else best)
        document["frames"].append(frame)
    return document


def _importance(told, part, label):
    """What T1 and T2 give the class, and what time adds, T2 less T1, of some frames."""
    spatial, temporal = (float(told[name][part, label].mean()) for name in ("spatial", "temporal"))
    return {name: round(value, 6) for name, value in dict(
        spatial=spatial, temporal=temporal, difference=temporal - spatial
    ).items()}  # fmt: skip


def _rounded(values):
    return np.round(np.asarray(values, "float64"), 6).tolist()


def _draw(path, film, told, document, labels):
    title = f"{document['file']}: {document['label']} ({document['probability']:.2f}) by {document['preset']}"
    film_strip(path.with_name(f"{path.name}.png"), told["frames"], told["seconds"], told["main"], labels, title)


def _explain(model, path, film, name):
    """The maps of the first clip or window."""
    x = film[0][0]
    maps = {key: each[0] for key, each in branch_maps(model, model.preset.preprocess(x[None])).items()}
    with written_beside(path.with_name(f"{path.name}.maps.npz")) as beside:
        np.savez_compressed(beside, **maps)
    seconds = film.about(0)["seconds"]
    map_strip(
        path.with_name(f"{path.name}.maps.png"), x, seconds, maps, f"{name}: the last layer of {model.preset.name}"
    )


def _write_table(path, documents):
    """A row for each video: file, label, probability, what time adds if known, and the probability of each class."""
    labels = documents[0]["labels"]
    added = ["spatial", "temporal", "difference"] if "importance" in documents[0] else []
    with written_beside(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "probability", "frames", *added, *labels])
        for each in documents:
            values = [each["importance"][name] for name in added]
            row = [each["file"], each["label"], each["probability"], len(each["frames"]), *values]
            writer.writerow([*row, *each["probabilities"]])
