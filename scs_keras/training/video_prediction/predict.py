"""Predictions from a video, or a radar event, of one's own."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scs_keras.training.data.radar import RadarEvent, Reading, is_event, read_event
from scs_keras.training.scores import text_tables
from scs_keras.training.source import Source
from scs_keras.training.unusual import unusual
from scs_keras.training.video_prediction.radar_videos import event_video, said_of
from scs_keras.training.video_prediction.scores import VideoScores, simple_predictions
from scs_keras.training.video_prediction.video import Video, check_size, scaled
from scs_keras.training.video_prediction.video_folder import ARRAYS, read_video
from scs_keras.zoo.files import written_beside
from scs_keras.zoo.radar_units import FULL_SCALE_DBZ, scaled_to_rain
from scs_keras.zoo.video_prediction.pictures import prediction_animation, prediction_picture
from scs_keras.zoo.words import option

_RADAR = "radar"  # the data set whose models see reflectivity


def predict(
    source: Source,
    file: Path,
    output: Path,
    steps: int | None = None,
    beyond: bool = False,
    **reading: str | None,
) -> str:
    """Writes forecast.npz, forecast.png and forecast.gif from one video, and says so.

    forecast.npz holds `predicted` and `observed`, float32 (time, height, width, channels) in [0, 1], and `truth`, if
    known; from a radar event also the predicted `rain` in mm/h with `valid`, `times`, `step_minutes`, `source` and,
    where it is known, `km_per_pixel`, the layout of an event. How radar files were read, what was cut out or changed of
    the file's frames, and the scores beside those of simple predictions where the truth is known, are in what is
    returned.

    Args:
        source: of a model of the zoo.
        file: a video (.npy, .npz, a video file, or a folder of images), for a radar model a radar event, a file or a
            folder with one file per time, or an array of reflectivity / 70 dBZ; its last frames count. If it has
            enough, the very last are the truth that is predicted and compared; otherwise all are observed.
        output: folder.
        steps: number of frames to predict; None for the model's.
        beyond: always observe the very last frames and predict what follows them.
        **reading: what the user says of radar files, see `Reading`.

    Raises:
        ValueError: a bad file, one with too few frames, frames of another size or values that the model does not see.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"{option('steps')} must be at least 1. Received: {steps}.")
    preset = source.preset
    event = _radar_event(preset, file, _reading(preset, reading))
    clip = _read(preset, file, event, steps or preset.output_shape[0], beyond)
    observed, truth = clip.observed, clip.truth
    check_size(str(file), observed.shape, preset.input_shape)
    model = source.load()
    if steps is not None:
        model.output_length = steps
    predicted = np.asarray(model.predict(observed[None], verbose=0))[0]
    known = {} if truth is None else {"truth": truth}
    with written_beside(output / "forecast.npz") as beside:
        np.savez_compressed(beside, predicted=predicted, observed=observed, **known, **_rain(preset, clip, predicted))
    shown = observed[..., : preset.output_shape[-1]], predicted, truth
    prediction_picture(output / "forecast.png", *shown, f"{file.name}: prediction by {preset.name}")
    prediction_animation(output / "forecast.gif", *shown)
    said = said_of([event]) if event else []
    said += [f"{file.name}: {clip.video.change}."] if clip.video.change else []
    said += _unlike(source, file, observed)
    if truth is None:
        compared = "what follows its last frame"
    else:
        compared = f"its last {len(truth)} frames ({option('beyond')}: what follows)"
        said += [_scores(preset, clip, predicted, f"{file.name}, its last {len(truth)} frames"), ""]
    return "\n".join([*said, f"Predicted {compared}. Wrote forecast.npz, forecast.png and forecast.gif to {output}."])


class _Clip(NamedTuple):
    """What is read of a file: event and first frame are those of a radar event, else None and 0."""

    video: Video
    observed: np.ndarray
    truth: np.ndarray | None
    event: RadarEvent | None


def _reading(preset, given):
    """The `Reading` of a radar model's files; raises ValueError where another model's options say one."""
    given = {name: value for name, value in given.items() if value}
    if given and preset.dataset != _RADAR:
        name, value = next(iter(given.items()))
        raise ValueError(f"{option(name, value)} is of radar files, which {preset.name} does not see. Leave it out.")
    return Reading(**given)


def _read(preset, file, event, made, beyond):
    seen = preset.input_shape[0]
    video = read_video(file, preset.input_shape[1:]) if event is None else None
    length = len(event.times) if video is None else video.length
    if length < seen:
        raise ValueError(f"{file}: the video is too short. Needed: {seen} frames to see, found: {length}.")
    compare = not beyond and length >= seen + made
    start = length - seen - (made if compare else 0)
    if video is None:
        video = event_video(event, preset.input_shape[1], slice(start, start + seen))
    frames = video.read(start, length)
    if preset.dataset == _RADAR and frames.dtype == np.uint8:
        raise ValueError(f"{file}: {_sees_radar(preset)} Received: {frames.dtype} pixels, which say no reflectivity.")
    frames = scaled(frames)
    return _Clip(video, frames[:seen], frames[seen:, ..., : preset.output_shape[-1]] if compare else None, event)


def _radar_event(preset, file, reading):
    """The event of a radar model's file; None for arrays and for other models.

    Raises:
        ValueError: the file is neither.
    """
    if preset.dataset != _RADAR:
        return None
    if not reading.importer and file.suffix.lower() in ARRAYS and (file.suffix.lower() != ".npz" or _has_frames(file)):
        return None
    if not reading.importer and not is_event(file):
        raise ValueError(f"{file}: {_sees_radar(preset)}")
    return read_event(file, reading)


def _has_frames(file):
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return "rain" not in arrays.files and ("frames" in arrays.files or len(arrays.files) == 1)
    except Exception:  # a broken file, which `read_event` says
        return False


def _sees_radar(preset):
    return (
        f"{preset.name} sees radar, reflectivity / {FULL_SCALE_DBZ:g} dBZ in [0, 1]: a radar event (.npz with "
        "rain in mm/h, valid, times and step_minutes; ODIM HDF5, NetCDF or GeoTIFF; or a folder with one file per "
        "time), or an array of floating point of that scale."
    )


def _rain(preset, clip, predicted) -> dict[str, Any]:
    """What makes the forecast of a radar event an event: mm/h, and when."""
    event = clip.event
    if event is None:
        return {}
    last = event.times[-1 if clip.truth is None else -1 - len(clip.truth)]
    return dict(
        rain=scaled_to_rain(predicted)[..., 0].astype("float32"),
        valid=np.ones(predicted.shape[1:3], bool),
        times=last + round(event.step_minutes * 60) * np.arange(1, len(predicted) + 1),
        step_minutes=event.step_minutes,
        source=f"{preset.name} from {event.file}",
        **({} if event.km_per_pixel is None else {"km_per_pixel": event.km_per_pixel}),
    )


def _unlike(source, file, observed):
    """A warning where frames are nothing like those of the data set that the model is for."""
    what = unusual(observed, source.task.dataset(source.dataset).usual)
    if not what:
        return []
    name = source.preset.name
    return [
        f"Warning: {name} is for {source.dataset}; the frames of {file.name} are unlike its: {what}. What it predicts "
        f"of others means little: train it on such videos (scs-keras train {name} --data DIR --output RUN --set "
        "dataset=folder)."
    ]


def _scores(preset, clip, predicted, title):
    """Tables of the prediction's scores beside those of simple ones."""
    frames, (steps, *_, channels) = clip.observed[None], predicted.shape
    outputs = {
        name: each(frames, [])[0]
        for name, each in simple_predictions(steps, channels, preset.dataset == _RADAR).items()
    }
    scores = {}
    for name, each in {"model": predicted, **outputs}.items():
        scores[name] = VideoScores(preset)
        scores[name].add(clip.truth, each, None, {"group": title})
    return text_tables(title, scores)
