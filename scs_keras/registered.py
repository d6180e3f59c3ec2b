"""Imports every module of core and zoo, so that Keras knows each class that a saved model may name."""

import importlib
import pkgutil

from scs_keras import core, zoo

for package in (core, zoo):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.rpartition(".")[2].startswith("tensorflow_"):  # of one backend only
            importlib.import_module(module.name)
