"""Presets of a test's own in the zoo."""

import importlib

from scs_keras import zoo


def add_preset(monkeypatch, preset):
    """Adds a preset to its task for the time of a test, and returns it."""
    package = importlib.import_module(f"scs_keras.zoo.{preset.task}")
    monkeypatch.setattr(package, "PRESETS", (*package.PRESETS, preset))
    return preset


def only_presets(monkeypatch, *presets):
    """For the time of a test the zoo has these presets and no others."""
    for task in zoo.tasks():
        package = importlib.import_module(f"scs_keras.zoo.{task}")
        monkeypatch.setattr(package, "PRESETS", tuple(preset for preset in presets if preset.task == task))
