"""The command line: `scs-keras COMMAND --help`.

What a task adds to it, options, recipes and commands, is found in the tasks; nothing here names one. Help, errors of
use and the list of presets need no backend.
"""

import argparse
import importlib
import inspect
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, NoReturn, get_type_hints

import scs_keras
from scs_keras.zoo.words import typed

PRESET_OR_RUN = "name of a preset (scs-keras presets), or the folder of a training"
_SETTINGS = dict(action="append", default=[], metavar="KEY=VALUE")


class Parser(argparse.ArgumentParser):
    """Errors of use say which help there is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. Type: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; errors of the user's are one message, not a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = next((word for word in words if not word.startswith("-")), None)
    try:
        with typed(name):
            parser = command_line(name, words)
            options = vars(parser.parse_args(words))
            options.pop("run")(**{name: value for name, value in options.items() if name not in ("run", "command")})
    except BrokenPipeError:  # what reads our output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.exit(f"scs-keras {name}: {_sentence(error)}")
    except (ValueError, FloatingPointError, ImportError) as error:
        sys.exit(f"scs-keras {name}: {error}")
    except KeyboardInterrupt:
        goes_on = " The same command goes on from the last checkpoint." if name == "train" else ""
        sys.exit(f"scs-keras {name}: interrupted.{goes_on}")


def _sentence(error):
    """An OSError without its number and in one line: the file, and what is wrong with it."""
    said, file = error.strerror, error.filename2 or error.filename
    if said is None or file is None:
        return " ".join((said or str(error)).split())
    return f"{file}: {said[:1].lower()}{said[1:]}."


# The parser ---------------------------------------------------------------------------------------------------------


def command_line(command: str | None, words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command line; its options are those of the preset or training that the line names."""
    from scs_keras.training.task import commands

    main = Parser(prog="scs-keras", description="Models for sequences of images: train, evaluate, predict, export.")
    main.add_argument("--version", action="version", version=f"scs-keras {scs_keras.__version__}")
    parsers = main.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    subject = _subject(command, words)
    for name, (add, help) in COMMANDS.items():
        parser = parsers.add_parser(name, help=help, description=help, formatter_class=argparse.RawTextHelpFormatter)
        if name == command:
            add(parser, subject)
    for name, by_task in commands().items():
        _add_task_command(parsers, name, by_task, words if name == command else ())
    return main


def _subject(command, words):
    """The preset, recipe or training that the line names, else the first word after the command; None for no such word.

    It may come after options, whose values are not told from it yet.
    """
    from scs_keras import zoo
    from scs_keras.training.output import Output
    from scs_keras.training.task import recipes

    if command not in COMMANDS:
        return None
    known = {*recipes(), *(preset.name for preset in zoo.list_presets())}
    rest = list(words)[list(words).index(command) + 1 :]
    named = (word for word in rest if word in known or Output(word).recipe_file.is_file())
    return next(named, rest[0] if rest and not rest[0].startswith("-") else None)


def _add(parser, option):
    name = option.name if option.positional else f"--{option.name}"
    given: dict[str, Any] = dict(help=option.help)
    if option.flag:
        given.update(action="store_true")
    else:
        given.update(type=option.type, choices=option.choices, default=option.default)
    if option.required:
        given.update(required=True)
    parser.add_argument(name, **given)


def _task_options(parser, command, subject):
    """Adds the options of the task of a preset or training; without one, says where they are to be seen."""
    from scs_keras.training.source import source

    if subject is None:
        parser.epilog = f"A task has further options: scs-keras {command} PRESET --help"
        return
    for option in source(subject).task.options_of(command):
        _add(parser, option)


def _add_task_command(parsers, name, by_task, words):
    """A command that tasks bring; where several do, the one whose preset the line names, or that --task says."""
    from scs_keras import zoo

    help = next(iter(by_task.values())).help
    parser = parsers.add_parser(name, help=help, description=help)
    of_presets = {preset.name: preset.task for preset in zoo.list_presets()} if len(by_task) > 1 and words else {}
    named = [of_presets[word] for word in words if of_presets.get(word) in by_task]
    given = [after for word, after in zip(words, words[1:]) if word == "--task" and after in by_task]
    task = [*given, *named, next(iter(by_task))][0]
    if len(by_task) > 1:
        parser.add_argument("--task", choices=list(by_task), default=task, help="which task's command")
    for option in by_task[task].options:
        _add(parser, option)
    parser.set_defaults(run=_run_task_command(by_task[task]))


def _run_task_command(command):
    def run(task=None, **options):
        from scs_keras.training.task import check_needs, check_writable
        from scs_keras.zoo.reference import resolve

        check_writable(command.options, options)
        check_needs(command.needs)
        start_backend()
        said = resolve(command.run)(**options)
        if said is not None:
            print(said)

    return run


# The commands -------------------------------------------------------------------------------------------------------


def add_presets(parser, subject):
    parser.add_argument("--task", help="only this task")
    parser.add_argument("--flops", action="store_true", help="count parameters and multiply-adds instead (minutes)")
    parser.set_defaults(run=presets)


def presets(task=None, flops=False):
    from scs_keras import zoo
    from scs_keras.core.arguments import check_known

    if task is not None:
        check_known("task", task, zoo.tasks())
    if flops:
        start_backend()
        from scs_keras.training.costs import print_costs

        return print_costs(task)
    for preset in zoo.list_presets(task):
        print(f"{preset.name:45} {'trained' if preset.has_weights else 'no weights':11} {preset.summary}")


def add_train(parser, subject):
    from scs_keras.training.distribute import STRATEGIES
    from scs_keras.training.run import recipe_of
    from scs_keras.training.task import recipes

    parser.add_argument("recipe", metavar="RECIPE|PRESET|RUN", help="recipe, a preset's name, or folder of a training")
    parser.add_argument("--data", required=True, help="folder with the data")
    parser.add_argument("--output", help="folder for checkpoints, logs and weights")
    parser.add_argument(
        "--set", **_SETTINGS, help="change a value of the recipe, or model.KEY, an argument of the model"
    )
    parser.add_argument(
        "--weights", metavar="preset|FILE", help="start from the preset's trained weights, or from a .weights.h5 file"
    )
    parser.add_argument("--freeze", metavar="NAME,NAME", help="parts that do not train, such as decoder or cells.0")
    parser.add_argument("--strategy", default="one", choices=STRATEGIES, help="devices of this machine")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    parser.set_defaults(run=train)
    if subject is not None:
        parser.epilog = _settings(recipe_of(subject))
        return
    lines = (
        f"    {name:24} {(inspect.getdoc(recipe) or '').partition(chr(10))[0]}" for name, recipe in recipes().items()
    )
    parser.epilog = "\n".join(["Recipes; scs-keras train RECIPE --help has the settings of one:", *lines])


def _settings(recipe):
    """What the recipe is, its settings, those of every recipe, and their values and types."""
    from scs_keras.training.recipe import Recipe, type_name

    own, of_all = (inspect.cleandoc(kind.__doc__ or "").partition("Attributes:") for kind in (type(recipe), Recipe))
    kinds = get_type_hints(type(recipe))
    values = (
        f"    {f'{each.name}={shown(getattr(recipe, each.name))}':40} {type_name(kinds[each.name])}"
        for each in fields(recipe)
        if each.name != "arguments"
    )
    return "\n".join(
        [own[0], f"Settings:{own[2]}", "", f"Settings of every recipe:{of_all[2]}", "", "Values and types:", *values]
    )


def shown(value):
    """A setting's value as it is typed."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def train(recipe, data, output, set, weights, freeze, strategy, quiet):
    from scs_keras.training.output import Output
    from scs_keras.training.run import recipe_of, train

    set = [
        *set,
        *(f"{key}={value}" for key, value in dict(weights=weights, freeze=freeze).items() if value is not None),
    ]
    made = recipe_of(recipe, (each for each in set if not each.startswith("model.")))  # what is wrong shows at once
    if output is not None:
        Output(output).check()
    start_backend()
    train(recipe, data, output, set, strategy, verbose=0 if quiet else 1)
    if not quiet:
        print(_next(Output(output or recipe), data, made.task))


def _next(output, data, task_name):
    """Where the weights of a training are, and what to type next."""
    from scs_keras.training.task import task

    run, data = shlex.quote(str(output.folder)), shlex.quote(str(data))
    lines = [f"evaluate {run} --data {data}", f"predict {run} --input FILE --output DIR", f"export {run} --output DIR"]
    if not task(task_name).predict:
        del lines[1]
    return "\n".join([f"Wrote {output.weights}. Next:", *(f"    scs-keras {line}" for line in lines)])


def _add_source(parser):
    parser.add_argument("source", metavar="PRESET|RUN", help=PRESET_OR_RUN)
    parser.add_argument("--weights", help="a .weights.h5 file instead of the preset's, for example a converted one")
    parser.add_argument("--set", **_SETTINGS, help="model.KEY=VALUE: an argument of the model")


def _source(source, weights, set):
    from scs_keras.training.source import source as source_of

    if set:  # whether the model has these arguments is asked of its builder
        start_backend()
    made = source_of(source, weights, set)
    start_backend()
    made.check_weights()
    return made


def add_evaluate(parser, subject):
    _add_source(parser)
    parser.add_argument("--data", required=True, help="folder with the data")
    parser.add_argument("--dataset", help="what the folder holds; by default what the model is for")
    parser.add_argument(
        "--split", help="which part: train, val or test; by default the one that models are measured on"
    )
    parser.add_argument("--limit", type=int, help="score so many samples, evenly spread")
    parser.add_argument("--batch-size", type=int, help="samples at once, 4 by default: more are faster")
    parser.add_argument("--json", help="write all scores here")
    _task_options(parser, "evaluate", subject)
    parser.set_defaults(run=evaluate)


def evaluate(source, weights, set, data, dataset, split, limit, batch_size, json, **options):
    from scs_keras.training.evaluate import evaluate

    model = _source(source, weights, set)
    chosen = dataset or model.dataset
    readers, predictors = (
        {name: options.pop(name) for name in names if options.get(name) is not None}
        for names in (_names(model.task.dataset(chosen).options), _names(model.task.options))
    )
    defaults = {option.name.replace("-", "_"): option.default for option in model.task.options_of("evaluate")}
    other = next((name for name, value in options.items() if value not in (None, False, defaults.get(name))), None)
    if other is not None:
        raise ValueError(f"--{other.replace('_', '-')} is not an option of the data set {chosen}. Leave it out.")
    evaluate(model, data, dataset, split, limit, json, readers, predictors, batch_size)


def _names(options):
    """Python's names of a task's options of `evaluate`."""
    return [option.name.replace("-", "_") for option in options if option.command == "evaluate"]


def add_predict(parser, subject):
    _add_source(parser)
    parser.add_argument("--input", required=True, help="file or folder, for example a radar event (npz) or a video")
    parser.add_argument("--output", required=True, help="folder for the predictions and pictures")
    _task_options(parser, "predict", subject)
    parser.set_defaults(run=predict)


def predict(source, weights, set, input, output, **options):
    from scs_keras.training.predict import predict

    predict(_source(source, weights, set), input, output, **options)


def add_export(parser, subject):
    _add_source(parser)
    parser.add_argument("--output", required=True, help="folder; a version directory is made in it")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="frame size in pixels")
    parser.add_argument("--steps", type=int, help="number of frames to predict; by default the model's")
    parser.add_argument(
        "--format", nargs="+", default=["saved_model"], help="saved_model (always written), onnx, litert"
    )
    parser.set_defaults(run=export)


def export(source, weights, set, output, size, steps, format):
    model = _source(source, weights, set)
    from scs_keras.serving.export import check_arguments, export, how_to_stream

    check_arguments(output, size, steps, format)
    made = model.load()
    print("\n".join([str(export(made, output, size, steps, format)), *how_to_stream(made)]))


def add_serve(parser, subject):
    from scs_keras.serving.server.options import Options

    parser.add_argument("folder", nargs="?", metavar="DIR", help="folder of an export, or one with several of them")
    parser.add_argument("--models-config", metavar="FILE", help="a models.config of TF Serving instead of DIR")
    parser.add_argument("--name", help="name of the model in DIR; by default that of its models.config, or DIR's")
    for each in fields(Options):
        name, kind = f"--{each.name.replace('_', '-')}", str if each.default is None else type(each.default)
        if kind is bool:
            parser.add_argument(name, action="store_true", help=each.metadata["help"])
            continue
        help = each.metadata["help"] + ("" if each.default is None else f" ({each.default})")
        metavar = "FILE" if each.default is None else kind.__name__.upper()
        parser.add_argument(name, type=kind, default=each.default, help=help, metavar=metavar)
    parser.epilog = (
        "A server for trying things, without Docker, with TF Serving's REST and gRPC. In production run TF Serving\n"
        "itself (or KServe with it) from the files that the export wrote: DIR/tf_serving."
    )
    parser.set_defaults(run=serve)


def serve(folder, models_config, name, **options):
    import logging

    from scs_keras.serving.server import PRODUCTION, check_packages
    from scs_keras.serving.server.models_config import Source
    from scs_keras.serving.server.options import Options

    check_packages()
    chosen = Options(**options)
    source = Source(folder, models_config, name)  # what is wrong shows at once
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("scs_keras").setLevel(logging.INFO)
    logging.getLogger("scs_keras.serving").info(PRODUCTION)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is said by us
    quietly(lambda: importlib.import_module("tensorflow"))
    from scs_keras.serving.server.pages import routes
    from scs_keras.serving.server.run import serve

    serve(source, chosen, routes)


def add_publish(parser, subject):
    parser.add_argument("training", help="output folder of a finished `scs-keras train`")
    parser.add_argument("--data", required=True, help="folder with the data to score on")
    parser.add_argument("--golden", help="folder for the output on the preset's example (tests/golden of a checkout)")
    parser.set_defaults(run=publish)


def publish(training, data, golden):
    start_backend()
    from scs_keras.training.publish import publish

    publish(training, data, golden)


COMMANDS = {
    "presets": (add_presets, "list the models of the zoo"),
    "train": (add_train, "train a recipe or a preset, or go on with a training"),
    "evaluate": (add_evaluate, "score a model beside its baselines"),
    "predict": (add_predict, "make predictions from a file or folder of your own"),
    "export": (add_export, "write a SavedModel for TF Serving"),
    "serve": (add_serve, "answer requests as TF Serving does, on this machine, for trying an export"),
    "publish": (add_publish, "make a training's weights those of its preset (for developers of the zoo)"),
}


# The backend --------------------------------------------------------------------------------------------------------


def start_backend() -> None:
    """Imports Keras without what its backend logs."""
    if "keras" not in sys.modules:
        quietly(scs_keras.import_keras)


def quietly(load: Callable[[], object]) -> None:
    """Imports what logs much, which is shown only if the import fails.

    TensorFlow has no setting that stops all of its lines: so what is written to standard error is kept back meanwhile.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            load()
        except ImportError:
            os.dup2(kept, 2)
            log.seek(0)
            os.write(2, log.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    import logging

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # not that another frame size compiles anew


if __name__ == "__main__":
    main()
