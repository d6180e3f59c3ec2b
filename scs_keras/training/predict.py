"""Predictions from a user's own file or folder: `scs-keras predict PRESET|RUN --input FILE --output DIR`."""

from pathlib import Path
from typing import Any

from scs_keras.training.source import Source
from scs_keras.training.task import check_asked, check_needs
from scs_keras.zoo.files import check_output_folder
from scs_keras.zoo.reference import resolve


def predict(source: Source, file: str | Path, output: str | Path, **options: Any) -> None:
    """Makes the task's predictions from a file or folder, writes them to the folder `output` and says so.

    Args:
        source: of the model.
        file: what the task's models see, for example a radar event or a video.
        output: folder, made if need be.
        **options: of the task; what a training was told holds where they are None.

    Raises:
        ValueError: the task has no predictions from files, the model not what an option asks for, or the file is bad.
        OSError: there is no such file, or nothing can be written to `output`.
        ImportError: a package that it needs is missing.
    """
    if not source.task.predict:
        raise ValueError(f"{source.name} is for {source.task.name}, which makes no predictions from files.")
    check_asked([each for each in source.task.options_of("predict") if options.get(each.python_name)], source.preset)
    if not Path(file).exists():
        raise FileNotFoundError(f"{file}: there is no such file.")
    check_output_folder(output)
    check_needs(source.task.predict_needs)
    print(resolve(source.task.predict)(source, Path(file), Path(output), **source.options("predict", options)))
