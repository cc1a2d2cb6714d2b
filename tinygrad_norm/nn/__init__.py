"""The normalizations and their relatives as modules, and the layers they stand beside.

Constructors, their defaults and ``state_dict`` keys are PyTorch's where PyTorch has the module; ``dtype`` and
``backward="recorded" | "analytic"`` are added.
"""

from . import functional, init, utils
from .adaptive import AdaIN, AdaLayerNorm, AdaLayerNormZero, FiLM
from .batch_norms import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from .calling import functional_call
from .clipping import adaptive_grad_clip_
from .containers import ModuleDict, ModuleList, ParameterList, Sequential
from .dyt import DynamicTanh
from .folding import FoldingError, fold_batch_norm
from .graph_norms import GraphNorm, PairNorm
from .layer_norms import AdaNorm, DetachNorm, LayerNorm, RMSNorm
from .linear import Conv2d, Linear
from .module import Module
from .nf import NFResidual, activation_gain, expected_variances
from .parameters import Parameter
from .relatives import CosineSimilarity, CrossEntropyLoss, LocalResponseNorm, LogSoftmax, Normalize, Softmax
from .renorms import BatchRenorm1d, BatchRenorm2d, PowerNorm, PowerNormV
from .residual import LayerScale, ReZero, SkipInit
from .responses import GRN, FilterResponseNorm, QKNorm, ScaleNorm
from .revin import RevIN
from .state import ModuleError
from .switchable import SwitchableNorm
from .weights import SpectralNorm, WeightNorm, WeightStandardization

__all__ = [
    "GRN",
    "AdaIN",
    "AdaLayerNorm",
    "AdaLayerNormZero",
    "AdaNorm",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchRenorm1d",
    "BatchRenorm2d",
    "Conv2d",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "DetachNorm",
    "DynamicTanh",
    "FiLM",
    "FilterResponseNorm",
    "FoldingError",
    "GraphNorm",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LayerScale",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "Module",
    "ModuleDict",
    "ModuleError",
    "ModuleList",
    "NFResidual",
    "Normalize",
    "PairNorm",
    "Parameter",
    "ParameterList",
    "PowerNorm",
    "PowerNormV",
    "QKNorm",
    "RMSNorm",
    "ReZero",
    "RevIN",
    "ScaleNorm",
    "Sequential",
    "SkipInit",
    "Softmax",
    "SpectralNorm",
    "SwitchableNorm",
    "WeightNorm",
    "WeightStandardization",
    "activation_gain",
    "adaptive_grad_clip_",
    "expected_variances",
    "fold_batch_norm",
    "functional",
    "functional_call",
    "init",
    "utils",
]
