"""Arguments of a model on the command line: `--model '{"output_length": 20}'`."""

import json


def arguments_of(text):
    """The arguments, from JSON; lists become tuples.

    Raises:
        ValueError: if it is no JSON object.
    """
    try:
        arguments = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        arguments = error
    if not isinstance(arguments, dict):
        example = '{"input_shape": [10, 48, 48, 3], "output_length": 20}'
        raise ValueError(f"model must be a JSON object of arguments, for example '{example}'. Received: {text!r}.")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
