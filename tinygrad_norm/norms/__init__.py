"""The normalizations: one file each, everything that is known about it."""

from .batch_norm import batch_norm
from .layer_norm import layer_norm
from .registry import Norm, UnknownNormError, get, names, register
from .rms_norm import rms_norm

__all__ = ["Norm", "UnknownNormError", "batch_norm", "get", "layer_norm", "names", "register", "rms_norm"]
