"""Local response normalization: each value is divided by what its neighbouring channels respond at the same place.

    s = k + α/n·Σ x²    over the n channels around; fewer at the ends, but the divisor stays n
    y = x·s^(−β)

Axes        (N, C, L, …): the window goes over axis 1. For channel c it is c − n//2 … c + (n − 1)//2, so an even one has its
            odd channel before c; ONNX's LRN has it after
ε           none; k keeps s away from 0. k = 1 (PyTorch, ONNX, TensorFlow's ``bias``), 2 in the paper
α, β        1e-4 and 0.75. The paper and TensorFlow do not divide α by n. TensorFlow's defaults are 1 and 0.5, and its
            ``depth_radius`` r stands for n = 2r + 1
parameters  none

Backward, where window* are the channels in whose window c is, c − (n − 1)//2 … c + n//2:

    dx = dy·s^(−β) − 2αβ/n·x·Σ_window* dy·x·s^(−β−1)

The window* of an odd n is the window; of an even n it is the window's mirror image.

Source: Krizhevsky, Sutskever, Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", sec. 3.3.
"""

from __future__ import annotations

from typing import Any

from ..engine import Op, Tensor, scope
from ..engine.arguments import floating
from ..engine.arrays import Array
from ..engine.primitives import pad, reshape, sum, windows
from .arguments import channels, is_analytic, narrow, node_for, number, widen
from .ranges import power_of_two, shrunk
from .registry import Norm, by_name, register


@scope("local response norm")
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, backward: str = "recorded"
) -> Tensor:
    """LRN over neighbouring channels, with PyTorch's signature; see the file's head for the formula.

    input:     float tensor, (N, C, L, …)
    size:      n, the number of channels in a window
    alpha:     the weight of the window's mean square
    beta:      the exponent
    k:         what is added to it
    backward:  "recorded" or "analytic"

    Returns a tensor of the input's shape; float16 is computed in float32. Raises ``ShapeError`` for fewer than 3 axes, ``OptionError`` for
    a window of no channel, ``DTypeError`` for an integer input.
    """
    x = floating(input, "local_response_norm")
    channels("local_response_norm", x, 3)
    size = number("local_response_norm", "size", size, least=1, whole=True)  # of channels in a window
    alpha, beta, k = (number("local_response_norm", what, p) for what, p in (("alpha", alpha), ("beta", beta), ("k", k)))
    how: dict[str, Any] = {"size": size, "alpha": alpha, "beta": beta, "k": k}
    if is_analytic("local_response_norm", backward):
        return node_for(ANALYTIC, backward)(x, **how)  # type: ignore[no-any-return]
    wide = widen(x)
    with scope("neighbours"):
        s = (over(wide**2, *_around(size)).named("Σx²") * (alpha / size) + k).named("s")
        scale = _too_large(s, wide, beta)
        if scale is not None:
            wide = wide / scale
            s = (over(wide**2, *_around(size)).named("Σx²") * (alpha / size) + shrunk(k, scale, 2)).named("s")
    with scope("normalize"):
        y: Tensor = wide * s**-beta
        if scale is not None:
            y = y * scale ** (1 - 2 * beta)
    return narrow(y, x)  # type: ignore[no-any-return]


def _too_large(s: Any, x: Any, beta: float) -> Array | None:
    """For each place, a power of two near the largest |x| of its channels, where s^(β+1) would leave the dtype's range."""
    return power_of_two(s, x, (1,), most=(1 / (abs(beta) + 2)))


def _around(size: int) -> tuple[int, int]:
    return size // 2, (size - 1) // 2


def over(x: Any, before: int, after: int) -> Any:
    """For each channel, the sum over itself, the ``before`` ones before it and the ``after`` ones after it."""
    if 0 in x.shape:
        return x
    rest = len(x.shape) - 2
    x_padded = pad(x, width=((0, 0), (before, after), *((0, 0),) * rest), value=0.0)
    ones = (1,) * rest
    view = windows(x_padded, size=(before + 1 + after, *ones), stride=(1, *ones), dilation=(1, *ones))
    return reshape(sum(view, axis=tuple(range(len(x.shape), len(view.shape)))), shape=tuple(x.shape))


# The hand-derived node ------------------------------------------------------------------------------------------


def _dx(g: Any, out: Any, x: Any, *, size: int, alpha: float, beta: float, k: float) -> Any:
    x, g, (before, after) = widen(x), widen(g), _around(size)
    s = over(x**2, before, after) * (alpha / size) + k
    scale = _too_large(s, x, beta)
    if scale is not None:
        how: dict[str, Any] = {"size": size, "alpha": alpha, "beta": beta, "k": shrunk(k, scale, 2)}
        return _dx(g, out, x / scale, **how) * scale**-beta * scale**-beta  # their product may be no normal number
    return g * s**-beta - x * (2 * alpha * beta / size) * over(g * x * s ** (-beta - 1), after, before)


def _forward(x: Any, *, size: int, alpha: float, beta: float, k: float) -> Any:
    wide = widen(x)
    s = over(wide**2, *_around(size)) * (alpha / size) + k
    scale = _too_large(s, wide, beta)
    if scale is not None:
        how: dict[str, Any] = {"size": size, "alpha": alpha, "beta": beta, "k": shrunk(k, scale, 2)}
        return narrow(_forward(wide / scale, **how) * scale ** (1 - 2 * beta), x)
    return narrow(wide * s**-beta, x)


ANALYTIC = Op("local_response_norm", "LRN({0})", _forward, (_dx,))


NORM = register(
    Norm(
        name="local_response_norm",
        title="Local response normalization",
        apply=by_name(local_response_norm),
        parameters=lambda shape, **options: {},
        symbols={"input": "x"},
        options={"size": 3, "alpha": 1e-4, "beta": 0.75, "k": 1.0},
        shape=(2, 5, 3),
        samples=(
            {"size": 4, "alpha": 2.0, "beta": 0.5, "k": 0.5},  # with the usual α the neighbours hardly count
            {"size": 3, "alpha": 2.0, "shape": (2, 4, 2, 3)},
            {"size": 2, "alpha": 1.5, "beta": 1.0, "shape": (1, 6, 2)},
            {"size": 9, "alpha": 3.0},
        ),
        min_ndim=3,
        formula="y = x/(k + α/n·Σ x²)^β, over n neighbouring channels",
        backward_formula="dx = dy·s^(−β) − 2αβ/n·x·Σ dy·x·s^(−β−1),  over the channels whose window it is in",
        references=(
            "Krizhevsky, Sutskever, Hinton 2012, ImageNet Classification with Deep Convolutional Neural Networks, sec. 3.3",
        ),
    )
)
