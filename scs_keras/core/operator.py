"""The operator "Conv" of Eq. 4 and 5: a dense map (rank 0) or a convolution (rank 1, 2 or 3)."""

from typing import Any

from keras import ops

from scs_keras.core.arguments import Tensor, is_count


def integer_tuple(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """`value` as a tuple of `rank` positive integers.

    Raises:
        ValueError: if it is neither a positive integer nor a sequence of `rank` of them.
    """
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank
    if len(values) != rank or not all(is_count(v) for v in values):
        raise ValueError(
            f"`{name}` must be a positive integer or a tuple of {rank} positive integers "
            f"for rank {rank}. Received: {name}={value!r}. For example: {name}={(3,) * rank}."
        )
    return tuple(int(v) for v in values)


def apply_operator(inputs: Tensor, kernel: Tensor, strides: int | tuple[int, ...] = 1, padding: str = "same") -> Tensor:
    """Conv(inputs; kernel), channels last; a kernel with two axes is a dense map."""
    kernel = ops.cast(kernel, inputs.dtype)
    if len(kernel.shape) == 2:
        return ops.matmul(inputs, kernel)
    return ops.conv(inputs, kernel, strides=strides, padding=padding, data_format="channels_last")


@ops.custom_gradient
def add_bias(values: Tensor, bias: Tensor) -> Any:
    """values (..., F) + bias (F,). The gradient of the bias is a product with ones: several times faster than the
    sum over all other axes that a backend would make of it."""

    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        flat = ops.reshape(upstream, (-1, upstream.shape[-1]))
        ones = ops.ones((1, ops.shape(flat)[0]), dtype=flat.dtype)
        return upstream, ops.matmul(ones, flat)[0]

    return values + bias, gradient


def output_size(size: Any, kernel_size: int, strides: int, padding: str) -> Any:
    """Output length along one axis; `size` may be None, an integer or a scalar tensor.

    Raises:
        ValueError: if the padding is "valid" and the kernel is known not to fit in.
    """
    if size is None:
        return None
    if padding == "same":
        return (size + strides - 1) // strides
    if isinstance(size, int) and size < kernel_size:
        raise ValueError(
            "With padding='valid' a frame must be at least as large as the kernel. "
            f"Received: {size} pixels along an axis where the kernel has {kernel_size}. Use padding='same', "
            "a smaller kernel_size or larger frames."
        )
    return (size - kernel_size) // strides + 1
