"""What every model of the zoo has: its preset, also after it was saved and loaded."""

from collections.abc import Mapping
from typing import Any

from scs_keras import zoo
from scs_keras.zoo.preset import Preset


class KnowsPreset:
    """For a Keras model: `preset`, the `Preset` that it was made from, or None.

    The config has its name and the arguments that were changed; `get_config` of a subclass that does not start
    from this one's adds `preset_config()`. A model of a preset that is no longer there loads all the same.
    """

    preset: Preset | None

    def __init__(self, *args: Any, preset: Mapping[str, Any] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.preset = None if preset is None else _preset(**preset)

    def preset_config(self) -> dict[str, Any]:
        """{"preset": {"name": ..., "arguments": ...}}; {} for a model of no preset."""
        if self.preset is None:
            return {}
        return {"preset": dict(name=self.preset.name, arguments=dict(self.preset.changed))}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.preset_config()}


def _preset(name, arguments):
    try:
        return zoo.get_preset(name).with_arguments(**arguments)
    except ValueError:
        return None
