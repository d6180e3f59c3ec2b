"""Scores a model next to its baselines: `scs-keras evaluate PRESET|RUN --data DIR`."""

import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import scs_keras
from scs_keras.core.arguments import is_count
from scs_keras.training.samples import Samples, notes_of, spread
from scs_keras.training.scores import Scores, by_part, text_tables
from scs_keras.training.source import Source
from scs_keras.training.task import Prediction, check_asked, check_needs, check_writable
from scs_keras.zoo.files import check_output_file, written_beside
from scs_keras.zoo.reference import resolve
from scs_keras.zoo.words import words

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 4


def score(
    predictions: Mapping[str, Prediction],
    samples: Samples,
    empty: Callable[[], Scores],
    limit: int | None = None,
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
) -> dict[str, Scores]:
    """Scores predictions on samples.

    Args:
        predictions: {name: Prediction}.
        samples: to score on.
        empty: makes `Scores` to which nothing was added.
        limit: score so many samples, evenly spread; None for all.
        batch_size: samples a call of a prediction; only samples of one shape are put together.
        progress: whether to say on stderr how far it is.

    Raises:
        ValueError: there are no predictions or samples, a prediction has the wrong shape or NaN, or limit is below 1.
    """
    if not predictions or not len(samples):
        raise ValueError(
            f"Scoring needs predictions and samples. Received: {len(predictions)} predictions, {len(samples)} samples."
        )
    indices = spread(len(samples), limit)
    scores = {name: empty() for name in predictions}
    done = 0
    for batch in _batches(samples, indices, batch_size):
        x, about = _stacked([each[0] for each, _ in batch]), [known for _, known in batch]
        for name, predict in predictions.items():
            outputs = _unstacked(predict(x, about), len(batch))
            for ((_, target, weight), known), output in zip(batch, outputs, strict=True):
                try:
                    scores[name].add(target, output, weight, known)
                except ValueError as error:
                    raise ValueError(f"The prediction {name!r} {error}") from error
        done += len(batch)
        if progress and sys.stderr.isatty():
            print(f"\r{done} of {len(indices)} samples", end="\n" if done == len(indices) else "", file=sys.stderr)
    return scores


def score_model(
    model: "keras.Model",
    source: Source,
    samples: Samples,
    train: Callable[[], Samples],
    limit: int | None = None,
    progress: bool = False,
    batch_size: int | None = None,
    **options: Any,
) -> dict[str, Scores]:
    """`score` of a model's predictors beside the baselines of its task; options of either."""
    of_baselines = {name: options.pop(name) for name in source.task.names_for("baselines") if name in options}
    predictors = source.task.predictors_of(model, **options)
    train = functools.cache(train)  # read once, if at all
    baselines = source.task.baselines_of(source.preset, samples, train, **of_baselines)
    empty = functools.partial(source.task.empty_scores, source.preset)
    return score({**predictors, **baselines}, samples, empty, limit, batch_size or BATCH_SIZE, progress)


def read(
    source: Source, data: str | Path, dataset: str | None = None, split: str | None = None, **options: Any
) -> Samples:
    """The samples that a model is scored on: by default those of its own data set's scored split.

    Of a training the options are those that it was told, unless others are given.
    """
    options = source.options("evaluate", options, dataset)
    dataset = dataset or source.dataset
    split = split or source.task.dataset(dataset).scored
    return source.task.read(dataset, data, split, source.preset, **options)


def evaluate(
    source: Source,
    data: str | Path,
    dataset: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    json_file: str | Path | None = None,
    reader_options: Mapping[str, Any] | None = None,
    task_options: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
) -> dict[str, Scores]:
    """Scores a model on a folder of data, prints the tables and returns the scores.

    Args:
        source: of the model.
        data: folder of the data.
        dataset: what it holds; None for what the model is for.
        split: which part; None for the one that the data set's models are measured on.
        limit: score so many samples, evenly spread; None for all.
        json_file: file for `document`, or None.
        reader_options: of the data set.
        task_options: of the task, for its predictors, baselines and report.
        batch_size: samples at once; None for `BATCH_SIZE`.

    Raises:
        ValueError: for an unknown data set or option, a batch size that is none, or bad data.
        FileNotFoundError: files are missing.
        ImportError: a package that an option needs is missing.
    """
    if batch_size is not None and not is_count(batch_size):
        named = words("`batch_size`", "--batch-size")
        raise ValueError(f"{named} is a whole number of at least 1. Received: {batch_size!r}.")
    given = dict(task_options or {})
    asked = [each for each in source.task.options if each.command == "evaluate" and given.get(each.python_name)]
    for option in asked:
        check_needs(option.needs)
    check_asked(asked, source.preset)
    check_writable(asked, given)
    if json_file is not None:
        check_output_file(json_file)
    options = dict(reader_options or {})
    model = source.load() if source.brought else None  # weights that do not fit show before data is read
    samples = read(source, data, dataset, split, **options)
    spread(len(samples), limit)  # a wrong limit must show before the model is made
    model = model or source.load()
    of_report = {name: given.pop(name, None) for name in source.task.names_for("report")}
    of_report = {name: value for name, value in of_report.items() if value is not None}
    report = resolve(source.task.report)(model, **of_report) if of_report else None
    train = functools.partial(read, source, data, dataset, "train", **options)
    scores = score_model(model, source, samples, train, limit, True, batch_size, **given)
    if json_file is not None:
        write_json(json_file, document(source, samples, scores, limit))
    said = [] if report is None else ["", report(scores)]
    print("\n".join([*notes_of(samples), text_tables(samples.name, scores), *said]))
    return scores


def document(
    source: Source, samples: Samples, scores: Mapping[str, Scores], limit: int | None = None
) -> dict[str, Any]:
    """Scores as plain data: {"scores": {prediction: {metric: value}}, "parts": {axis: {part: the same}}, ...}.

    The task's scores add more, see `Scores.extras`.
    """
    return dict(
        model=source.name,
        preset=source.preset.name,
        data=samples.name,
        samples=len(spread(len(samples), limit)),
        version=scs_keras.__version__,
        scores={name: each.result() for name, each in scores.items()},
        parts=by_part(scores),
        **next(iter(scores.values())).extras(scores),
    )


def write_json(path: str | Path, value: Any) -> None:
    """Writes a value as JSON to a temporary file that is renamed. NaN and infinity are refused with a ValueError."""
    text = json.dumps(value, indent=1, allow_nan=False)
    with written_beside(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def _batches(samples: Samples, indices: Iterable[int], size: int) -> Iterator[list[tuple[Any, Mapping[str, Any]]]]:
    """Lists of (sample, what is known of it), neighbours of one shape of x."""
    batch: list[tuple[Any, Mapping[str, Any]]] = []
    for index in indices:
        sample = samples[index]
        if batch and (len(batch) == size or _shapes(batch[0][0][0]) != _shapes(sample[0])):
            yield batch
            batch = []
        batch.append((sample, samples.about(index)))
    if batch:
        yield batch


def _shapes(x):
    import keras

    return [np.shape(part) for part in keras.tree.flatten(x)]


def _stacked(items):
    import keras

    return keras.tree.map_structure(lambda *parts: np.stack(parts), *items)


def _unstacked(outputs, count):
    import keras

    arrays = keras.tree.map_structure(np.asarray, outputs)
    return [keras.tree.map_structure(lambda part, i=index: part[i], arrays) for index in range(count)]
