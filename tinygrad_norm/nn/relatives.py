"""The relatives of the normalizations as modules, none of which learns anything: PyTorch's constructors, and ``backward``."""

from __future__ import annotations

from typing import Any

from ..engine import Tensor, tensor
from ..engine.arguments import floating
from ..norms import cosine_similarity, cross_entropy, local_response_norm, log_softmax, normalize, softmax
from .module import Module


class Softmax(Module):
    """exp(x)/Σexp(x) along ``dim``: an axis, or several together. See ``tn.functional.softmax``; raises as it does.

    (PyTorch lets ``dim`` out, guesses it and warns.)
    """

    def __init__(self, dim: Any, backward: str = "recorded") -> None:
        self.dim, self.backward = dim, backward

    def forward(self, input: Tensor) -> Tensor:
        return softmax(input, self.dim, self.backward)


class LogSoftmax(Module):
    """x − log Σexp(x) along ``dim``: an axis, or several together. See ``tn.functional.log_softmax``; raises as it does."""

    def __init__(self, dim: Any, backward: str = "recorded") -> None:
        self.dim, self.backward = dim, backward

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
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing
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
        self.dim, self.eps, self.backward = dim, eps, backward

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return cosine_similarity(x1, x2, self.dim, self.eps, self.backward)


class LocalResponseNorm(Module):
    """x/(k + α/n·Σx²)^β over ``size`` neighbouring channels of (N, C, L, …). See ``tn.functional.local_response_norm``;
    raises as it does."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, backward: str = "recorded") -> None:
        self.size, self.alpha, self.beta, self.k, self.backward = size, alpha, beta, k, backward

    def forward(self, input: Tensor) -> Tensor:
        return local_response_norm(input, self.size, self.alpha, self.beta, self.k, self.backward)


class Normalize(Module):
    """x/max(‖x‖ₚ, ε) along ``dim``: L2 normalization, unless p says otherwise. PyTorch has the function only, whose
    arguments these are. See ``tn.functional.normalize``; raises as it does."""

    def __init__(self, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, backward: str = "recorded") -> None:
        self.p, self.dim, self.eps, self.backward = p, dim, eps, backward

    def forward(self, input: Tensor) -> Tensor:
        return normalize(input, self.p, self.dim, self.eps, self.backward)
