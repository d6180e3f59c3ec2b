"""Predictions from a video of one's own."""

from pathlib import Path

import keras
import numpy as np

from scs_keras.training.video_prediction.video import check_size, scaled
from scs_keras.training.video_prediction.video_folder import read_video
from scs_keras.zoo.files import written_beside
from scs_keras.zoo.video_prediction.pictures import prediction_animation, prediction_picture


def predict(model: keras.Model, file: Path, output: Path, steps: int | None = None, beyond: bool = False) -> str:
    """Writes forecast.npz, forecast.png and forecast.gif from one video, and says so.

    forecast.npz holds `predicted` and `observed`, float32 (time, height, width, channels) in [0, 1], and `truth`, if
    known.

    Args:
        model: of the zoo.
        file: a video (.npy, .npz, a video file, or a folder of images); its last frames count. If it has enough, the
            very last are the truth that is predicted and compared; otherwise all are observed.
        output: folder.
        steps: number of frames to predict; None for the model's.
        beyond: always observe the very last frames and predict what follows them.

    Raises:
        ValueError: a bad file, one with too few frames or frames of another size.
    """
    if steps is not None:
        if steps < 1:
            raise ValueError(f"--steps must be at least 1. Received: {steps}.")
        model.output_length = steps
    video = read_video(file, model.preset.input_shape[1:])
    observed, truth = _observed_and_truth(video, model, file, beyond)
    check_size(str(file), observed.shape, model.preset.input_shape)
    predicted = np.asarray(model.predict(observed[None], verbose=0))[0]
    known = {} if truth is None else {"truth": truth}
    with written_beside(output / "forecast.npz") as beside:
        np.savez_compressed(beside, predicted=predicted, observed=observed, **known)
    shown = observed[..., : model.output_channels], predicted, truth
    prediction_picture(output / "forecast.png", *shown, f"{file.name}: prediction by {model.preset.name}")
    prediction_animation(output / "forecast.gif", *shown)
    compared = (
        "what follows its last frame" if truth is None else f"its last {len(truth)} frames (--beyond: what follows)"
    )
    return f"Predicted {compared}. Wrote forecast.npz, forecast.png and forecast.gif to {output}."


def _observed_and_truth(video, model, file, beyond):
    seen, made = model.input_length, model.output_length
    if video.length < seen:
        raise ValueError(f"{file}: the video is too short. Needed: {seen} frames to see, found: {video.length}.")
    if beyond or video.length < seen + made:
        return scaled(video.read(video.length - seen, video.length)), None
    frames = scaled(video.read(video.length - seen - made, video.length))
    return frames[:seen], frames[seen:, ..., : model.output_channels]
