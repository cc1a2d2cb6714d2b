"""The normalizations as functions, with PyTorch's names, argument order and defaults."""

from .norms import layer_norm

__all__ = ["layer_norm"]
