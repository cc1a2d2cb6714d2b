"""Convolution, of images and of sequences: one op of the table, and its checks.

Names, argument order and defaults are PyTorch's. float16 is computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import primitives as op
from .arguments import floating
from .errors import ShapeError, describe
from .shapes import each
from .state import scope
from .tensor import Tensor

Pair = int | Sequence[int]
Ends = tuple[tuple[int, int], ...]

# What is said of them, by the number of axes that are windowed
_INPUTS = {1: "sequences are (N, C, L) or (C, L)", 2: "images are (N, C, H, W) or (C, H, W)"}
_KERNELS = {1: "(out_channels, in_channels/groups, k)", 2: "(out_channels, in_channels/groups, kH, kW)"}
_AXES = {1: ("entries",), 2: ("rows", "columns")}


@scope("conv1d")
def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Windows of the padded sequence, each times the kernel, summed (a cross-correlation, as PyTorch's).

    input:    (N, C, L) or (C, L)
    weight:   (O, C/groups, k)
    bias:     (O,), or None
    padding:  zeros at both ends: an int, "valid" (none), or "same" (the output's size is the input's; only with stride 1;
              an odd one goes to the end)
    Raises ``ShapeError`` where channels, groups or sizes do not fit. Returns (N, O, L′) or (O, L′).
    """
    return _convolution("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@scope("conv2d")
def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Windows of the padded image, each times the kernel, summed (a cross-correlation, as PyTorch's).

    input:    (N, C, H, W) or (C, H, W)
    weight:   (O, C/groups, kH, kW)
    bias:     (O,), or None
    padding:  zeros around the image: an int, (rows, columns), "valid" (none), or "same" (the output's size is the
              input's; only with stride 1; an odd one goes below and to the right)
    Raises ``ShapeError`` where channels, groups or sizes do not fit. Returns (N, O, H′, W′) or (O, H′, W′).
    """
    return _convolution("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def _convolution(
    name: str, k: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Tensor:
    x, w = floating(input, name), floating(weight, name, "weight")
    if x.ndim not in (k + 1, k + 2):
        raise ShapeError(f"{name}: input {describe(x)} has {x.ndim} axes; {_INPUTS[k]}. Reshape it.")
    if w.ndim != k + 2:
        raise ShapeError(f"{name}: weight {describe(w)} has {w.ndim} axes; it is {_KERNELS[k]}.")
    outs, size = _channels(name, x, w, k, groups)
    b = None if bias is None else floating(bias, name, "bias")
    if b is not None and b.shape != (outs,):
        raise ShapeError(
            f"{name}: bias {describe(b)} for weight {describe(w)}: one number for each output channel, shape ({outs},)."
        )
    step, spread = each(name, "stride", stride, _AXES[k], 1), each(name, "dilation", dilation, _AXES[k], 1)
    ends = _ends(name, padding, step, [d * (n - 1) for d, n in zip(spread, size)])
    _fits(name, x, size, spread, ends)

    lead = () if x.ndim == k + 1 else x.shape[:1]
    if k == 1:  # an image of one row
        step, spread, ends, w = (1, *step), (1, *spread), ((0, 0), *ends), w.reshape(*w.shape[:2], 1, *size)
    if x.ndim < 4:
        x = x.reshape(*(lead or (1,)), x.shape[-k - 1], *(1,) * (2 - k), *x.shape[-k:])
    out = op.conv2d(x, w, stride=step, padding=ends, dilation=spread, groups=int(groups))
    shape = (*lead, outs, *out.shape[-k:])
    out = out if out.shape == shape else out.reshape(shape)
    return out if b is None else out + b.reshape(outs, *(1,) * k)  # type: ignore[no-any-return]


# Arguments ----------------------------------------------------------------------------------------------


def _channels(name: str, x: Tensor, w: Tensor, k: int, groups: Any) -> tuple[int, tuple[int, ...]]:
    """The output's channels and the kernel's size, if the input's channels and the groups fit."""
    channels, (outs, per_group, *size) = x.shape[-k - 1], w.shape
    if not isinstance(groups, (int, np.integer)) or groups < 1 or channels % groups or outs % groups:
        raise ShapeError(
            f"{name}: groups={describe(groups)} for input {describe(x)} and weight {describe(w)}: "
            f"it is an int that divides the {channels} input channels and the {outs} output channels."
        )
    if per_group * groups != channels:
        raise ShapeError(
            f"{name}: weight {describe(w)} takes {per_group * groups} input channels (with groups={groups}), input {describe(x)} "
            f"has {channels}. The weight's second size must be {channels // groups}."
        )
    if min(size) < 1:
        what = " and ".join(f"one {axis}" for axis in ("row", "column")) if k == 2 else "one entry"
        raise ShapeError(f"{name}: weight {describe(w)}: a kernel has at least {what}.")
    return outs, tuple(size)


def _ends(name: str, padding: Any, stride: Sequence[int], missing: Sequence[int]) -> Ends:
    """How many zeros stand before and after, axis by axis."""
    if not isinstance(padding, str):
        return tuple((n, n) for n in each(name, "padding", padding, _AXES[len(stride)], 0))
    if padding == "valid":
        return ((0, 0),) * len(stride)
    if padding != "same":
        raise ShapeError(f"{name}: padding={padding!r}; it is a number, one for each axis, 'valid' or 'same'.")
    if max(stride) > 1:
        raise ShapeError(f"{name}: padding='same' with stride={tuple(stride)}; only stride 1 keeps the size.")
    return tuple((n // 2, n - n // 2) for n in missing)


def _fits(name: str, x: Tensor, size: Sequence[int], dilation: Sequence[int], ends: Ends) -> None:
    """``ShapeError`` where the kernel is larger than the padded input."""
    k = len(size)
    for n, m, d, (before, after), axis in zip(x.shape[-k:], size, dilation, ends, _AXES[k]):
        if d * (m - 1) + 1 > before + n + after:
            raise ShapeError(
                f"{name}: kernel {tuple(size)} spans {d * (m - 1) + 1} {axis}, input {describe(x)} has {n}"
                f"{f' and {before + after} of padding' if before + after else ''}. Pad more, or take a smaller one."
            )
