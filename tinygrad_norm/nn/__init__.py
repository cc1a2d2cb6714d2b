"""Modules and data for the training lessons."""

from .digits import digits
from .layer_norms import LayerNorm, RMSNorm
from .module import Module

__all__ = ["LayerNorm", "Module", "RMSNorm", "digits"]
