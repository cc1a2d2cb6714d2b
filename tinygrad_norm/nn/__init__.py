"""The normalizations and their relatives as modules, and the layers they stand beside.

Constructors, their defaults and ``state_dict`` keys are PyTorch's where PyTorch has the module; ``dtype`` and
``backward="recorded" | "analytic"`` are added.
"""

from . import functional, init, utils
from .adaptive import AdaIN, AdaLayerNorm, AdaLayerNormZero, FiLM
from .applied import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    BCELoss,
    BCEWithLogitsLoss,
    Dropout,
    Dropout1d,
    Dropout2d,
    Flatten,
    Hardtanh,
    HuberLoss,
    Identity,
    KLDivLoss,
    L1Loss,
    LeakyReLU,
    LogSigmoid,
    MaxPool1d,
    MaxPool2d,
    MSELoss,
    NLLLoss,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    SmoothL1Loss,
    Softplus,
    Tanh,
)
from .attention import MultiheadAttention
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
from .embedding import Embedding, sinusoidal_positions
from .folding import FoldingError, fold_batch_norm
from .graph_norms import GraphNorm, PairNorm
from .layer_norms import AdaNorm, DetachNorm, LayerNorm, RMSNorm
from .linear import Conv1d, Conv2d, Linear
from .module import Module
from .nf import NFResidual, activation_gain, expected_variances
from .parameters import Parameter
from .recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from .relatives import CosineSimilarity, CrossEntropyLoss, LocalResponseNorm, LogSoftmax, Normalize, Softmax
from .renorms import BatchRenorm1d, BatchRenorm2d, PowerNorm, PowerNormV
from .residual import LayerScale, ReZero, SkipInit
from .responses import GRN, FilterResponseNorm, QKNorm, ScaleNorm
from .revin import RevIN
from .state import ModuleError
from .switchable import SwitchableNorm
from .transformer import TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer
from .weights import SpectralNorm, WeightNorm, WeightStandardization

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRN",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaIN",
    "AdaLayerNorm",
    "AdaLayerNormZero",
    "AdaNorm",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchRenorm1d",
    "BatchRenorm2d",
    "Conv1d",
    "Conv2d",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "DetachNorm",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "DynamicTanh",
    "Embedding",
    "FiLM",
    "FilterResponseNorm",
    "Flatten",
    "FoldingError",
    "GRUCell",
    "GraphNorm",
    "GroupNorm",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "KLDivLoss",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LayerScale",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleError",
    "ModuleList",
    "MultiheadAttention",
    "NFResidual",
    "NLLLoss",
    "Normalize",
    "PairNorm",
    "Parameter",
    "ParameterList",
    "PowerNorm",
    "PowerNormV",
    "QKNorm",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "ReLU6",
    "ReZero",
    "RevIN",
    "ScaleNorm",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SkipInit",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "SpectralNorm",
    "SwitchableNorm",
    "Tanh",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "WeightNorm",
    "WeightStandardization",
    "activation_gain",
    "adaptive_grad_clip_",
    "expected_variances",
    "fold_batch_norm",
    "functional",
    "functional_call",
    "init",
    "sinusoidal_positions",
    "utils",
]
