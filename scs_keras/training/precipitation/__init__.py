"""Precipitation forecasts from weather radar: data, recipe, scores, predictions and demo."""

from scs_keras.training.precipitation.recipe import PrecipitationNowcast, PrecipitationRadar
from scs_keras.training.task import Command, Dataset, Option, Task

_HERE = "scs_keras.training.precipitation"

_READING = {  # what a user says of radar files in place of what these say
    "zr": "a,b of Z = a R^b that makes rain of reflectivity, e.g. 300,1.4",
    "unit": "of the numbers in the files: dBZ, mm/h, mm/5min, mm (since the image before), 0.01 mm/h, ...",
    "variable": "name of the variable, or ODIM quantity, to read",
    "importer": "of pysteps, for other files: NAME or NAME,argument=value,...",
}


def _reading(command: str) -> tuple[Option, ...]:
    return tuple(Option(command, name, help) for name, help in _READING.items())


TASK = Task(
    name="precipitation",
    datasets={
        "radar": Dataset(
            read=f"{_HERE}.samples:read",
            scored="val",
            options=(
                Option("evaluate", "stride", "a window starts at every so many images", type=int, default=1),
                *_reading("evaluate"),
            ),
        )
    },
    recipes={"precipitation_radar": PrecipitationRadar, "precipitation_nowcast": PrecipitationNowcast},
    scores=f"{_HERE}.scores:RainScores",
    predictors=f"{_HERE}.scores:predictors",
    baselines=f"{_HERE}.scores:baselines",
    report=f"{_HERE}.reliability:report",
    predict=f"{_HERE}.predict:predict",
    predict_needs={"matplotlib": "pictures", "PIL": "pictures"},
    commands={
        "demo": Command(
            f"{_HERE}.demo:demo",
            "forecast the radar sequence that ships with the project",
            (Option("", "output", "folder for forecast.png and forecast.gif", default=".", writes="folder"),),
            needs={"matplotlib": "pictures", "PIL": "pictures"},
        )
    },
    options=(
        Option("predict", "steps", "number of images to forecast", type=int),
        Option("predict", "format", "of the forecast", default="npz", choices=("npz", "netcdf", "odim")),
        *_reading("predict"),
        Option(
            "evaluate",
            "baselines",
            "also score the nowcasts of pysteps",
            choices=("pysteps",),
            passed_to="baselines",
            needs={"pysteps": "radar"},
        ),
        Option(
            "evaluate",
            "reliability",
            "draw the reliability diagram of the probabilities here (PNG)",
            writes="file",
            passed_to="report",
            needs={"matplotlib": "pictures"},
        ),
    ),
)
