"""What a user says of radar files, as options of the commands. For the records of tasks: no reader is imported."""

from scs_keras.training.task import Option

_HELP = {  # of the parts of `Reading`
    "zr": "a,b of Z = a R^b that makes rain of reflectivity, e.g. 300,1.4",
    "unit": "of the numbers in the files: dBZ, mm/h, mm/5min, mm (since the image before), 0.01 mm/h, ...",
    "variable": "name of the variable, or ODIM quantity, to read",
    "importer": "of pysteps, for other files: NAME or NAME,argument=value,...",
}


def reading_options(command: str) -> tuple[Option, ...]:
    """Those of a command, in place of what the files say; a training's are remembered where it has them as settings."""
    return tuple(Option(command, name, help, of_training=True) for name, help in _HELP.items())
