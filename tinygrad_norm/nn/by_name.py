"""Normalizations of the last axis by their names in ``tn.functional``, for the layers that take any of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..engine import OptionError, Tensor, describe
from ..engine.errors import speaking_as
from .applied import Identity
from .batch_norms import BatchNorm1d
from .dyt import DynamicTanh
from .layer_norms import AdaNorm, DetachNorm, LayerNorm, RMSNorm
from .module import Module
from .relatives import Normalize
from .renorms import PowerNorm, PowerNormV
from .responses import ScaleNorm

Maker = Callable[..., Module]


class _Tokens(Module):
    """Of (*, C), every token of every sample counts as one of the batch."""

    def forward(self, input: Tensor) -> Tensor:
        x = input if input.ndim == 2 else input.reshape(-1, input.shape[-1])
        y: Tensor = super().forward(x)
        return y if input.ndim == 2 else y.reshape(input.shape)


class TokenBatchNorm(_Tokens, BatchNorm1d):
    """BatchNorm over everything but the last axis."""


class TokenPowerNorm(_Tokens, PowerNorm):
    """PowerNorm over everything but the last axis."""


class TokenPowerNormV(_Tokens, PowerNormV):
    """PowerNorm by the batch's own statistic over everything but the last axis."""


EACH: dict[str, Maker] = {
    "none": lambda size, **how: Identity(),
    "layer_norm": LayerNorm,
    "rms_norm": RMSNorm,
    "detach_norm": DetachNorm,
    "scale_norm": ScaleNorm,
    "dynamic_tanh": DynamicTanh,
    "ada_norm": lambda size, backward="recorded", **how: AdaNorm(size, backward=backward),
    "normalize": lambda size, backward="recorded", **how: Normalize(dim=-1, backward=backward),
}
"""Those that take each vector by itself."""

ACROSS: dict[str, Maker] = {"batch_norm": TokenBatchNorm, "power_norm_v": TokenPowerNormV, "power_norm": TokenPowerNorm}
"""Those that look at the other vectors of the batch, too."""


def named(norm: Any) -> bool:
    """Whether there is one at all."""
    return not (isinstance(norm, str) and norm == "none")


def norm_of(name: str, norm: Any, size: int, across: bool = True, **how: Any) -> Module:
    """The normalization called ``norm`` for vectors of ``size`` numbers; for a layer ``name`` that takes those across the batch or not.

    how: ``dtype``, ``backward``, and ``eps`` where the norm has one. A function ``size -> module`` is called. Raises
    ``OptionError`` for a name that is none of them.
    """
    if callable(norm):
        made = norm(size)
        if not isinstance(made, Module):
            raise OptionError(
                f"{name}: norm is a function that makes {describe(made)} of the size {size}; it must make a module, such as "
                "lambda size: nn.LayerNorm(size)."
            )
        return made
    known = {**EACH, **ACROSS} if across else EACH
    if not isinstance(norm, str) or norm not in known:
        raise OptionError(
            f"{name}: norm={describe(norm)}; it is one of {', '.join(known)}, or a function of the size that makes a module."
        )
    maker = known[norm]
    takes = inspect.signature(maker).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    with speaking_as(name):
        return maker(size, **{n: v for n, v in how.items() if open_ended or n in takes})
