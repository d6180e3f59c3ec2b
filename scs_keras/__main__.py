"""The command line: `scs-keras COMMAND --help`."""

import argparse
import logging
import os
import sys

COMMANDS = {
    "presets": "list the models of the zoo",
    "demo": "forecast the radar sequence that ships with the project",
    "train": "train a recipe",
    "evaluate": "score a preset on a folder of radar events or videos",
    "predict": "forecast from one radar file or video",
    "export": "write a SavedModel for TF Serving",
    "convert": "turn a checkpoint of the public video-prediction benchmark into weights of the zoo",
    "publish": "make a training's weights those of a preset (for developers of the zoo)",
}


def parser():
    """The argument parser; each command says what it needs."""
    main = argparse.ArgumentParser(prog="scs-keras", description="SCS models for sequences of images.")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = {name: commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()}

    command["presets"].add_argument("--task", help="only this task")
    command["presets"].add_argument("--flops", action="store_true", help="count parameters and multiply-adds instead")

    command["demo"].add_argument("--output", default=".", help="folder for forecast.png and forecast.gif")

    train = command["train"]
    train.add_argument("recipe")
    train.add_argument("--data", required=True, help="folder with the data")
    train.add_argument("--output", required=True, help="folder for checkpoints, logs and weights")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe")
    train.add_argument("--strategy", default="one", choices=("one", "mirrored"), help="devices of this machine")
    train.add_argument("--quiet", action="store_true", help="no progress bar")

    for name in ("evaluate", "predict", "export"):
        command[name].add_argument("preset")
        command[name].add_argument("--weights", help="a .weights.h5 file, for example of your own training")

    evaluate = command["evaluate"]
    evaluate.add_argument("--data", required=True, help="folder with radar events (npz) or videos")
    evaluate.add_argument("--dataset", help="videos: what the folder holds, for example moving_mnist, kth or folder")
    evaluate.add_argument("--split", help="only this part: train, val or test (videos: test; radar events: all)")
    evaluate.add_argument("--stride", type=int, help="windows start at every so many frames")
    evaluate.add_argument("--limit", type=int, help="videos: score so many sequences, evenly spread")
    evaluate.add_argument("--steps", type=int, help="videos: number of frames to predict")
    evaluate.add_argument("--json", help="write {event or dataset: {forecast: {metric: value}}} here")
    evaluate.add_argument("--lead-json", help="write the same for every lead time here")

    for name in ("evaluate", "predict"):
        command[name].add_argument("--model", help="videos: arguments that the weights were trained with, as JSON")

    predict = command["predict"]
    predict.add_argument(
        "--input", required=True,
        help="a radar event (npz), whose last images are the observed ones; or a video (npy, npz, mp4, image folder)",
    )  # fmt: skip
    predict.add_argument("--output", required=True, help="folder for forecast.npz and pictures")
    predict.add_argument("--steps", type=int, help="number of images to forecast")
    predict.add_argument(
        "--beyond", action="store_true", help="videos: forecast what follows the last frame, compare with nothing"
    )

    export = command["export"]
    export.add_argument("--output", required=True, help="folder; a version directory is made in it")
    export.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="frame size in pixels")

    convert = command["convert"]
    convert.add_argument("checkpoint", help="PyTorch file (.pth, .ckpt), or npz of the same names")
    convert.add_argument("--model", required=True, metavar="PRESET", help="for example tau_video_moving_mnist")
    convert.add_argument("--output", help="weights file; by default beside the checkpoint, ending in .weights.h5")

    publish = command["publish"]
    publish.add_argument("training", help="output folder of a finished `scs-keras train`")
    publish.add_argument("--data", required=True, help="folder with the data to score on")
    return main


def presets(arguments):
    from scs_keras import zoo

    if arguments.flops:
        from scs_keras.training.flops import print_costs

        return print_costs(arguments.task)
    for preset in zoo.list_presets(arguments.task):
        print(f"{preset.name:45} {'trained' if preset.has_weights else 'no weights':11} {preset.summary}")


def demo(arguments):
    from scs_keras.training.demo import demo

    demo(arguments.output)


def train(arguments):
    from scs_keras.training.run import train

    train(
        arguments.recipe, arguments.data, arguments.output, arguments.set, arguments.strategy,
        verbose=0 if arguments.quiet else 1,
    )  # fmt: skip


def evaluate(arguments):
    from scs_keras.training.tasks import task_of

    task_of(arguments.preset).evaluate(
        arguments.preset, arguments.data, arguments.weights, arguments.split, arguments.stride,
        arguments.json, arguments.lead_json, arguments.dataset, arguments.limit, arguments.steps, arguments.model,
    )  # fmt: skip


def predict(arguments):
    from scs_keras.training.tasks import task_of

    task_of(arguments.preset).predict(
        arguments.preset, arguments.input, arguments.output, arguments.weights, arguments.steps, arguments.beyond,
        arguments.model,
    )  # fmt: skip


def export(arguments):
    from scs_keras.serving.export import export_preset

    print(export_preset(arguments.preset, arguments.output, arguments.weights, arguments.size))


def convert(arguments):
    from scs_keras.training.convert import convert

    print(convert(arguments.checkpoint, arguments.model, arguments.output))


def publish(arguments):
    from scs_keras.training.publish import publish

    publish(arguments.training, arguments.data)


def main(argv=None):
    """Runs a command; errors of the user's are one message, not a traceback."""
    arguments = parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # not that another frame size compiles anew
    try:
        globals()[arguments.command](arguments)
    except (ValueError, FileNotFoundError, FloatingPointError, ImportError) as error:
        sys.exit(f"scs-keras {arguments.command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"scs-keras {arguments.command}: interrupted. The same command goes on from the last checkpoint.")


if __name__ == "__main__":
    main()
