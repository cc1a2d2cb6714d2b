"""Functions as modules: activations, pools, losses, dropout. Each holds the options its function is called with.

The options, their order and their usual values are the function's own, which are PyTorch's; so a class here is one line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..engine import ShapeError, Tensor, describe, tensor
from ..engine import functions as F
from ..engine.arguments import floating
from ..engine.losses import constant
from ..engine.shapes import flag
from .module import Module

_CLASS_WEIGHTS = ("weight", "pos_weight")


class Applied(Module):
    """What calls a function of ``inputs`` tensors with the options it was made with.

    of:       the function
    order:    its options, in the order PyTorch's module takes them, where that is another or where it has fewer
    usual:    values that are usual for the module and not for the function
    inplace:  PyTorch's module takes ``inplace``; a record is not written into, so here it changes nothing
    """

    _function: Callable[..., Tensor]
    _options: tuple[str, ...]
    __signature__: inspect.Signature

    def __init_subclass__(
        cls,
        of: Callable[..., Any] | None = None,
        inputs: int = 1,
        order: str | None = None,
        usual: Mapping[str, Any] | None = None,
        inplace: bool = False,
        **named: Any,
    ) -> None:
        super().__init_subclass__(**named)
        if of is None:
            return
        known = dict(list(inspect.signature(of).parameters.items())[inputs:])
        options = [known[n] for n in (known if order is None else order.split())]
        options = [p.replace(default=(usual or {}).get(p.name, p.default)) for p in options]
        cls._function, cls._options = staticmethod(of), tuple(p.name for p in options)
        if inplace:
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            options.append(inspect.Parameter("inplace", kind, default=False, annotation="bool"))
        cls.__signature__ = inspect.Signature(options)

    def __init__(self, *given: Any, **named: Any) -> None:
        kind = type(self).__name__
        try:
            bound = self.__signature__.bind(*given, **named)
        except TypeError as error:
            raise TypeError(f"{kind}.__init__() {_as_python_says(str(error), len(given), self.__signature__)}") from None
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if name == "inplace":
                value = flag(kind, name, value)
            elif name in _CLASS_WEIGHTS and value is not None:
                value = tensor(floating(constant(kind, name, value), kind, name), name=name)
            setattr(self, name, value)

    def _apply(self, *inputs: Any) -> Any:
        return type(self)._function(*inputs, **{n: getattr(self, n) for n in self._options})

    def forward(self, input: Any) -> Any:
        return self._apply(input)


def _as_python_says(fault: str, given: int, signature: inspect.Signature) -> str:
    """What is wrong with a call, in the words that Python has for a function with this signature."""
    most = 1 + len(signature.parameters)
    least = 1 + sum(p.default is p.empty for p in signature.parameters.values())
    if fault == "too many positional arguments":
        count = f"{most}" if least == most else f"from {least} to {most}"
        return f"takes {count} positional argument{'s' if most > 1 else ''} but {given + 1} were given"
    if "required" in fault:
        return f"missing 1 required positional argument: {fault.rpartition(': ')[2]}"
    return fault if fault.startswith("got") else f"got {fault}"


# Activations --------------------------------------------------------------------------------------------------------


class ReLU(Applied, of=F.relu, inplace=True):
    """max(x, 0)."""


class ReLU6(Applied, of=F.relu6, inplace=True):
    """min(max(x, 0), 6)."""


class LeakyReLU(Applied, of=F.leaky_relu, inplace=True):
    """x above 0, ``negative_slope``·x below."""


class ELU(Applied, of=F.elu, inplace=True):
    """x above 0, ``alpha``·(exp(x) − 1) below."""


class CELU(Applied, of=F.celu, inplace=True):
    """x above 0, ``alpha``·(exp(x/alpha) − 1) below."""


class SELU(Applied, of=F.selu, inplace=True):
    """ELU scaled so that mean 0 and variance 1 are kept from layer to layer (Klambauer et al. 2017, arXiv:1706.02515)."""


class GELU(Applied, of=F.gelu):
    """x·Φ(x); ``approximate="tanh"`` for the formula by tanh."""


class SiLU(Applied, of=F.silu, inplace=True):
    """x·sigmoid(x)."""


class Tanh(Applied, of=F.tanh):
    """tanh(x)."""


class Sigmoid(Applied, of=F.sigmoid):
    """1/(1 + exp(−x))."""


class LogSigmoid(Applied, of=F.logsigmoid):
    """log(sigmoid(x))."""


class Softplus(Applied, of=F.softplus):
    """log(1 + exp(β·x))/β; x itself where β·x is above ``threshold``."""


class Hardtanh(Applied, of=F.hardtanh, inplace=True):
    """x, but not below ``min_val`` and not above ``max_val``."""


class GLU(Applied, of=F.glu):
    """The first half times the sigmoid of the second, along ``dim``."""


# Form ---------------------------------------------------------------------------------------------------------------


class Flatten(Applied, of=F.flatten, usual={"start_dim": 1}):
    """The axes from ``start_dim`` to ``end_dim`` as one."""


class Identity(Module):
    """x. Whatever it is made with is of no account, as in PyTorch: it stands where another layer might."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input


# Pools --------------------------------------------------------------------------------------------------------------

_MAX = "kernel_size stride padding dilation return_indices ceil_mode"


class MaxPool1d(Applied, of=F.max_pool1d, order=_MAX):
    """The largest entry of each window of (N, C, L) or (C, L)."""


class MaxPool2d(Applied, of=F.max_pool2d, order=_MAX):
    """The largest entry of each window of (N, C, H, W) or (C, H, W)."""


class AvgPool1d(Applied, of=F.avg_pool1d):
    """The mean of each window of (N, C, L) or (C, L)."""


class AvgPool2d(Applied, of=F.avg_pool2d):
    """The mean of each window of (N, C, H, W) or (C, H, W)."""


class AdaptiveAvgPool1d(Applied, of=F.adaptive_avg_pool1d):
    """Means of as many windows as ``output_size`` says."""


class AdaptiveAvgPool2d(Applied, of=F.adaptive_avg_pool2d):
    """Means of as many windows as ``output_size`` says; 1 is the mean over all places."""


class AdaptiveMaxPool1d(Applied, of=F.adaptive_max_pool1d):
    """Maxima of as many windows as ``output_size`` says."""


class AdaptiveMaxPool2d(Applied, of=F.adaptive_max_pool2d):
    """Maxima of as many windows as ``output_size`` says."""


# Losses: called with what was predicted and what was wanted ----------------------------------------------------------


class _Loss(Applied):
    def forward(self, input: Any, target: Any) -> Any:  # type: ignore[override]
        return self._apply(input, target)


class MSELoss(_Loss, of=F.mse_loss, inputs=2, order="reduction"):
    """(input − target)²."""


class L1Loss(_Loss, of=F.l1_loss, inputs=2, order="reduction"):
    """|input − target|."""


class SmoothL1Loss(_Loss, of=F.smooth_l1_loss, inputs=2):
    """Squared below ``beta``, absolute above."""


class HuberLoss(_Loss, of=F.huber_loss, inputs=2, order="reduction delta"):
    """Squared below ``delta``, absolute above."""


class NLLLoss(_Loss, of=F.nll_loss, inputs=2):
    """−input at the target's class: for log-probabilities."""


class BCELoss(_Loss, of=F.binary_cross_entropy, inputs=2):
    """−target·log(input) − (1 − target)·log(1 − input): for probabilities."""


class BCEWithLogitsLoss(_Loss, of=F.binary_cross_entropy_with_logits, inputs=2):
    """The same for logits, which keeps its digits."""


class KLDivLoss(_Loss, of=F.kl_div, inputs=2):
    """target·(log(target) − input), input a log-probability."""


# Dropout ------------------------------------------------------------------------------------------------------------


class Dropout(Applied, of=F.dropout, order="p", inplace=True):
    """In training each entry is 0 with the probability ``p``, else 1/(1 − p) times itself. See ``tn.functional.dropout``."""

    p: float

    def forward(self, input: Any) -> Any:
        return F.dropout(input, self.p, self.training)


class _WholeChannels(Dropout):
    places: int

    def forward(self, input: Any) -> Any:
        name = type(self).__name__
        x = floating(input, name)
        if x.ndim not in (self.places + 1, self.places + 2):
            axes = ("L",) if self.places == 1 else ("H", "W")
            raise ShapeError(
                f"{name}: input {describe(x)}; it is (N, C, {', '.join(axes)}) or (C, {', '.join(axes)}). "
                "Dropout takes any shape, entry by entry."
            )
        shape = (*x.shape[: x.ndim - self.places], *(1,) * self.places)
        return x * F.dropout(Tensor(np.ones(shape, x.dtype)), self.p, self.training)


class Dropout1d(_WholeChannels):
    """Dropout of whole channels of (N, C, L) or (C, L); ``ShapeError`` for another number of axes."""

    places = 1


class Dropout2d(_WholeChannels):
    """Dropout of whole channels of (N, C, H, W) or (C, H, W); ``ShapeError`` for another number of axes.

    Of three axes PyTorch takes the second for the channels, with a warning that this will change to (C, H, W)."""

    places = 2
