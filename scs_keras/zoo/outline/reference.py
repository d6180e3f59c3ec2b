"""Checkpoints of the public outline demo (PyTorch) into the preset that has its layers."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from scs_keras.zoo.outline.encoders import VGG_BLOCKS
from scs_keras.zoo.pytorch_weights import WRAPPED, ReferenceWeight, layer_weights
from scs_keras.zoo.pytorch_weights import load_reference as load

BIASES = ("lstmlayer.bias_ih_l0", "lstmlayer.bias_hh_l0")
_MODELS = (1, 1, 2, 3, 4)  # `model1` holds two blocks of VGG, the others one; `model4` begins with the pooling


def load_reference(model: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Loads the demo's parameters, all or none.

    Of its dense layer the two start tokens are left out, which no vertex is followed by.

    Args:
        model: an `OutlineModel` of the backbone "vgg16_bn" and the head "reference".
        arrays: {name in the demo: array in PyTorch's layout}, each name with `module.` before it or without.

    Raises:
        ValueError: a name has no place in the model, a weight is left without one, or a shape differs. Nothing is
            loaded then; the message names them all.
    """
    arrays = {name.removeprefix(WRAPPED): np.asarray(array) for name, array in arrays.items()}
    return load(model, dict(_split(arrays, model.grid)))


def _split(arrays: dict[str, np.ndarray], grid: int) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays as our layers hold them: PyTorch's LSTM has two biases, which it adds; a control convolution is over
    [state, input], ours are two."""
    if all(name in arrays for name in BIASES) and len({arrays[name].shape for name in BIASES}) == 1:
        added = arrays[BIASES[0]] + arrays[BIASES[1]]
        arrays = {name: array for name, array in arrays.items() if name not in BIASES} | {" + ".join(BIASES): added}
    for name, array in arrays.items():
        if name.endswith("ctrl_cnn.weight") and array.ndim == 4:
            yield f"{name}[:, state]", array[:, : len(array)]
            yield f"{name}[:, input]", array[:, len(array) :]
        elif name in ("linear2.weight", "linear2.bias") and len(array) == grid**2 + 3:
            yield name, array[: grid**2 + 1]
        else:
            yield name, array


def reference_weights(model: Any) -> dict[str, ReferenceWeight]:
    """{name in the demo, parts of an array in brackets: ReferenceWeight}; {} for a model that is not built like it."""
    encoder, head = model.context_encoder, model.head
    if not hasattr(head, "recurrent") or not any(layer.name == "block5_conv3_norm" for layer in encoder.layers):
        return {}
    found: dict[str, ReferenceWeight] = {}
    place = {number: 1 if number == 4 else 0 for number in _MODELS}
    for block, (number, widths) in enumerate(zip(_MODELS, VGG_BLOCKS), start=1):
        for index in range(1, len(widths) + 1):
            for name in (f"block{block}_conv{index}", f"block{block}_conv{index}_norm"):
                found |= layer_weights(f"model{number}.{place[number]}", encoder.get_layer(name))
                place[number] += 1
            place[number] += 1  # ReLU
        place[number] += 1  # pooling
    for index in range(1, 6):
        found |= layer_weights(f"convlayer{index}.0", encoder.get_layer(f"convlayer{index}"))
        found |= layer_weights(f"convlayer{index}.2", encoder.get_layer(f"convlayer{index}_norm"))
    for index, layer in enumerate(model.network.scs_layers):
        name, cell = f"convlstm.cell_list.{index}", layer.cell
        found[f"{name}.data_cnn.weight"] = ReferenceWeight(cell.spatial_kernel, "convolution")
        found[f"{name}.data_cnn.bias"] = ReferenceWeight(cell.spatial_bias)
        found[f"{name}.ctrl_cnn.weight[:, state]"] = ReferenceWeight(cell.recurrent_kernel, "convolution")
        found[f"{name}.ctrl_cnn.weight[:, input]"] = ReferenceWeight(cell.temporal_kernel, "convolution")
        found[f"{name}.ctrl_cnn.bias"] = ReferenceWeight(cell.temporal_bias)
    lstm = head.recurrent.cell
    found["lstmlayer.weight_ih_l0"] = ReferenceWeight(lstm.kernel, "dense")
    found["lstmlayer.weight_hh_l0"] = ReferenceWeight(lstm.recurrent_kernel, "dense")
    found[" + ".join(BIASES)] = ReferenceWeight(lstm.bias)
    return found | layer_weights("linear2", head.after, "dense")
