"""The translators between SimVP's encoder and decoder, which see all frames at once: gSTA, TAU and IncepU.

Images are (batch, height, width, time * channels), channel index t * channels + c. Layers make their weights in
`__init__` and say so (`built`): Keras would otherwise trace each once more to find out.
"""

import keras
import numpy as np
from keras import initializers, ops, random

from scs_keras.zoo.pytorch_weights import ReferenceWeight, layer_weights
from scs_keras.zoo.video_prediction.convolutions import (
    batch_normalization,
    convolution,
    dense,
    depthwise,
    group_normalization,
)

# N(0, sqrt(2 / fan_out)). Depthwise kernels have a fan_out of their size in Keras too.
FAN_OUT = initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


class DropPath(keras.Layer):
    """Stochastic depth: in training, drops whole samples with probability `rate` and scales the others up."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate
        self.seed_generator = random.SeedGenerator()
        self.built = True

    def call(self, x, training=None):
        if not training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        kept = random.uniform(shape, seed=self.seed_generator) < keep
        return x * ops.cast(kept, x.dtype) / keep


class Attention(keras.Layer):
    """proj_2(unit(GELU(proj_1(n)))) + n; the unit multiplies its input by an attention.

    A large kernel in pieces: a = DW 7x7 dilation 3 (DW 5x5 (u)), then

        gSTA   [f, g] = split(Conv 1x1 (a)),       unit = sigmoid(g) * f
        TAU    SA = Conv 1x1 (a), DA = sigmoid(W2 relu(W1 mean(u))),     unit = SA * DA * u      (TAU's Eq. 2)

    Args:
        channels: of input and output.
        kind: "gSTA" or "TAU".
        static, dynamic: TAU's ablations: without SA or DA it is 1.
    """

    def __init__(self, channels, kind, static=True, dynamic=True):
        super().__init__()
        self.gated = kind == "gSTA"
        self.static, self.dynamic = static, dynamic and not self.gated
        # The reference puts TAU's attention in place after it has initialised the block: it keeps PyTorch's values.
        initial = dict(initializer=FAN_OUT if self.gated else None)
        self.proj_1 = convolution(channels, channels, **initial)
        self.proj_2 = convolution(channels, channels, **initial)
        if static:
            self.local = depthwise(channels, 5, **initial)
            self.wide = depthwise(channels, 7, dilation=3, **initial)
            self.mix = convolution(channels, channels * 2 if self.gated else channels, **initial)
        if self.dynamic:
            hidden = channels // max(channels // 16, 4)
            self.squeeze, self.excite = dense(channels, hidden), dense(hidden, channels)
        self.built = True

    def call(self, n):
        return self.proj_2(self.unit(ops.gelu(self.proj_1(n), approximate=False))) + n

    def unit(self, u):
        attention = self.mix(self.wide(self.local(u))) if self.static else 1.0
        if self.gated:
            features, gate = ops.split(attention, 2, axis=-1)
            return ops.sigmoid(gate) * features
        if self.dynamic:
            mean = ops.mean(u, axis=(1, 2))  # (batch, channels)
            attention = attention * ops.sigmoid(self.excite(ops.relu(self.squeeze(mean))))[:, None, None]
        return attention * u

    def reference_weights(self, name):
        weights = layer_weights(f"{name}.proj_1", self.proj_1) | layer_weights(f"{name}.proj_2", self.proj_2)
        unit = f"{name}.spatial_gating_unit"
        if self.static:
            weights |= layer_weights(f"{unit}.conv0", self.local, "depthwise")
            weights |= layer_weights(f"{unit}.conv_spatial", self.wide, "depthwise")
            weights |= layer_weights(f"{unit}.conv1", self.mix)
        if self.dynamic:
            weights |= layer_weights(f"{unit}.fc.0", self.squeeze, "dense")
            weights |= layer_weights(f"{unit}.fc.2", self.excite, "dense")
        return weights


class MixMlp(keras.Layer):
    """Conv 1x1 to `ratio` times the channels, DW 3x3, GELU, dropout, Conv 1x1 back, dropout."""

    def __init__(self, channels, ratio, drop):
        super().__init__()
        hidden = int(channels * ratio)
        self.widen = convolution(channels, hidden, initializer=FAN_OUT)
        self.local = depthwise(hidden, 3, initializer=FAN_OUT)
        self.narrow = convolution(hidden, channels, initializer=FAN_OUT)
        self.dropout = keras.layers.Dropout(drop)
        self.built = True

    def call(self, x, training=None):
        hidden = self.dropout(ops.gelu(self.local(self.widen(x)), approximate=False), training=training)
        return self.dropout(self.narrow(hidden), training=training)

    def reference_weights(self, name):
        return {
            **layer_weights(f"{name}.fc1", self.widen),
            **layer_weights(f"{name}.dwconv.dwconv", self.local, "depthwise"),
            **layer_weights(f"{name}.fc2", self.narrow),
        }


class MetaBlock(keras.Layer):
    """x = x + DropPath(l1 * Attention(BN(x))); x = x + DropPath(l2 * MixMlp(BN(x))); Conv 1x1 if the width changes."""

    def __init__(self, channels, filters, mlp_ratio, drop, drop_path, **attention):
        super().__init__()
        self.norm1, self.norm2 = batch_normalization(channels), batch_normalization(channels)
        self.attention = Attention(channels, **attention)
        self.mlp = MixMlp(channels, mlp_ratio, drop)
        self.drop_path = DropPath(drop_path)
        scale = dict(shape=(channels,), initializer=initializers.Constant(1e-2))
        self.scale1, self.scale2 = (self.add_weight(name=f"scale{i}", **scale) for i in (1, 2))
        self.reduction = convolution(channels, filters) if filters != channels else None
        self.built = True

    def call(self, x, training=None):
        x = x + self.drop_path(self.scale1 * self.attention(self.norm1(x, training=training)), training=training)
        mixed = self.mlp(self.norm2(x, training=training), training=training)
        x = x + self.drop_path(self.scale2 * mixed, training=training)
        return x if self.reduction is None else self.reduction(x)

    def reference_weights(self, name):
        return {
            f"{name}.block.layer_scale_1": ReferenceWeight(self.scale1),
            f"{name}.block.layer_scale_2": ReferenceWeight(self.scale2),
            **layer_weights(f"{name}.block.norm1", self.norm1),
            **self.attention.reference_weights(f"{name}.block.attn"),
            **layer_weights(f"{name}.block.norm2", self.norm2),
            **self.mlp.reference_weights(f"{name}.block.mlp"),
            **(layer_weights(f"{name}.reduction", self.reduction) if self.reduction else {}),
        }


class MetaTranslator(keras.Layer):
    """N_T blocks of widths channels, hid_T, ..., hid_T, channels; each works at its input's width.

    Stochastic depth rises linearly from `first_drop_path` to `drop_path`; the reference starts at 0.01 even
    where `drop_path` is 0.
    """

    def __init__(self, channels, hid_T, N_T, drop_path=0.0, first_drop_path=0.01, **block):
        super().__init__()
        widths = [channels, *[hid_T] * (N_T - 1), channels]
        rates = np.linspace(first_drop_path, drop_path, N_T).tolist()
        self.blocks = [
            MetaBlock(width, following, drop_path=rate, **block)
            for width, following, rate in zip(widths, widths[1:], rates)
        ]
        self.built = True

    def call(self, x, training=None):
        for block in self.blocks:
            x = block(x, training=training)
        return x

    def reference_weights(self, name):
        return {
            key: weight
            for index, block in enumerate(self.blocks)
            for key, weight in block.reference_weights(f"{name}.enc.{index}").items()
        }


class Inception(keras.Layer):
    """Conv 1x1 to `hidden`, then the sum over kernels of LeakyReLU(GroupNorm(grouped convolution))."""

    KERNELS, GROUPS = (3, 5, 7, 11), 8

    def __init__(self, channels, hidden, filters):
        super().__init__()
        self.entry = convolution(channels, hidden)
        self.branches = [convolution(hidden, filters, size, groups=self.GROUPS) for size in self.KERNELS]
        self.norms = [group_normalization(self.GROUPS, filters) for _ in self.KERNELS]
        self.built = True

    def call(self, x):
        x = self.entry(x)
        return sum(ops.leaky_relu(norm(branch(x)), 0.2) for branch, norm in zip(self.branches, self.norms))

    def reference_weights(self, name):
        weights = layer_weights(f"{name}.conv1", self.entry)
        for index, (branch, norm) in enumerate(zip(self.branches, self.norms)):
            weights |= layer_weights(f"{name}.layers.{index}.conv", branch)
            weights |= layer_weights(f"{name}.layers.{index}.norm", norm)
        return weights


class InceptionTranslator(keras.Layer):
    """IncepU: N_T Inception blocks down and N_T up, each of the latter but the first with the former's output."""

    def __init__(self, channels, hid_T, N_T):
        super().__init__()
        hidden = hid_T // 2
        self.encoder = [Inception(channels if i == 0 else hid_T, hidden, hid_T) for i in range(N_T)]
        self.decoder = [
            Inception(hid_T if i == 0 else 2 * hid_T, hidden, channels if i == N_T - 1 else hid_T) for i in range(N_T)
        ]
        self.built = True

    def call(self, x, training=None):
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        x = self.decoder[0](skips.pop())
        for block in self.decoder[1:]:
            x = block(ops.concatenate([x, skips.pop()], axis=-1))
        return x

    def reference_weights(self, name):
        return {
            key: weight
            for part, blocks in (("enc", self.encoder), ("dec", self.decoder))
            for index, block in enumerate(blocks)
            for key, weight in block.reference_weights(f"{name}.{part}.{index}").items()
        }
