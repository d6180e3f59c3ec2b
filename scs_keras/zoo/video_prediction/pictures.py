"""Predicted videos as a picture (PNG) and as an animation (GIF): observed, predicted, difference."""

import numpy as np

from scs_keras.zoo.files import written_beside

_FRAME_MILLISECONDS, _LAST_FRAME_MILLISECONDS = 250, 1000
_SIDE = 192  # pixels of a panel of the animation, about
_INK, _FAINT = "#222222", "#777777"


def prediction_picture(path, observed, predicted, truth=None, title=None):
    """Writes a PNG, one column a frame: observed and true frames, the prediction below them, and the difference.

    Args:
        path: of the file; its folder is made if need be.
        observed: the frames that were seen, (time, height, width, channels) in [0, 1]. One channel is grey, three are
            RGB, of other numbers the first is shown.
        predicted: the frames that follow.
        truth: the true future frames, as many as predicted; None: not known, and no difference is drawn.
        title: line above the picture.

    Raises:
        ValueError: the frames do not fit together.
        ImportError: matplotlib is missing.
    """
    observed, predicted, truth = _checked(observed, predicted, truth)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('Pictures need matplotlib: pip install "scs-keras[pictures]"') from error
    seen, columns = len(observed), len(observed) + len(predicted)
    rows = {"observed": dict(enumerate(observed)), "predicted": dict(enumerate(predicted, seen))}
    if truth is not None:
        rows["observed"] |= dict(enumerate(truth, seen))
        rows["difference"] = dict(enumerate(_difference(predicted, truth), seen))
    height = observed.shape[1] / observed.shape[2]  # of a cell, in its width
    left, top, cell = 1.1, 0.7, 0.9  # inches: names, title, a cell
    size = left + cell * columns, top + cell * height * len(rows)
    figure = Figure(figsize=size, dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    edges = dict(left=left / size[0], right=1, bottom=0, top=1 - top / size[1])
    cells = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw=dict(wspace=0.06, hspace=0.06, **edges))
    for (name, frames), row in zip(rows.items(), cells):
        for index, cell in enumerate(row):
            cell.set_axis_off()
            if index in frames:
                cell.imshow(_pixels(frames[index]), interpolation="nearest", aspect="auto")
        start = row[min(frames)]
        start.text(-0.12, 0.5, name, ha="right", va="center", color=_INK, transform=start.transAxes, fontsize=9)
    for index, cell in enumerate(cells[0]):
        cell.set_title(f"+{index - seen + 1}" if index >= seen else str(index - seen + 1), fontsize=8, color=_FAINT)
    figure.suptitle(title or "Observed and predicted frames", fontsize=11, color=_INK)
    with written_beside(path) as beside:
        figure.savefig(beside, format="png", dpi=150, bbox_inches="tight")


def prediction_animation(path, observed, predicted, truth=None):
    """Writes a GIF that loops: observed, predicted and difference side by side; before them the observed frames.

    Args and errors as `prediction_picture`; Pillow is needed instead of matplotlib.
    """
    observed, predicted, truth = _checked(observed, predicted, truth)
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise ImportError('Animations need Pillow: pip install "scs-keras[pictures]"') from error
    unknown, seen = np.zeros_like(observed[0]), len(observed)
    frames = []
    for frame in observed:
        panels = {"observed": frame, "predicted": frame, "difference": unknown}
        frames.append((panels, f"frame {len(frames) + 1 - seen}"))
    for lead, frame in enumerate(predicted):
        came = unknown if truth is None else truth[lead]
        frames.append(
            ({"observed": came, "predicted": frame, "difference": _difference(frame, came)}, f"prediction +{lead + 1}")
        )
    names = ("observed", "predicted") if truth is None else ("observed", "predicted", "difference")
    frames = [_page(Image, ImageDraw, {name: panels[name] for name in names}, label) for panels, label in frames]
    # The same colours in all frames: a palette for each would flicker.
    rows = [np.asarray(frame) for frame in frames]
    palette = Image.fromarray(np.concatenate(rows)).quantize(256)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [_FRAME_MILLISECONDS] * (len(frames) - 1) + [_LAST_FRAME_MILLISECONDS]
    with written_beside(path) as beside:
        frames[0].save(beside, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)


def _checked(observed, predicted, truth):
    observed, predicted = (np.asarray(frames, "float32") for frames in (observed, predicted))
    truth = None if truth is None else np.asarray(truth, "float32")
    wrong_rank = any(frames.ndim != 4 or 0 in frames.shape for frames in (observed, predicted))
    if wrong_rank or observed.shape[1:] != predicted.shape[1:] or truth is not None and truth.shape != predicted.shape:
        raise ValueError(
            "observed, predicted and truth must be (time, height, width, channels), of one frame size, the last two of "
            f"one length. Received: {observed.shape}, {predicted.shape} and {None if truth is None else truth.shape}."
        )
    return observed, predicted, truth


def _difference(predicted, truth):
    return np.abs(predicted - truth)


def _pixels(frame):
    """uint8 (height, width, 3); NaN is black."""
    frame = np.nan_to_num(frame if frame.shape[-1] in (1, 3) else frame[..., :1])
    return np.broadcast_to((np.clip(frame, 0, 1) * 255 + 0.5).astype("uint8"), (*frame.shape[:2], 3))


def _page(image, draw, panels, label):
    """One frame of the animation as a Pillow image."""
    height, width = next(iter(panels.values())).shape[:2]
    factor = max(1, round(_SIDE / max(height, width)))
    height, width, edge, head = height * factor, width * factor, 10, 40
    page = image.new("RGB", (len(panels) * (width + edge) + edge, height + head + edge), "white")
    pen = draw.Draw(page)
    pen.text((edge, 6), label, fill=_INK)
    for index, (name, frame) in enumerate(panels.items()):
        left = edge + index * (width + edge)
        pen.text((left, head - 16), name, fill=_FAINT)
        pixels = np.repeat(np.repeat(_pixels(frame), factor, axis=0), factor, axis=1)
        page.paste(image.fromarray(pixels), (left, head))
    return page
