"""What scores of rain forecasts are worth: intervals, and differences from the baselines, as plain data and as text.

All functions take {forecast: RainScores} of the same windows.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scs_keras.training.precipitation import bootstrap
from scs_keras.training.precipitation.tally import BAND_KM, SCALES_KM, THRESHOLDS, pixels_of_scales
from scs_keras.training.scores import table_rows
from scs_keras.zoo.radar_units import LEVELS

if TYPE_CHECKING:
    from scs_keras.training.precipitation.scores import RainScores

BASELINES = ("advection", "scale_filter", "sprog", "steps")
"""From which differences are told."""

_SHOWN = ("mse", *(f"csi_{level}" for level in LEVELS))
COMPARED = (*_SHOWN, "csi_paper", "crps", *(f"brier_{level}" for level in LEVELS))

Scored = Mapping[str, "RainScores"]


def document(scores: Scored) -> dict[str, Any]:
    """What the JSON of `evaluate` has besides scores and parts.

    settings: thresholds, scales, wavelengths; which of it a file has in pixels.
    events: {event: its files, number of blocks}.
    intervals: {forecast: {metric: value, low, high}} of all images.
    differences: {baseline: {"all" or event: {forecast: {metric: value, low, high}}}}: forecast less baseline.
    reliability: {forecast: {"all", "event", "lead time"}}, see `reliability_of`.
    lost_images: see `lost_images`.
    """
    first = next(iter(scores.values()))
    blocks = first.blocks
    return dict(
        settings=dict(
            thresholds_mm_h=LEVELS,
            thresholds_scaled=THRESHOLDS,
            fss_scales_km=SCALES_KM,
            spectrum_wavelengths_km=BAND_KM,
            confidence=bootstrap.CONFIDENCE,
            replicates=bootstrap.REPLICATES,
            least_blocks=bootstrap.LEAST,
        ),
        files={
            file: dict(km_per_pixel=km, fss_pixels=list(pixels_of_scales(km).values()))
            for file, km in first.km_per_pixel.items()
        },
        events={
            event: dict(files=files, blocks=len(blocks.of_event[event]), block_minutes=blocks.minutes[event])
            for event, files in blocks.files.items()
        },
        intervals={name: _with_intervals(*each.drawn()) for name, each in scores.items()},
        differences=differences(scores),
        reliability={name: each.reliability() for name, each in scores.items()},
        lost_images=lost_images(scores),
    )


def lost_images(scores: Scored) -> dict[str, dict[str, float]]:
    """{"all" or event: {"observed", "lost", "share"}}: images that the model took for lost of those that it saw.

    An image counts in every window that sees it. {} for a model that does not look for lost images.
    """
    found = next((each.lost for each in scores.values() if each.lost), {})
    counts = {"all": sum(found.values()), **found} if found else {}
    return {
        name: dict(observed=int(observed), lost=int(lost), share=float(lost / observed))
        for name, (observed, lost) in counts.items()
    }


def differences(scores: Scored) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """{baseline: {"all" or event: {forecast: {metric: {"value", "low", "high"}}}}}: forecast less baseline.

    For the metrics of `COMPARED` that both have. The same blocks are drawn for both.
    """
    baselines = [name for name in BASELINES if name in scores]
    found = {baseline: {} for baseline in baselines}
    for event in (None, *next(iter(scores.values())).blocks.files):
        drawn = {name: each.drawn(event) for name, each in scores.items()}
        for baseline in baselines:
            found[baseline][event or "all"] = {
                name: _with_intervals(*_less(each, drawn[baseline])) for name, each in drawn.items() if name != baseline
            }
    return found


def _less(one, other):
    metrics = [metric for metric in COMPARED if None not in (one[0][metric], other[0][metric])]
    return tuple({metric: one[i][metric] - other[i][metric] for metric in metrics if metric in one[i]} for i in (0, 1))


def _with_intervals(values, replicates):
    found = {}
    for metric, value in values.items():
        low, high = bootstrap.interval(replicates.get(metric)) or (None, None)
        found[metric] = dict(value=value, low=low, high=high)
    return found


def remarks(scores: Scored) -> list[str]:
    """Lines below the tables: what the intervals are from, differences from the baselines, what is in pixels."""
    first = next(iter(scores.values()))
    blocks = first.blocks
    count, events = sum(map(len, blocks.of_event.values())), len(blocks.files)
    found = f"{count} block{'s' * (count > 1)} of {events} event{'s' * (events > 1)}"
    percent = f"{100 * bootstrap.CONFIDENCE:g} %"
    lines = [f"± is half of the {percent} interval of a bootstrap over {found}; no image is scored in two blocks."]
    if count < bootstrap.LEAST:
        lines = [f"No intervals: {found} (at least {bootstrap.LEAST} are needed; longer or more events have more)."]
    in_pixels = [file for file, km in first.km_per_pixel.items() if km is None]
    if in_pixels:
        lines.append(f"Squares and wavelengths in pixels, not km, for want of km_per_pixel: {', '.join(in_pixels)}.")
    lines += _of_lost(lost_images(scores))
    columns = [column for column in first.columns if column.name in _SHOWN]
    for baseline, by_event in differences(scores).items():
        rows = {
            name: [_difference(column, values[column.name]) for column in columns]
            for name, values in by_event["all"].items()
            if all(column.name in values for column in columns)
        }
        if rows:
            lines += ["", f"Less {baseline} (!: the {percent} interval, seldom symmetric, lies on one side of 0):"]
            lines += table_rows([column.title for column in columns], rows)
    return lines


def _of_lost(images):
    if not images:
        return []
    total = images["all"]
    of_events = [f"{name} {each['lost']} of {each['observed']}" for name, each in images.items() if each["lost"]][1:]
    among = f": {', '.join(of_events)}" if of_events else ""
    return [
        f"Of {total['observed']} observed images, each counted in every window that sees it, the model took "
        f"{total['lost']} ({100 * total['share']:.2g} %) for lost and filled them along the flow{among}."
    ]


def _difference(column, found):
    low, high = found["low"], found["high"]
    if low is None:
        return f"{found['value']:+.{column.digits}f} "
    return f"{found['value']:+.{column.digits}f}{' ' if low <= 0 <= high else '!'}{column.margin((low, high))}"
