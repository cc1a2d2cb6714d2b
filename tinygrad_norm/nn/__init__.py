"""Modules and data for the training lessons."""

from .adaptive import AdaIN, AdaLayerNorm, AdaLayerNormZero
from .batch_norms import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from .clipping import adaptive_grad_clip_
from .digits import digits
from .dyt import DynamicTanh
from .folding import FoldingError, fold_batch_norm
from .layer_norms import LayerNorm, RMSNorm
from .linear import Conv2d, Linear
from .module import Module
from .nf import NFResidual, activation_gain, expected_variances
from .renorms import BatchRenorm1d, BatchRenorm2d, PowerNorm
from .residual import LayerScale, ReZero, SkipInit
from .weights import SpectralNorm, WeightNorm, WeightStandardization

__all__ = [
    "AdaIN",
    "AdaLayerNorm",
    "AdaLayerNormZero",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchRenorm1d",
    "BatchRenorm2d",
    "Conv2d",
    "DynamicTanh",
    "FoldingError",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LayerScale",
    "Linear",
    "Module",
    "NFResidual",
    "PowerNorm",
    "RMSNorm",
    "ReZero",
    "SkipInit",
    "SpectralNorm",
    "WeightNorm",
    "WeightStandardization",
    "activation_gain",
    "adaptive_grad_clip_",
    "digits",
    "expected_variances",
    "fold_batch_norm",
]
