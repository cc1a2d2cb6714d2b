"""Layers whose weight is computed anew from what is learned, in every forward pass and on the record.

Each wraps a layer that has a ``weight`` and a method ``forward_with(weight, input)``: ``Linear``, ``Conv2d``. The layer's
own parameter becomes part of what is learned; ``.weight`` is what it computes with. Keys of ``state_dict`` are those
PyTorch's parametrizations have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine import DTypeError, Tensor
from ..norms.arguments import flag, is_analytic, number
from ..norms.spectral_norm import matrix_shape, power_iteration, spectral_norm
from ..norms.weight_norm import norm_axes, weight_norm
from ..norms.weight_standardization import weight_standardization
from .module import Module
from .parameters import ones, seeded


class _Derived(Module):
    """A layer that computes with ``derive()`` in place of its weight."""

    def __init__(self, layer: Any, backward: str) -> None:
        if not isinstance(getattr(layer, "weight", None), Tensor) or not hasattr(layer, "forward_with"):
            raise DTypeError(
                f"{type(self).__name__}: {type(layer).__name__} is no layer that it can wrap: that has a tensor weight and "
                "forward_with(weight, input), as Linear and Conv2d have."
            )
        is_analytic(type(self).__name__, backward)
        self.layer, self.backward = layer, backward

    def derive(self) -> Tensor:
        raise NotImplementedError

    @property
    def weight(self) -> Tensor:
        """The weight it computes with, recorded; the learned ones are among ``parameters()``."""
        return self.derive()

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self.layer.forward_with(self.derive().named("Ŵ"), input)
        return y

    def _sources(self) -> Iterator[tuple[str, Tensor]]:
        """What the weight is derived from, by the keys of ``state_dict``."""
        raise NotImplementedError

    def _tensors(self) -> Iterator[tuple[str, Tensor, str]]:
        kinds = {id(t): kind for _, t, kind in (*self.layer._tensors(), *self._own())}
        yield from (found for found in self.layer._tensors() if found[0] != "weight")
        yield from ((name, t, kinds[id(t)]) for name, t in self._sources())


class WeightNorm(_Derived):
    """The layer with the weight g·v/‖v‖. It starts with v the layer's weight and g = ‖v‖, so nothing changes at first.

    dim: the axis that has a length for each entry (0: the output units); None or −1: one length for the whole weight.
    See ``tn.functional.weight_norm``; raises as it does.
    """

    def __init__(self, layer: Any, dim: int | None = 0, backward: str = "recorded") -> None:
        super().__init__(layer, backward)
        self.dim = None if dim is None else number("WeightNorm", "dim", dim, whole=True)
        v = layer.weight
        axis, shape = norm_axes(v, dim)
        wide = v.data.astype(np.float32) if v.dtype == np.float16 else v.data
        length = np.sqrt(np.sum(wide**2, axis, keepdims=True)).reshape(shape)
        self.length = Tensor(np.asarray(length, v.dtype), requires_grad=True, name="g")

    def derive(self) -> Tensor:
        return weight_norm(self.layer.weight, self.length, self.dim, self.backward)

    def _sources(self) -> Iterator[tuple[str, Tensor]]:
        yield "parametrizations.weight.original0", self.length
        yield "parametrizations.weight.original1", self.layer.weight


class WeightStandardization(_Derived):
    """The layer with its weight standardized per output unit, times a ``gain`` of shape (out, 1, …) that starts at 1.

    eps, eps_mode: as in ``tn.functional.weight_standardization``; raises as it does. ``gain=False``: none is learned.
    """

    def __init__(
        self,
        layer: Any,
        eps: float | None = None,
        eps_mode: str = "scaled_max",
        gain: bool = True,
        backward: str = "recorded",
    ) -> None:
        super().__init__(layer, backward)
        self.eps, self.eps_mode = eps, eps_mode
        w = layer.weight
        wanted = flag("WeightStandardization", "gain", gain)
        self.gain = ones("WeightStandardization", (*w.shape[:1], *(1,) * (w.ndim - 1)), w.dtype, "γ") if wanted else None
        self.derive()  # what does not fit is said here, not at the first batch

    def derive(self) -> Tensor:
        return weight_standardization(self.layer.weight, self.gain, self.eps, self.eps_mode, self.backward)

    def _sources(self) -> Iterator[tuple[str, Tensor]]:
        yield "weight", self.layer.weight
        if self.gain is not None:
            yield "gain", self.gain


class SpectralNorm(_Derived):
    """The layer with its weight divided by its largest singular value, which power iteration follows.

    Each forward pass in training does ``n_power_iterations`` rounds from where the buffers ``u`` (out,) and ``v`` (in·…,)
    stand; in ``eval()``, and when ``.weight`` is asked for, they stay. 15 rounds are done at the start. A record keeps the
    u and v it was made with. ``seed``: of the first v; None draws another each time.
    See ``tn.functional.spectral_norm``; raises as it does, and ``OptionError`` for fewer than one round.
    """

    def __init__(
        self,
        layer: Any,
        n_power_iterations: int = 1,
        eps: float = 1e-12,
        backward: str = "recorded",
        seed: int | None = None,
    ) -> None:
        super().__init__(layer, backward)
        self.n_power_iterations = number("SpectralNorm", "n_power_iterations", n_power_iterations, 1, whole=True)
        self.eps = number("SpectralNorm", "eps", eps)
        w = layer.weight
        rows, columns = matrix_shape(w)
        dtype = np.float32 if w.dtype == np.float16 else w.dtype
        self.u = Tensor(np.zeros(rows, dtype), name="u")
        self.v = Tensor(seeded("SpectralNorm", seed).normal(size=columns).astype(dtype), name="v")
        self.iterate(15)

    def iterate(self, steps: int) -> None:
        """Rounds of u ← Wv/‖Wv‖, v ← Wᵀu/‖Wᵀu‖: PyTorch's order, which is the function's for Wᵀ."""
        w = self.layer.weight
        transposed = w.data.reshape(matrix_shape(w)).T
        self.v.data, self.u.data = power_iteration(transposed, self.v, steps, self.eps)

    def derive(self) -> Tensor:
        return spectral_norm(self.layer.weight, self.u, self.v, self.backward)

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            self.iterate(self.n_power_iterations)
        return super().forward(input)

    def _sources(self) -> Iterator[tuple[str, Tensor]]:
        yield "parametrizations.weight.original", self.layer.weight
        yield "parametrizations.weight.0._u", self.u
        yield "parametrizations.weight.0._v", self.v
