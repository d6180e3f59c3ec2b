"""The benchmark's metrics against a plain NumPy version in its own order of axes, (N, T, channels, height, width)."""

import dataclasses

import numpy as np
import pytest

from scs_keras import zoo
from scs_keras.training.evaluate import score
from scs_keras.training.scores import text_tables
from scs_keras.training.video_prediction.samples import VideoSamples
from scs_keras.training.video_prediction.scores import VideoScores, baselines
from scs_keras.training.video_prediction.video import Video, VideoWindows

METRICS = tuple(column.name for column in VideoScores.columns)


def scored(predictions, data, observed, limit=None, batch_size=8, channels=None):
    """{prediction: VideoScores}; predictions are functions of the observed frames."""
    samples = VideoSamples(data.name, data, observed, channels or data.shape[-1])
    made = {name: lambda x, about, f=predict: f(x) for name, predict in predictions.items()}
    return score(made, samples, VideoScores, limit, batch_size)


def evaluate_videos(*arguments, **options):
    """({prediction: {metric: value}}, {prediction: {metric: [value for each lead time]}})"""
    scores = scored(*arguments, **options)
    by_lead = {name: each.parts()["lead time in frames"].values() for name, each in scores.items()}
    return {name: each.result() for name, each in scores.items()}, {
        name: {metric: [values[metric] for values in leads] for metric in METRICS} for name, leads in by_lead.items()
    }


def persistence(steps, channels=None):
    """The task's baseline as a function of the observed frames."""
    preset = zoo.get_preset("tau_video_small_radar").with_arguments(output_length=steps)

    def predict(frames):
        shape = (steps, *frames.shape[2:4], channels or frames.shape[-1])
        made = baselines(dataclasses.replace(preset, output_shape=shape), None, None)
        assert list(made) == ["persistence"]
        return made["persistence"](frames, None)

    return predict


def plain_ssim(true, predicted, data_range):
    """One (height, width) image: means over 7x7 windows inside it, sample covariance."""
    view = np.lib.stride_tricks.sliding_window_view
    x, y = (view(image.astype("float64"), (7, 7)).reshape(-1, 49) for image in (true, predicted))
    mean_x, mean_y = x.mean(1), y.mean(1)
    covariance = ((x - mean_x[:, None]) * (y - mean_y[:, None])).sum(1) / 48
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    values /= (mean_x**2 + mean_y**2 + c1) * (x.var(1, ddof=1) + y.var(1, ddof=1) + c2)
    return values.mean()


def plain_scores(predicted, true):
    """Of (samples, time, channels, height, width) arrays, as the benchmark: errors before clipping, the rest after."""
    scores = {
        "mse": np.mean((predicted - true) ** 2, axis=(0, 1)).sum(),
        "mae": np.mean(np.abs(predicted - true), axis=(0, 1)).sum(),
    }
    predicted = np.clip(predicted, 0, 1)
    ssim, ssim_published, psnr = [], [], []
    for made, frame in zip(predicted.reshape(-1, *predicted.shape[2:]), true.reshape(-1, *true.shape[2:])):
        ssim.append(np.mean([plain_ssim(f, m, 1) for f, m in zip(frame, made)]))
        ssim_published.append(np.mean([plain_ssim(f, m, 2) for f, m in zip(frame, made)]))
        psnr.append(20 * np.log10(1 / np.sqrt(np.mean((made - frame) ** 2))))
    return scores | {"ssim": np.mean(ssim), "ssim_published": np.mean(ssim_published), "psnr": np.mean(psnr)}


def videos(count, length, height, width, channels, seed=0):
    """Smooth noise, so that SSIM is neither 0 nor 1."""
    frames = np.random.default_rng(seed).random((count, length, height, width, channels)).cumsum(1).cumsum(2).cumsum(3)
    frames = (frames / frames.max()).astype("float32")
    made = [Video.of(str(index), each) for index, each in enumerate(frames)]
    return VideoWindows("smooth", made, [(index, 0) for index in range(count)], frames.shape[1:]), frames


def overshoot(frames):
    """A prediction that also leaves [0, 1]."""
    return np.repeat(frames[:, -1:], 3, axis=1) * np.array([1.0, 1.3, 0.5], "float32")[:, None, None, None] - 0.05


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_scores_equal_the_plain_version(batch_size):
    data, frames = videos(5, 5, 9, 11, 2)
    pooled, by_lead = evaluate_videos({"a": overshoot, "stays": persistence(3)}, data, 2, batch_size=batch_size)
    moved = np.moveaxis(frames, -1, 2).astype("float64")
    for name, predict in (("a", overshoot), ("stays", persistence(3))):
        made = np.moveaxis(predict(frames[:, :2]), -1, 2).astype("float64")
        expected = plain_scores(made, moved[:, 2:])
        assert tuple(pooled[name]) == METRICS
        for metric in METRICS:
            assert pooled[name][metric] == pytest.approx(expected[metric], rel=1e-4), (name, metric)
        for lead in range(3):
            expected = plain_scores(made[:, lead : lead + 1], moved[:, 2 + lead : 3 + lead])
            for metric in METRICS:
                assert by_lead[name][metric][lead] == pytest.approx(expected[metric], rel=1e-4), (name, metric, lead)
    assert pooled["stays"]["ssim_published"] > pooled["stays"]["ssim"]  # why published tables look better


def test_equal_to_scikit_image_with_the_published_range():
    from skimage import metrics as skimage

    data, frames = videos(3, 4, 12, 13, 3)
    pooled, _ = evaluate_videos({"stays": persistence(2)}, data, 2)
    made = persistence(2)(frames[:, :2])
    expected = [
        skimage.structural_similarity(made[i, t], frames[i, 2 + t], channel_axis=-1, data_range=2)
        for i in range(3) for t in range(2)
    ]  # fmt: skip
    assert pooled["stays"]["ssim_published"] == pytest.approx(np.mean(expected), rel=1e-5)


def test_an_exact_prediction_has_no_finite_psnr():
    data, frames = videos(2, 4, 8, 8, 1)
    exact = {each[:2].tobytes(): each[2:] for each in frames}
    pooled, by_lead = evaluate_videos({"exact": lambda x: np.stack([exact[each.tobytes()] for each in x])}, data, 2)
    assert pooled["exact"]["mse"] == 0 and pooled["exact"]["psnr"] is None and by_lead["exact"]["psnr"] == [None, None]
    assert pooled["exact"]["ssim"] == pytest.approx(1, abs=1e-6)


def test_limit_and_channels():
    data, frames = videos(9, 4, 8, 8, 2)
    pooled, _ = evaluate_videos({"stays": persistence(2, 1)}, data, 2, limit=3, channels=1)
    chosen = frames[[0, 4, 8], ..., :1]
    expected = plain_scores(np.moveaxis(persistence(2)(chosen[:, :2]), -1, 2), np.moveaxis(chosen[:, 2:], -1, 2))
    assert pooled["stays"]["mse"] == pytest.approx(expected["mse"], rel=1e-5)
    with pytest.raises(ValueError, match="must be at least 1. Received: 0"):
        evaluate_videos({"stays": persistence(2)}, data, 2, limit=0)


def test_errors():
    data, _ = videos(2, 4, 8, 8, 1)
    with pytest.raises(
        ValueError, match=r"prediction 'long' must have shape \(2, 8, 8, 1\) on 0. Received: \(3, 8, 8, 1\)"
    ):
        evaluate_videos({"long": persistence(3)}, data, 2)
    with pytest.raises(ValueError, match="prediction 'bad' has NaN or infinite values on 0"):
        evaluate_videos({"bad": lambda frames: frames * np.nan}, data, 2)


def test_tables():
    data, frames = videos(2, 4, 8, 8, 1)
    exact = {each[:2].tobytes(): each[2:] for each in frames}
    predictions = {"model": persistence(2), "other": lambda x: np.stack([exact[each.tobytes()] for each in x])}
    scores = scored(predictions, data, 2)
    table, lead = text_tables("smooth", scores).split("By lead time in frames:")
    result = {name: each.result() for name, each in scores.items()}
    assert (
        f"{result['model']['mse']:.2f}" in table
        and f"{result['other']['ssim']:.4f}" in table
        and "SSIM (range 2)" in table
    )
    assert len({len(line) for line in table.split("\n\n")[1].splitlines()}) == 1  # columns are aligned
    psnr = scores["model"].parts()["lead time in frames"]["+2"]["psnr"]
    assert "+2" in lead and f"{psnr:.2f}" in lead and lead.count("other") == len(METRICS) - 1
    assert table.rstrip().endswith(" -")  # an exact prediction has no finite PSNR
