"""How often a nowcast finds an image that was lost, and takes one for lost that was not; and what bad images do.

    python benchmarks/lost_images.py --data DIR [--every 10] [--model PRESET] [--faults blank speckled ...]

Of every so many windows of all files: each observed image in turn is blanked, half-blanked, frozen (the one before
once more), moved by 20 pixels, speckled (3 % of the pixels at 40 dBZ) or clipped at 25 dBZ. Writes
results/lost_images_DATE_VERSION.json: for each fault and place the share found, and the area mean of the forecasts over
that of the clean forecast (median, smallest, largest) and over that of the clean observed images (largest). Windows
without 1 % of echo, and faults that remove less than 30 % of it, are left out.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measuring import provenance, result_path, write

from scs_keras import zoo
from scs_keras.training.data.radar import read_event
from scs_keras.zoo.radar_units import scaled_to_rain

ECHO = 10 / 70
LOST = ("blank", "top half", "left half")


def halves(name):
    def spoil(image, before, generator):
        image = image.copy()
        half = image.shape[0] // 2
        image[{"blank": np.s_[:], "top half": np.s_[:half], "left half": np.s_[:, :half]}[name]] = 0
        return image

    return spoil


FAULTS = {
    **{name: halves(name) for name in LOST},
    "frozen": lambda image, before, generator: before.copy(),
    "moved": lambda image, before, generator: np.roll(image, 20, axis=1),
    "speckled": lambda image, before, generator: np.where(generator.random(image.shape) < 0.03, 40 / 70, image),
    "clipped": lambda image, before, generator: np.minimum(image, 25 / 70),
}


def amount(images):
    return float(scaled_to_rain(np.asarray(images)).mean())


def windows(data, every):
    for path in sorted(data.glob("*.npz")):
        event = read_event(path)
        for start in range(0, len(event.times) - 4, every):
            frames = event.scaled[start : start + 5]
            if min((image >= ECHO).mean() for image in frames) >= 0.01:
                yield frames


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--model", default="scs_precipitation_nowcast_small_radar")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS), help="only these")
    arguments = parser.parse_args()
    start, model = provenance(), zoo.load(arguments.model)
    generator, counted, taken = np.random.default_rng(0), {}, []
    for frames in windows(arguments.data, arguments.every):
        clean = forecast(model, frames)
        taken.append(clean["lost"])
        observed = amount(frames)
        for name in arguments.faults:
            spoil = FAULTS[name]
            for index in range(5):
                spoilt = frames.copy()
                spoilt[index] = spoil(frames[index], frames[max(index - 1, 0)], generator)
                if name in LOST and (spoilt[index] >= ECHO).sum() > 0.7 * (frames[index] >= ECHO).sum():
                    continue
                bad = forecast(model, spoilt)
                counted.setdefault(name, {}).setdefault(index, []).append(
                    (bad["lost"][index], *(amount(bad[key]) / amount(clean[key]) for key in ("mean", "matched")),
                     max(amount(bad[key]) for key in ("mean", "matched")) / observed)
                )  # fmt: skip
    document = {
        **start,
        "windows": len(taken),
        "falsely_found": [float(share) for share in np.mean(taken, axis=0)],
        "faults": {name: {index: summary(rows) for index, rows in places.items()} for name, places in counted.items()},
    }
    write(result_path("lost_images", start), document)
    print(f"{len(taken)} windows; falsely found by place: {document['falsely_found']}")
    for name, places in document["faults"].items():
        for index, row in places.items():
            print(f"{name:10} image {index + 1}: " + ", ".join(f"{key} {value}" for key, value in row.items()))


def forecast(model, frames):
    return {name: np.asarray(each)[0] for name, each in model.predict(frames[None, ..., None], verbose=0).items()}


def summary(rows):
    found, mean, matched, observed = np.array(rows).T
    spread = {
        name: [round(float(value), 3) for value in (np.median(each), each.min(), each.max())]
        for name, each in (("mean", mean), ("matched", matched))
    }
    return {
        "windows": len(rows),
        "found": round(float(found.mean()), 3),
        **spread,
        "of_observed": round(float(observed.max()), 3),
    }


if __name__ == "__main__":
    main()
