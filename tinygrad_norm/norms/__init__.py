"""The normalizations: one file each, everything that is known about it."""

from .layer_norm import layer_norm
from .registry import Norm, UnknownNormError, get, names, register

__all__ = ["Norm", "UnknownNormError", "get", "layer_norm", "names", "register"]
