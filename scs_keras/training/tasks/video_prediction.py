"""Video prediction: scores on the datasets' sequences, and predictions from a video of one's own."""

import functools
from pathlib import Path

import numpy as np

from scs_keras import zoo
from scs_keras.training.data.video import check_size, scaled
from scs_keras.training.data.video_datasets import dataset_of, read_videos, scored_split
from scs_keras.training.data.video_folder import read_video
from scs_keras.training.evaluate import write_json
from scs_keras.training.model_arguments import arguments_of
from scs_keras.training.video_scores import evaluate_videos, format_lead_table, format_table, persistence
from scs_keras.zoo.files import written_beside
from scs_keras.zoo.video_prediction.pictures import prediction_animation, prediction_picture

PUBLISHED_SEQUENCES = 1000  # at most, in a model card


def evaluate(
    preset, data, weights=None, split=None, stride=None, json_file=None, lead_json_file=None, dataset=None, limit=None,
    steps=None, model=None,
):  # fmt: skip
    """Scores a preset beside persistence and prints the tables.

    Args:
        preset: name in the zoo.
        data: folder of the dataset.
        weights: a `.weights.h5` file instead of the preset's.
        split: "train", "val" or "test"; None for "test" ("val" of radar).
        stride: a window starts at every so many frames; None for the dataset's own.
        json_file, lead_json_file: files for the scores, and for the same with a list per metric, one value per lead
            time.
        dataset: a name of `video_datasets.READERS`; None for the one that the preset's name ends in, else "folder".
        limit: score so many sequences, evenly spread; None for all.
        steps: number of frames to predict; None for the preset's.
        model: JSON of arguments in place of the preset's, as the weights were trained with.

    Returns:
        {"DATASET SPLIT": {prediction: {metric: value}}}.

    Raises:
        ValueError: for an unknown preset or dataset, or bad data.
        FileNotFoundError: files of the dataset are missing.
    """
    arguments = _arguments(model, steps)
    record = zoo.get_preset(preset).with_arguments(**arguments)
    dataset = dataset or dataset_of(preset)
    split = split or scored_split(dataset)
    length = record.input_shape[0] + record.output_shape[0]
    videos = read_videos(dataset, data, split, (length, *record.input_shape[1:]), stride)
    model = zoo.load(preset, weights=weights or "preset", **arguments)
    scores, lead_scores = ({f"{dataset} {split}": each} for each in score_model(model, videos, limit))
    for path, value in ((json_file, scores), (lead_json_file, lead_scores)):
        if path is not None:
            write_json(path, value)
    print(format_table(scores), end="\n\n\n")
    print(format_lead_table(lead_scores))
    return scores


def score_model(model, videos, limit=None):
    """`evaluate_videos` of a model, named `model`, beside persistence."""
    stays = persistence(model.output_length, model.output_channels)
    predictions = {"model": functools.partial(model.predict, verbose=0), "persistence": stays}
    return evaluate_videos(predictions, videos, model.input_length, limit, channels=model.output_channels)


def predict(preset, file, output, weights=None, steps=None, beyond=False, model=None):
    """Writes forecast.npz, forecast.png and forecast.gif from one video.

    forecast.npz holds `predicted` and `observed`, float32 (time, height, width, channels) in [0, 1], and `truth`, if
    known.

    Args:
        preset: name in the zoo.
        file: a video (.npy, .npz, a video file, or a folder of images); its last frames count. If it has enough, the
            very last are the truth that is predicted and compared; otherwise all are observed.
        output: folder.
        weights: a `.weights.h5` file instead of the preset's.
        steps: number of frames to predict; None for the preset's.
        beyond: always observe the very last frames and predict what follows them.
        model: JSON of arguments in place of the preset's, as the weights were trained with.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: for an unknown preset, a bad file, one with too few frames or frames of another size.
    """
    model = zoo.load(preset, weights=weights or "preset", **_arguments(model, steps))
    frame_shape = model.preset.input_shape[1:]
    video = read_video(file, frame_shape)
    observed, truth = _observed_and_truth(video, model, file, beyond)
    check_size(file, observed.shape, model.preset.input_shape)
    predicted = np.asarray(model.predict(observed[None], verbose=0))[0]
    output = Path(output)
    known = {} if truth is None else {"truth": truth}
    with written_beside(output / "forecast.npz") as beside:
        np.savez_compressed(beside, predicted=predicted, observed=observed, **known)
    title = f"{Path(file).name}: prediction by {preset}"
    shown = observed[..., : model.output_channels], predicted, truth
    prediction_picture(output / "forecast.png", *shown, title)
    prediction_animation(output / "forecast.gif", *shown)
    compared = (
        "what follows its last frame" if truth is None else f"its last {len(truth)} frames (--beyond: what follows)"
    )
    print(f"Predicted {compared}. Wrote forecast.npz, forecast.png and forecast.gif to {output}.")


def published_scores(model, data, settings):
    """Scores on the part of the dataset that a model card reports, at most PUBLISHED_SEQUENCES of its sequences."""
    dataset, split, shape = settings["dataset"], scored_split(settings["dataset"]), model.preset.input_shape
    videos = read_videos(dataset, data, split, (model.input_length + model.output_length, *shape[1:]))
    count = min(PUBLISHED_SEQUENCES, len(videos))
    return {f"{dataset} {split} ({count} sequences)": score_model(model, videos, count)[0]}


def golden_frames(data, settings):
    """A bright disc that moves to the right, in the preset's shape: no data set's pictures go into the package."""
    time, height, width, channels = zoo.get_preset(settings["preset"]).input_shape
    t, y, x = np.ogrid[:time, :height, :width]
    distance = np.hypot(y - height / 2, x - width / 4 - t * width / 40)
    disc = np.clip(height / 8 - distance, 0, 1).astype("float32")
    return np.repeat(disc[None, ..., None], channels, axis=-1)


def _arguments(model, steps):
    if steps is not None and steps < 1:
        raise ValueError(f"--steps must be at least 1. Received: {steps}.")
    return arguments_of(model) | ({} if steps is None else {"output_length": steps})


def _observed_and_truth(video, model, file, beyond):
    seen, made = model.input_length, model.output_length
    if video.length < seen:
        raise ValueError(f"{file}: the video is too short. Needed: {seen} frames to see, found: {video.length}.")
    if beyond or video.length < seen + made:
        return scaled(video.read(video.length - seen, video.length)), None
    start = video.length - seen - made
    frames = scaled(video.read(start, video.length))
    return frames[:seen], frames[seen:, ..., : model.output_channels]
