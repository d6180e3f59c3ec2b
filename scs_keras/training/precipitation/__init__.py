"""Precipitation forecasts from weather radar: data, recipe, scores, predictions and demo."""

from scs_keras.training.data.radar_options import reading_options
from scs_keras.training.precipitation.recipe import PrecipitationNowcast, PrecipitationRadar
from scs_keras.training.task import Command, Dataset, Option, Task

_HERE = "scs_keras.training.precipitation"

TASK = Task(
    name="precipitation",
    datasets={
        "radar": Dataset(
            read=f"{_HERE}.samples:read",
            scored="val",
            options=(
                Option("evaluate", "stride", "a window starts at every so many images", type=int, default=1),
                *reading_options("evaluate"),
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
        *reading_options("predict"),
        Option(
            "evaluate",
            "baselines",
            "also score the nowcasts of pysteps, or S-PROG alone, which is faster",
            choices=("pysteps", "sprog"),
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
