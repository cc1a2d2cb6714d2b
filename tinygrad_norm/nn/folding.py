"""In inference BatchNorm is one more affine map, so the layer before it can do its work.

    bn(W∗x + b) = W′∗x + b′      s = γ/√(v + ε)      W′ = s·W      b′ = (b − m)·s + β

exact but for rounding, for a Linear and for a convolution (with padding, too: it comes before the map). ∗ is the product
or the convolution, s scales each output channel's row of W.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference" (arXiv:1712.05877), section 3.2, eq. 14.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np

from ..engine import ShapeError, Tensor, TinygradNormError, describe
from ..engine.arrays import Array
from .batch_norms import BatchNorm1d, BatchNorm2d
from .linear import Conv2d, Linear
from .module import Module

Layer = TypeVar("Layer", Linear, Conv2d)


class FoldingError(TinygradNormError, TypeError):
    """Two layers that no one layer computes."""


def fold_batch_norm(layer: Layer, bn: Module) -> Layer:
    """A new layer that computes ``bn(layer(x))`` as in inference, with a bias; the two given stay as they are.

    layer: a ``Linear``, before a ``BatchNorm1d`` and for inputs (N, in_features); or a ``Conv2d``, before a ``BatchNorm2d``
    bn:    in inference (``bn.eval()``), with running statistics

    The new numbers are computed in float64 and kept in the layer's dtype. Raises ``FoldingError`` for other layers, for a
    ``bn`` in training or without running statistics; ``ShapeError`` where their channels do not match.
    """
    named = f"fold_batch_norm: {type(layer).__name__} and {type(bn).__name__}"
    partner = BatchNorm1d if isinstance(layer, Linear) else BatchNorm2d if isinstance(layer, Conv2d) else None
    if partner is None or not isinstance(bn, partner):
        raise FoldingError(
            f"{named}: it folds a BatchNorm1d into the Linear before it, or a BatchNorm2d into the Conv2d before it."
        )
    if bn.training:
        raise FoldingError(
            f"{named}: the BatchNorm is in training, where it normalizes each batch by its own statistics. Call bn.eval() first."
        )
    m, v = bn.running_mean, bn.running_var
    if m is None or v is None:
        raise FoldingError(
            f"{named}: the BatchNorm has no running statistics and normalizes each batch by its own. It takes track_running_stats=True."
        )
    if layer.weight.shape[0] != bn.num_features:
        raise ShapeError(
            f"{named}: the layer's weight {describe(layer.weight)} gives {layer.weight.shape[0]} channels, the BatchNorm was made "
            f"for {bn.num_features}. Fold the BatchNorm that comes right after the layer."
        )

    s = _wide(bn.weight, 1.0) / np.sqrt(_wide(v, 1.0) + bn.eps)
    weight = _wide(layer.weight, 1.0) * s.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    bias = (_wide(layer.bias, 0.0) - _wide(m, 0.0)) * s + _wide(bn.bias, 0.0)
    dtype = layer.weight.dtype
    folded = copy.copy(layer)
    folded.weight = Tensor(weight.astype(dtype), layer.weight.requires_grad, "W′")
    folded.bias = Tensor(bias.astype(dtype), layer.weight.requires_grad, "b′")
    return folded


def _wide(p: Tensor | None, usual: float) -> Array:
    return np.asarray(usual if p is None else p.data, np.float64)
