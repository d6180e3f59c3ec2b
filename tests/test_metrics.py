"""Metrics against plain NumPy and hand-computed cases."""

import keras
import numpy as np
import pytest
from keras import ops

from scs_keras import metrics
from scs_keras.core import contingency

random = np.random.default_rng(7)


def numpy_of(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


# --- Eq. 24 -----------------------------------------------------------------------------------------------------------


def test_threshold_accuracy_by_hand():
    """λ 3: errors 0, 2, 3, 6, 12 count 1, 1, 1, 1/2, 1/4."""
    target = np.array([0.0, 10.0, 10.0, 10.0, -10.0])
    prediction = np.array([0.0, 12.0, 7.0, 16.0, 2.0])
    values = numpy_of(metrics.threshold_accuracy(target, prediction, threshold=3.0))
    np.testing.assert_allclose(values, [1, 1, 1, 0.5, 0.25], rtol=1e-6)
    metric = metrics.ThresholdAccuracy(3.0)
    metric.update_state(target, prediction)
    np.testing.assert_allclose(metric.result(), 0.75, rtol=1e-6)
    metric.reset_state()
    metric.update_state(target[:, None], prediction[:, None], sample_weight=[0, 0, 0, 1, 1])
    np.testing.assert_allclose(metric.result(), 0.375, rtol=1e-6)


def test_threshold_accuracy_epsilon():
    values = metrics.threshold_accuracy(np.zeros(2), np.array([0.0, 3.0]), threshold=1.0, epsilon=1.0)
    np.testing.assert_allclose(numpy_of(values), [1.0, 0.25])


def test_threshold_must_be_positive():
    with pytest.raises(ValueError, match="above 0.*Received 0"):
        metrics.ThresholdAccuracy(0)


# --- polygons ---------------------------------------------------------------------------------------------------------


def even_odd(vertices, height, width):
    """Point in polygon, pixel by pixel."""
    inside = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            px, py = column + 0.5, row + 0.5
            for (x0, y0), (x1, y1) in zip(vertices, np.roll(vertices, -1, axis=0)):
                if (y0 <= py) != (y1 <= py) and px < x0 + (py - y0) * (x1 - x0) / (y1 - y0):
                    inside[row, column] ^= True
    return inside


def test_polygon_iou_by_hand():
    """Two 4x4 squares, one moved by two to the right: 8 of 24 pixels are shared."""
    square = np.array([[1, 1], [5, 1], [5, 5], [1, 5]], float)
    moved = square + [2, 0]
    target, prediction = np.stack([square, square, square]), np.stack([moved, square[::-1], square + [8, 8]])
    iou = numpy_of(metrics.polygon_iou(target, prediction, (16, 16)))
    np.testing.assert_allclose(iou, [8 / 24, 1, 0], rtol=1e-6)


def test_polygons_against_plain_loop():
    vertices = random.uniform(-2, 14, (6, 7, 2)).round(2)
    lengths = np.array([7, 3, 5, 4, 2, 6])
    pixels = numpy_of(metrics.rasterize_polygons(vertices, (10, 12), lengths))
    expected = np.stack([even_odd(polygon[:length], 10, 12) for polygon, length in zip(vertices, lengths)])
    np.testing.assert_array_equal(pixels, expected)
    assert not expected[4].any() and expected[1].any()

    other = random.uniform(0, 12, (6, 4, 2)).round(2)
    iou = numpy_of(metrics.polygon_iou(vertices, other, (10, 12), lengths))
    plain = np.stack([even_odd(polygon, 10, 12) for polygon in other])
    np.testing.assert_allclose(iou, (expected & plain).sum((1, 2)) / (expected | plain).sum((1, 2)), rtol=1e-6)


def test_polygon_iou_of_nothing_is_nan():
    line = np.array([[[1.0, 1.0], [4.0, 4.0], [0.0, 0.0]]])
    assert np.isnan(numpy_of(metrics.polygon_iou(line, line, (6, 6), [2], [2])))[0]


def test_polygon_errors():
    with pytest.raises(ValueError, match=r"\(batch, points, 2\).*Received shape \(4, 2\)"):
        metrics.rasterize_polygons(np.zeros((4, 2)), (6, 6))


# --- Eq. 25-28 --------------------------------------------------------------------------------------------------------

SCORES = {
    metrics.CriticalSuccessIndex: lambda h, m, f: h / (h + m + f),
    metrics.FalseAlarmRatio: lambda h, m, f: f / (h + f),
    metrics.ProbabilityOfDetection: lambda h, m, f: h / (h + m),
    metrics.BinaryCorrelation: lambda h, m, f: h / np.sqrt((h + m) * (h + f)),
}


def test_contingency_by_hand():
    """3 hits, 1 miss, 2 false alarms, 1 correct rejection; a value at the threshold is an event."""
    target = np.array([0.5, 0.9, 0.8, 0.7, 0.1, 0.2, 0.0])
    forecast = np.array([0.5, 0.6, 1.0, 0.49, 0.9, 0.5, 0.3])
    counts = metrics.contingency_counts(target, forecast, 0.5)
    assert [float(count) for count in counts] == [3, 1, 2]
    assert float(counts.misses) == 1
    np.testing.assert_allclose(float(metrics.critical_success_index(*counts)), 3 / 6)
    np.testing.assert_allclose(float(metrics.false_alarm_ratio(*counts)), 2 / 5, rtol=1e-6)
    np.testing.assert_allclose(float(metrics.probability_of_detection(*counts)), 3 / 4)
    np.testing.assert_allclose(float(metrics.binary_correlation(*counts)), 3 / np.sqrt(20), rtol=1e-6)


def test_correlation_is_equation_28():
    target, forecast = (random.random((2, 4, 5, 6, 1)) for _ in range(2))
    p, t = (forecast >= 0.3).astype(float), (target >= 0.3).astype(float)
    expected = (p * t).sum() / np.sqrt((p**2).sum() * (t**2).sum() + 1e-9)
    counts = metrics.contingency_counts(target, forecast, 0.3)
    np.testing.assert_allclose(float(metrics.binary_correlation(*counts)), expected, rtol=1e-6)


def test_correlation_of_large_counts():
    np.testing.assert_allclose(float(metrics.binary_correlation(3e9, 1e9, 1e9)), 0.75, rtol=1e-6)


def test_contingency_per_lead_time_and_mask():
    target, forecast = (random.random((2, 3, 4, 5, 1)) for _ in range(2))
    mask = random.random((2, 1, 4, 5, 1)) > 0.4
    counts = metrics.contingency_counts(target, forecast, 0.6, mask, axis=(0, 2, 3, 4))
    hits = ((target >= 0.6) & (forecast >= 0.6) & mask).sum((0, 2, 3, 4))
    false_alarms = ((target < 0.6) & (forecast >= 0.6) & mask).sum((0, 2, 3, 4))
    np.testing.assert_array_equal(numpy_of(counts.hits), hits)
    np.testing.assert_array_equal(numpy_of(counts.false_alarms), false_alarms)
    assert counts.misses.shape == (3,)


def test_undefined_scores_are_nan():
    for score in (
        metrics.critical_success_index,
        metrics.false_alarm_ratio,
        metrics.probability_of_detection,
        metrics.binary_correlation,
    ):
        assert np.isnan(float(score(0, 0, 0)))
    assert float(metrics.binary_correlation(0, 4, 0)) == 0
    assert np.isnan(float(metrics.false_alarm_ratio(0, 4, 0)))


@pytest.mark.parametrize("metric_class", SCORES)
def test_pooled_metric(metric_class):
    """Counts are pooled over batches, which is not the mean of the batches' scores."""
    metric = metric_class(threshold=0.4)
    target, forecast = random.random((4, 2, 5, 5, 1)), random.random((4, 2, 5, 5, 1))
    target[:2] *= 0.6
    weight = (random.random((4, 2, 5, 5, 1)) > 0.3).astype("float32")
    for half in (slice(0, 2), slice(2, 4)):
        metric.update_state(target[half], forecast[half], weight[half])
    t, p = target >= 0.4, forecast >= 0.4
    counts = [(weight * event).sum() for event in (t & p, t & ~p, ~t & p)]
    np.testing.assert_allclose(float(metric.result()), SCORES[metric_class](*counts), rtol=1e-6)

    metric.reset_state()
    metric.update_state(target, forecast, sample_weight=np.array([0, 1, 0, 1]))
    counts = [event[1::2].sum() for event in (t & p, t & ~p, ~t & p)]
    np.testing.assert_allclose(float(metric.result()), SCORES[metric_class](*counts), rtol=1e-6)


def test_shapes_are_not_broadcast():
    with pytest.raises(ValueError, match=r"same shape.*\(2, 3, 4\) and \(2, 3, 4, 1\)"):
        metrics.contingency_counts(np.zeros((2, 3, 4)), np.zeros((2, 3, 4, 1)))


# --- per frame --------------------------------------------------------------------------------------------------------


def test_errors_per_frame_by_hand():
    """One of two frames is off by 0.5 in all of its 2 x 3 x 2 values: 12 * 0.25 and 12 * 0.5, halved by the mean."""
    target = np.zeros((1, 2, 2, 3, 2))
    prediction = target.copy()
    prediction[:, 1] = -0.5
    np.testing.assert_allclose(numpy_of(metrics.squared_error_per_frame(target, prediction)), [[0, 3]])
    np.testing.assert_allclose(numpy_of(metrics.absolute_error_per_frame(target, prediction)), [[0, 6]])
    for metric, expected in ((metrics.MeanSquaredErrorPerFrame(), 1.5), (metrics.MeanAbsoluteErrorPerFrame(), 3.0)):
        metric.update_state(target, prediction)
        np.testing.assert_allclose(float(metric.result()), expected)
    mask = np.zeros((1, 1, 2, 3, 1))
    mask[..., 0, :, :] = 1
    np.testing.assert_allclose(numpy_of(metrics.squared_error_per_frame(target, prediction, mask)), [[0, 1.5]])


def test_frame_weights():
    target, prediction = (random.random((2, 3, 8, 8, 1)).astype("float32") for _ in range(2))
    values = ((target - prediction) ** 2).sum((2, 3, 4))
    metric = metrics.MeanSquaredErrorPerFrame()
    metric.update_state(target, prediction, sample_weight=[1.0, 3.0])
    np.testing.assert_allclose(float(metric.result()), (values.mean(1) * [1, 3]).sum() / 4, rtol=1e-5)
    metric.reset_state()
    weight = np.array([[0, 1, 0], [1, 0, 1]])
    metric.update_state(target, prediction, sample_weight=weight)
    np.testing.assert_allclose(float(metric.result()), (values * weight).sum() / 3, rtol=1e-5)


def plain_ssim(target, prediction, data_range):
    """One channel, window by window."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    height, width = target.shape
    values = []
    for row in range(height - 6):
        for column in range(width - 6):
            a, b = (image[row : row + 7, column : column + 7].ravel() for image in (target, prediction))
            (va, cov), (_, vb) = np.cov(a, b)
            numerator = (2 * a.mean() * b.mean() + c1) * (2 * cov + c2)
            values.append(numerator / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (va + vb + c2)))
    return np.mean(values)


@pytest.mark.parametrize("data_range", [1.0, 2.0])
def test_structural_similarity(data_range):
    target = random.random((2, 3, 11, 12, 2))
    prediction = np.clip(target + 0.2 * random.normal(size=target.shape), 0, 1)
    expected = np.array(
        [
            [
                np.mean([plain_ssim(target[b, t, ..., c], prediction[b, t, ..., c], data_range) for c in range(2)])
                for t in range(3)
            ]
            for b in range(2)
        ]
    )
    values = numpy_of(metrics.structural_similarity(target, prediction, data_range))
    np.testing.assert_allclose(values, expected, atol=2e-6)
    metric = metrics.StructuralSimilarity(data_range)
    metric.update_state(target, prediction)
    np.testing.assert_allclose(float(metric.result()), expected.mean(), atol=2e-6)


def test_structural_similarity_by_hand():
    """Constant images have no structure: (2 ab + c1) / (a² + b² + c1)."""
    target, prediction = np.full((1, 7, 7, 1), 0.2), np.full((1, 7, 7, 1), 0.6)
    value = numpy_of(metrics.structural_similarity(target, prediction))
    np.testing.assert_allclose(value, [(0.24 + 1e-4) / (0.4 + 1e-4)], rtol=1e-3)  # float32: variances cancel to 1e-7


def test_structural_similarity_equals_scikit_image():
    from skimage import metrics as skimage

    target, prediction = random.random((2, 20, 23, 3)), random.random((2, 20, 23, 3))
    expected = [
        skimage.structural_similarity(a, b, channel_axis=-1, data_range=1.0) for a, b in zip(target, prediction)
    ]
    np.testing.assert_allclose(numpy_of(metrics.structural_similarity(target, prediction)), expected, atol=2e-6)


def test_peak_signal_to_noise_ratio():
    """Off by 0.1 everywhere: 20 dB; exact: infinite; data_range 255 moves it by 20 log10 255."""
    target = np.zeros((3, 8, 8, 1))
    prediction = target + np.array([0.1, 0.0, 0.01])[:, None, None, None]
    np.testing.assert_allclose(
        numpy_of(metrics.peak_signal_to_noise_ratio(target, prediction)), [20, np.inf, 40], rtol=1e-5
    )
    moved = numpy_of(metrics.peak_signal_to_noise_ratio(target[:1], prediction[:1], data_range=255.0))
    np.testing.assert_allclose(moved, [20 + 20 * np.log10(255)], rtol=1e-5)
    metric = metrics.PeakSignalToNoiseRatio()
    metric.update_state(target[::2], prediction[::2])
    np.testing.assert_allclose(float(metric.result()), 30, rtol=1e-5)


def test_clip_as_published():
    target = np.ones((1, 9, 9, 1))
    prediction = target + np.linspace(0, 1, 9)[:, None]
    assert numpy_of(metrics.structural_similarity(target, prediction, clip=(0.0, 1.0)))[0] == pytest.approx(1)
    assert numpy_of(metrics.structural_similarity(target, prediction))[0] < 0.9
    assert np.isinf(numpy_of(metrics.peak_signal_to_noise_ratio(target, prediction, clip=(0.0, 1.0)))[0])


def test_frame_errors():
    with pytest.raises(ValueError, match="at least 7x7.*Received 6x9"):
        metrics.structural_similarity(np.zeros((1, 6, 9, 1)), np.zeros((1, 6, 9, 1)))
    with pytest.raises(ValueError, match=r"height, width, channels.*Received shape \(6, 9\)"):
        metrics.peak_signal_to_noise_ratio(np.zeros((6, 9)), np.zeros((6, 9)))


# --- in Keras ---------------------------------------------------------------------------------------------------------

ALL = [
    lambda: metrics.ThresholdAccuracy(0.3, epsilon=1e-3),
    lambda: metrics.CriticalSuccessIndex(0.4, name="csi"),
    lambda: metrics.FalseAlarmRatio(0.4),
    lambda: metrics.ProbabilityOfDetection(0.4),
    lambda: metrics.BinaryCorrelation(0.4),
    metrics.MeanSquaredErrorPerFrame,
    metrics.MeanAbsoluteErrorPerFrame,
    lambda: metrics.StructuralSimilarity(2.0, clip=(0.0, 1.0)),
    lambda: metrics.PeakSignalToNoiseRatio(2.0),
]


@pytest.mark.parametrize("make", ALL)
def test_config_round_trip(make):
    metric = make()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric) and again.get_config() == metric.get_config()
    target, prediction = (random.random((2, 3, 8, 8, 1)) for _ in range(2))
    for each in (metric, again):
        each.update_state(target, prediction)
    assert float(again.result()) == float(metric.result())


def test_in_compile():
    """All of them in one compiled evaluate, over two batches, equal to one direct update."""
    target, frames = (random.random((4, 3, 8, 8, 1)).astype("float32") for _ in range(2))
    model = keras.Sequential([keras.Input((3, 8, 8, 1)), keras.layers.Rescaling(1.0)])
    compiled = [make() for make in ALL]
    model.compile(loss="mse", metrics=compiled)
    logs = model.evaluate(frames, target, batch_size=2, verbose=0, return_dict=True)
    for make, metric in zip(ALL, compiled):
        direct = make()
        direct.update_state(target, frames)
        np.testing.assert_allclose(logs[metric.name], float(direct.result()), rtol=1e-5)


# --- what is not a number, and large counts ---------------------------------------------------------------------------


def test_a_prediction_that_is_not_a_number_scores_nan_everywhere():
    target = np.random.default_rng(0).random((1, 2, 8, 8, 1)).astype("float32")
    prediction = target.copy()
    prediction[0, 0, 3, 3] = np.nan
    for score in (
        metrics.peak_signal_to_noise_ratio,
        metrics.structural_similarity,
        metrics.squared_error_per_frame,
        metrics.absolute_error_per_frame,
    ):
        values = numpy_of(score(target, prediction))
        assert np.isnan(values[0, 0]) and not np.isnan(values[0, 1]), score
    counts = metrics.contingency_counts(target, prediction, axis=(0, 2, 3, 4))
    for score in (
        metrics.critical_success_index,
        metrics.false_alarm_ratio,
        metrics.probability_of_detection,
        metrics.binary_correlation,
    ):
        values = numpy_of(score(*counts))
        assert np.isnan(values[0]) and not np.isnan(values[1]), score
    for make in (metrics.CriticalSuccessIndex, metrics.PeakSignalToNoiseRatio, metrics.StructuralSimilarity):
        metric = make()
        metric.update_state(target, prediction)
        assert np.isnan(float(metric.result())), make


def test_what_lies_under_a_mask_does_not_count():
    target, mask = np.ones((2, 4, 4, 1), "float32"), np.ones((2, 4, 4, 1), "float32")
    prediction = 0.5 * target
    prediction[:, 0], mask[:, 0] = np.nan, 0
    np.testing.assert_allclose(numpy_of(metrics.squared_error_per_frame(target, prediction, mask)), 12 * 0.25)
    np.testing.assert_allclose(numpy_of(metrics.absolute_error_per_frame(target, prediction, mask)), 12 * 0.5)
    assert [int(count) for count in metrics.contingency_counts(target, prediction, 0.5, mask)] == [24, 0, 0]


@pytest.mark.parametrize("batch", [1, 2**22 + 1])
def test_counts_go_on_beyond_what_float32_counts(batch, monkeypatch):
    """Hits and misses added in turn, beyond 2 ** 24 of them: by ones, and by large odd numbers."""
    metric = metrics.CriticalSuccessIndex()
    for rest, multiples in zip(metric.counts, metric.multiples):
        rest.assign(0.0)
        multiples.assign(16.0)  # 2 ** 24
    hits, misses, _ = (np.float32(batch), np.float32(2 * batch), 0)
    monkeypatch.setattr(contingency, "contingency_counts", lambda *arguments: (hits, misses, np.float32(0)))
    for _ in range(5):
        metric.update_state(np.zeros(1), np.zeros(1))
    totals = [int(float(m)) * 2**20 + int(float(rest)) for rest, m in zip(metric.counts, metric.multiples)]
    assert totals == [2**24 + 5 * batch, 2**24 + 10 * batch, 2**24]
    assert float(metric.result()) == pytest.approx(totals[0] / sum(totals), rel=1e-6)
    metric.reset_state()
    assert np.isnan(float(metric.result()))
