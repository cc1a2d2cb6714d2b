"""The relatives of the normalizations as modules, none of which learns anything: PyTorch's constructors, and ``backward``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import ShapeError, Tensor, describe, tensor
from ..engine.arguments import floating
from ..norms import cosine_similarity, cross_entropy, local_response_norm, log_softmax, normalize, softmax
from ..norms.arguments import choice, is_analytic, number
from .module import Module


def axes(name: str, dim: Any) -> Any:
    """An axis, or several; ``ShapeError`` for what is none, and for no axis."""
    several = dim if isinstance(dim, (tuple, list)) else (dim,)
    if not several or any(isinstance(a, (bool, np.bool_)) or not isinstance(a, (int, np.integer)) for a in several):
        raise ShapeError(f"{name}: dim={describe(dim)}; name the axis along which it goes, or several: mostly dim=-1.")
    return dim


class Softmax(Module):
    """exp(x)/Σexp(x) along ``dim``: an axis, or several together. See ``tn.functional.softmax``; raises as it does.

    (PyTorch lets ``dim`` out, guesses it and warns.)
    """

    def __init__(self, dim: Any, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        self.dim, self.backward = axes(name, dim), backward

    def extra_repr(self) -> str:
        return f"dim={self.dim}"

    def forward(self, input: Tensor) -> Tensor:
        return softmax(input, self.dim, self.backward)


class LogSoftmax(Module):
    """x − log Σexp(x) along ``dim``: an axis, or several together. See ``tn.functional.log_softmax``; raises as it does."""

    def __init__(self, dim: Any, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        self.dim, self.backward = axes(name, dim), backward

    def extra_repr(self) -> str:
        return f"dim={self.dim}"

    def forward(self, input: Tensor) -> Tensor:
        return log_softmax(input, self.dim, self.backward)


class CrossEntropyLoss(Module):
    """−Σ target·log softmax(input) over the classes. See ``tn.functional.cross_entropy``; raises as it does.

    weight: a number for each class, (C,), copied; a buffer, so ``state_dict`` has it, or None. What comes after it has to be
    named: PyTorch's next positions are its deprecated ``size_average`` and ``reduce``, which are not there.
    """

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        backward: str = "recorded",
    ) -> None:
        self.weight = None if weight is None else tensor(floating(weight, "CrossEntropyLoss", "weight"), name="w")
        name = "CrossEntropyLoss"
        is_analytic(name, backward)
        self.ignore_index = number(name, "ignore_index", ignore_index, whole=True)
        self.reduction = choice(name, "reduction", reduction, ("none", "mean", "sum"))
        self.label_smoothing = number(name, "label_smoothing", label_smoothing, 0, 1)
        self.backward = backward

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """input: logits (C,), (N, C) or (N, C, d1, …); target: class indices without C, or probabilities of its shape."""
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            backward=self.backward,
        )


class CosineSimilarity(Module):
    """Σ x1·x2/(max(‖x1‖, ε)·max(‖x2‖, ε)) along ``dim``. See ``tn.functional.cosine_similarity``; raises as it does."""

    def __init__(self, dim: int = 1, eps: float = 1e-8, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        self.dim, self.eps, self.backward = number(name, "dim", dim, whole=True), number(name, "eps", eps), backward

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return cosine_similarity(x1, x2, self.dim, self.eps, self.backward)


class LocalResponseNorm(Module):
    """x/(k + α/n·Σx²)^β over ``size`` neighbouring channels of (N, C, L, …). See ``tn.functional.local_response_norm``;
    raises as it does."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        self.size = number(name, "size", size, 1, whole=True)
        self.alpha, self.beta, self.k = (number(name, n, v) for n, v in (("alpha", alpha), ("beta", beta), ("k", k)))
        self.backward = backward

    def forward(self, input: Tensor) -> Tensor:
        return local_response_norm(input, self.size, self.alpha, self.beta, self.k, self.backward)


class Normalize(Module):
    """x/max(‖x‖ₚ, ε) along ``dim``: L2 normalization, unless p says otherwise. PyTorch has the function only, whose
    arguments these are. See ``tn.functional.normalize``; raises as it does."""

    def __init__(self, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        self.p, self.eps = number(name, "p", p, above=0), number(name, "eps", eps)
        self.dim, self.backward = axes(name, dim), backward

    def forward(self, input: Tensor) -> Tensor:
        return normalize(input, self.p, self.dim, self.eps, self.backward)
