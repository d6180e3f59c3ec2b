"""Outlines: the rows of Tab. 4, what the network sees, heads, losses and training, several inputs of a preset."""

import keras
import numpy as np
import pytest

from scs_keras import LTSC, zoo
from scs_keras.core.network import SCSNetwork
from scs_keras.zoo.convlstm import ConvLSTMNetwork
from scs_keras.zoo.outline import encoders
from scs_keras.zoo.outline.builder import NETWORKS, build
from scs_keras.zoo.outline.cells import teacher_forcing
from scs_keras.zoo.outline.conv_gru import ConvGRUNetwork
from scs_keras.zoo.outline.layers import LSTMHead, MapHead, VertexMaps
from scs_keras.zoo.outline.losses import CellCrossentropy, edge_and_vertex_cells
from scs_keras.zoo.outline.pixels import unit
from tests.checks import assert_close, convolve, in_own_process, random, randomize, sigmoid, to_numpy

TINY = dict(
    network="scs", arguments=dict(structure=[4, 3]), steps=6, image_size=(16, 16), grid=4, features=4, head="map",
    backbone="small", backbone_arguments=dict(filters=(2, 2, 2, 2)),
)  # fmt: skip


def batch(grid=4, steps=6, side=16):
    """(x, y, weight) of three outlines."""
    outlines = [[5, 6, 10, 9], [0, 3, 15], [1, 2, 7, 11, 14, 8]]
    made = [teacher_forcing(np.array(each), steps, grid) for each in outlines]
    x = {"image": random(3, side, side, 3), "vertices": np.stack([each.vertices for each in made])}
    return x, np.stack([each.targets for each in made]), np.stack([each.weights for each in made])


# Tab. 4 -----------------------------------------------------------------------------------------------------------

TABLE_4 = {
    "scs": {2: 197_712, 5: 1_127_952, 10: 2_677_264, 15: 5_846_480},
    "cbm": {5: 1_127_952, 15: 5_846_480},
    "lstm": {2: 470_304, 5: 2_939_040, 10: 7_069_856, 15: 15_712_288},
    "gru": {5: 2_204_280, 15: 11_784_216},
}
ROWS = [(kind, depth, count) for kind, by_depth in TABLE_4.items() for depth, count in by_depth.items()]


def network_of(name):
    arguments = zoo.get_preset(name).arguments
    return NETWORKS[arguments["network"]](**arguments["arguments"])


@pytest.mark.parametrize(("kind", "depth", "count"), ROWS)
def test_parameters_of_table_4(kind, depth, count):
    network = network_of(f"polygon_{kind}_outline_{depth}_cityscapes")
    network.build((None, 10, 28, 28, 131))
    assert network.count_params() == count


def test_table_4_has_twelve_rows_and_the_demo_its_own_layers():
    names = {preset.name for preset in zoo.list_presets("outline") if preset.paper_row.startswith("Tab. 4")}
    rows = {f"polygon_{kind}_outline_{depth}_cityscapes" for kind, depth, _ in ROWS}
    small = {f"polygon_{kind}_outline_small_coco" for kind in ("scs", "lstm")}
    assert len(rows) == 12 and names == rows | small
    network = network_of("polygon_cbm_outline_demo_cityscapes")
    network.build((None, 10, 28, 28, 131))
    assert network.count_params() == 4_475_472
    assert [stage.filters for stage in network.stages] == [128] * 9 + [64] * 3 + [32] * 2 + [8]
    cell = network.scs_layers[0].cell
    assert (cell.initial_gate, keras.activations.serialize(cell.activation)) == (0.0, "tanh")


def test_clips_of_the_paper():
    arguments = zoo.get_preset("polygon_scs_outline_15_cityscapes").arguments
    clips = LTSC(arguments["clip_length"], 0.25).clips(arguments["steps"])
    assert len(clips) == 8 and clips[-1].stop == 60


def heads():
    """Parameters of both heads at paper size."""
    reference, cells = LSTMHead(28), MapHead()
    reference.build((None, 10, 28, 28, 8), {"vertices": (None, 10, 3)})
    cells.build((None, 10, 28, 28, 8))
    return reference.count_params(), cells.count_params()


def size_of(name, **arguments):
    """(all parameters, of network, of encoder, of head)."""
    model = zoo.load(name, weights=None, **arguments)
    parts = (model.network, model.context_encoder, model.head)
    return model.count_params(), *(part.count_params() for part in parts)


@pytest.mark.slow
def test_totals_with_each_head():
    # LSTM of 1,568 units on 8 maps and two vectors of cells and tokens, then a dense layer to 784 cells and the end.
    lstm, dense = 4 * 1568 * (8 * 784 + 2 * 787 + 1568 + 1), 1569 * 785
    assert in_own_process(heads) == (lstm + dense, 9 + 17)
    # PyTorch's LSTM has its bias twice; the reference's dense layer also scores the start tokens.
    assert round((lstm + 4 * 1568) / 1e6, 2) == 59.06 and round(1569 * 787 / 1e6, 2) == 1.23
    # VGG-16, four convolutions of 3x3 to 128 and one from 512 to 128, with batch normalisation.
    vgg = 14_714_688 + 9 * 128 * (128 + 256 + 512 + 512 + 512) + 5 * 128 * 5
    for head, parameters in (("reference", lstm + dense), ("map", 26)):
        total, network, encoder, of_head = in_own_process(size_of, "polygon_scs_outline_2_cityscapes", head=head)
        assert (network, encoder, of_head) == (197_712, vgg, parameters)
        assert total == 197_712 + vgg + parameters + 2  # the two probabilities of STSGD


def test_small_models_are_of_one_size_and_below_5_mb():
    sizes = {}
    for kind in ("scs", "lstm"):
        model = zoo.load(f"polygon_{kind}_outline_small_coco", weights=None)
        sizes[kind] = sum(int(np.prod(each.shape)) for each in model.network.trainable_variables)
        assert 4 * model.count_params() < 5e6
    assert max(sizes.values()) / min(sizes.values()) < 1.1 and abs(sizes["scs"] - 70_000) < 7_000, sizes


# What is seen -------------------------------------------------------------------------------------------------------


def test_teacher_forcing_has_start_tokens_the_end_and_weights_up_to_it():
    vertices, targets, weights = teacher_forcing(np.array([5, 6, 10]), 5, 4)
    assert targets.tolist() == [5, 6, 10, 16, 16] and weights.tolist() == [1, 1, 1, 1, 0]
    assert vertices.tolist() == [[17, 17, 18], [5, 18, 5], [5, 5, 6], [5, 6, 10], [5, 10, 16]]
    full = teacher_forcing(np.array([0, 1, 2, 3, 4]), 5, 4)
    assert full.targets.tolist() == [0, 1, 2, 3, 4] and full.weights.all()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([1, 2], "An outline has 3 to 5 vertices. Received: 2"),
        ([1, 2, 3, 4, 5, 6], "An outline has 3 to 5 vertices. Received: 6"),
        ([1, 2, 16], "whole numbers, 0 to 15. Received: 1 to 16"),
        ([1.0, 2.0, 3.0], "whole numbers, 0 to 15. Received: 1.0 to 3.0, float64"),
    ],
)
def test_cells_that_are_no_outline(cells, message):
    with pytest.raises(ValueError, match=message):
        teacher_forcing(np.array(cells), 5, 4)


def test_maps_of_vertices_and_how_far_they_are():
    vertices = np.array([[17, 17, 18], [5, 18, 5], [5, 6, 16]])
    maps = to_numpy(VertexMaps(4, offsets=True)(vertices))
    expected = np.zeros((3, 4, 4, 9))
    for row, tokens in enumerate(vertices):
        for place, token in enumerate(tokens):
            if token < 16:
                expected[row, token // 4, token % 4, place] = 1
                rows, columns = np.mgrid[:4, :4]
                expected[row, ..., 3 + place] = (rows - token // 4) / 4
                expected[row, ..., 6 + place] = (columns - token % 4) / 4
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    assert_close(VertexMaps(4)(vertices), expected[..., :3])


def test_the_network_sees_features_and_then_the_vertices():
    model = build(**TINY)
    x, *_ = batch()
    features = to_numpy(model.context_encoder(x["image"]))
    seen = to_numpy(model.features({"vertices": x["vertices"]}, {"image": model.context_encoder(x["image"])}))
    np.testing.assert_allclose(seen[..., :4], np.repeat(features[:, None], 6, axis=1), atol=1e-6)
    np.testing.assert_allclose(seen[:, 2, ..., 4:], to_numpy(VertexMaps(4)(x["vertices"][:, 2])), atol=1e-6)


def test_pixels_and_cells_become_what_the_model_takes():
    raw = {"image": np.full((1, 2, 2, 3), 51, "uint8"), "vertices": np.array([[[17, 17, 18]]])}
    made, tensors = unit(raw), unit({name: keras.ops.convert_to_tensor(each) for name, each in raw.items()})
    assert made["image"].dtype == np.float32 and made["image"][0, 0, 0, 0] == np.float32(0.2)
    assert made["vertices"].dtype == np.int32
    assert_close(tensors, made)


@pytest.mark.parametrize(("name", "expected"), [("vgg16", [2, 4, 4, 2]), ("vgg16_bn", [2, 4, 4, 2])])
def test_both_vggs_give_maps_of_the_same_four_depths(name, expected):
    """Pooled three times: a quarter of the eighth, an eighth and an eighth; a sixteenth comes to the grid's size."""
    filters = dict(filters=(2, 2, 2, 2, 2)) if name == "vgg16_bn" else {}
    with pytest.MonkeyPatch.context() as patch:
        if name == "vgg16":  # 15 million parameters otherwise
            patch.setattr(encoders, "backbone", lambda *_: vgg_of_two_filters())
        model = encoders.encoder(name, (32, 32), 4, 3, **filters)
    sizes = [model.get_layer(f"convlayer{index}").output.shape[1] for index in range(1, 5)]
    assert sizes == [4, 4, 4, 2] and model.output_shape == (None, 4, 4, 3)


def vgg_of_two_filters():
    x = image = keras.Input((32, 32, 3))
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
        for index in range(1, count + 1):
            x = keras.layers.Conv2D(2, 3, padding="same", name=f"block{block}_conv{index}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return keras.Model(image, x)


# The third recurrent network ------------------------------------------------------------------------------------------


def test_convolutional_gru_is_its_equations():
    network = ConvGRUNetwork([3])
    frames = random(2, 4, 5, 5, 2)
    network(frames)
    randomize(network)
    gates, candidate = (
        [to_numpy(each) for each in layer.weights] for layer in (network.gates[0], network.candidates[0])
    )
    h, outputs = np.zeros((2, 5, 5, 3)), []
    for u in np.moveaxis(frames, 1, 0):
        z, r = np.split(sigmoid(convolve(np.concatenate([u, h], -1), gates[0]) + gates[1]), 2, axis=-1)
        new = np.tanh(convolve(np.concatenate([u, r * h], -1), candidate[0]) + candidate[1])
        h = (1 - z) * h + z * new
        outputs.append(h)
    assert_close(network(frames), np.stack(outputs, axis=1))
    with pytest.raises(ValueError, match="A convolutional GRU has no sub-goal networks"):
        network(frames, stream="spatial")


@pytest.mark.parametrize("network", [ConvGRUNetwork([3, 2]), ConvLSTMNetwork([3, 2]), SCSNetwork([3, 2])])
def test_states_and_masks_of_the_three_networks(network):
    frames = np.moveaxis(random(2, 4, 5, 5, 2), 1, 0)
    network.build((2, 4, 5, 5, 2))
    outputs, states = network.run(frames, states_at=1)
    again, last = network.run(frames[2:], states=states)
    assert_close(again, outputs[2:])
    mask = np.array([[True, True], [True, False], [False, True], [True, True]])
    masked = network.run(frames, mask=mask)[0]
    alone = network.run(frames[[0, 1, 3]][:, :1])[0]
    assert_close(masked[-1][:1], alone[-1])


# Heads, losses --------------------------------------------------------------------------------------------------------


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def test_map_head_in_numpy():
    head, features = MapHead(), random(2, 3, 4, 4, 5)
    head(features)
    randomize(head)
    (kernel, bias), (end, of_end) = ([to_numpy(each) for each in layer.weights] for layer in (head.cells, head.end))
    pooled = np.concatenate([features.mean(axis=(2, 3)), features.max(axis=(2, 3))], axis=-1)
    logits = np.concatenate([(features @ kernel + bias).reshape(2, 3, 16), pooled @ end + of_end], axis=-1)
    assert_close(head(features), log_softmax(logits))


def test_loss_is_the_mean_log_probability_of_the_true_cells():
    logs = log_softmax(random(2, 3, 17)).astype("float32")
    cells = np.array([[3, 0, 16], [16, 15, 2]])
    expected = -np.take_along_axis(logs, cells[..., None], axis=-1)[..., 0]
    assert_close(CellCrossentropy(4).call(cells, logs), expected)


def test_neighbours_share_the_target():
    logs = np.log(np.full((1, 1, 65), 1 / 65, "float32"))
    mass = np.zeros((8, 8))
    for row in range(8):
        for column in range(8):
            if max(abs(row - 1), abs(column - 4)) <= 2:
                mass[row, column] = np.exp(-((row - 1) ** 2 + (column - 4) ** 2) / (2 * 0.7**2))
    mass = np.append((mass / mass.sum()).ravel(), 0.0)
    other = log_softmax(random(1, 1, 65)).astype("float32")
    loss = CellCrossentropy(8, 0.7)
    assert_close(loss.call(np.array([[12]]), other), -(mass * other[0, 0]).sum()[None, None])
    assert_close(loss.call(np.array([[64]]), other), -other[..., 64])  # the end is never shared
    assert_close(loss.call(np.array([[12]]), logs), np.log([[65.0]]))


def test_a_spread_below_zero_is_refused():
    with pytest.raises(ValueError, match="`spread` is a number of cells, at least 0. Received: spread=-1"):
        CellCrossentropy(4, -1)


def test_cells_of_edges_and_vertices():
    targets = np.array([[1 * 6 + 1, 1 * 6 + 4, 4 * 6 + 4, 36, 36]])  # a right triangle, closed along its diagonal
    edges, vertices = np.moveaxis(to_numpy(edge_and_vertex_cells(targets, 6))[0], -1, 0)
    expected = np.zeros((6, 6))
    expected[1, 1:5] = expected[1:5, 4] = 1
    expected[np.arange(1, 5), np.arange(1, 5)] = 1
    assert np.array_equal(edges, expected)
    assert np.argwhere(vertices).tolist() == [[1, 1], [1, 4], [4, 4]]


# Training -------------------------------------------------------------------------------------------------------------


def gradients(clip_length):
    """Weights after one step, the loss that was told, and the model."""
    keras.utils.set_random_seed(0)
    model = build(**TINY, auxiliary=2.0, clip_length=clip_length, overlap_weight=0.0, learning_rate=1e-2)
    model.run_eagerly = True
    x, y, weight = batch()
    before = [to_numpy(each) for each in model.trainable_variables]
    logs = model.train_on_batch(x, y, sample_weight=weight, return_dict=True)
    changed = [np.abs(to_numpy(new) - old).max() for new, old in zip(model.trainable_variables, before)]
    return model, logs, changed


@pytest.mark.parametrize("clip_length", [None, 3])
def test_auxiliary_heads_add_their_loss_and_learn(clip_length):
    model, logs, changed = gradients(clip_length)
    assert min(changed) > 0  # the heads for edge and vertex cells too
    without = build(**TINY, clip_length=clip_length, overlap_weight=0.0)
    x, y, weight = batch()
    keras.utils.set_random_seed(0)
    twin = build(**TINY, auxiliary=2.0)
    for own, other in zip(
        without.trainable_variables, [v for v in twin.trainable_variables if "auxiliary" not in v.path]
    ):
        own.assign(other)
    without.run_eagerly = True
    main = without.train_on_batch(x, y, sample_weight=weight, return_dict=True)["loss"]
    logits = to_numpy(twin.auxiliary_head(twin.context_encoder(x["image"], training=True)))
    target = to_numpy(edge_and_vertex_cells(y, 4))
    auxiliary = 2.0 * np.mean(np.log1p(np.exp(logits)) - logits * target)
    assert float(logs["loss"]) == pytest.approx(float(main) + auxiliary, rel=1e-4)


def test_what_comes_after_the_end_does_not_count():
    model = build(**TINY)
    x, y, weight = batch()
    loss = float(model.objective.loss("main", model.objective.targets(x, y)["main"], model(x), weight))
    y[weight == 0] = 3
    assert float(model.objective.loss("main", model.objective.targets(x, y)["main"], model(x), weight)) == loss
    logs = to_numpy(model(x))
    assert loss == pytest.approx(-(np.take_along_axis(logs, y[..., None], -1)[..., 0] * weight).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(network="gru"), "There is no network 'gru'"),
        (dict(head="dense"), "There is no head 'dense'"),
        (dict(sub_goals="flow"), "There is no choice of sub_goals 'flow'"),
        (dict(switch="on"), "There is no switch 'on'"),
        (dict(grid=0), "`grid` is a whole number of at least 1"),
        (dict(backbone="resnet"), "There is no backbone 'resnet'"),
        (
            dict(backbone_arguments=dict(weights="imagenet")),
            "There are weights of 'vgg16' alone. Received: 'imagenet' for",
        ),
        (
            dict(network="convlstm", arguments=dict(filters=[3]), switch="stsgd"),
            "Sub-goals and switches are those of semi",
        ),
        (dict(switch="astsgd"), "ASTSGD sets q from the loss of T1"),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**{**TINY, **changes})


def test_shapes_of_a_preset_follow_its_arguments():
    preset = zoo.get_preset("polygon_scs_outline_small_coco").with_arguments(grid=16, steps=20, image_size=(64, 64))
    assert preset.input_shape == {"image": (64, 64, 3), "vertices": (20, 3)} and preset.output_shape == (20, 257)
    assert zoo.get_preset("polygon_scs_outline_small_coco").output_shape == (25, 785)
