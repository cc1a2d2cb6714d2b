"""PyTorch's ``nn.utils``: gradients clipped, and all parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..engine import DTypeError, ShapeError, Tensor, concatenate, describe
from .clipping import clip_grad_norm_, clip_grad_value_, each_parameter

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All entries of all parameters, one after the other: shape (n,). Gradients flow back to the parameters.

    Raises ``ShapeError`` where there is none.
    """
    flat = [p.reshape(-1) for p in each_parameter("parameters_to_vector", parameters)]
    if not flat:
        raise ShapeError("parameters_to_vector: there are no parameters. Was net.parameters() used up before?")
    return concatenate(flat)


def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """Give the parameters the entries of a vector, in the order of ``parameters_to_vector``, cast to their dtypes.

    vec:  shape (n,), a tensor or an array, of exactly as many entries as they have together; its history is not kept

    Raises ``ShapeError`` for another length, and then changes nothing.
    """
    name = "vector_to_parameters"
    if not isinstance(vec, (Tensor, np.ndarray)):
        raise DTypeError(f"{name}: vec is {describe(vec)}; it is a tensor of one axis, as parameters_to_vector gives.")
    values = vec.numpy() if isinstance(vec, Tensor) else vec
    found = list(each_parameter(name, parameters))
    size = sum(p.size for p in found)
    if values.shape != (size,):
        raise ShapeError(f"{name}: vec {describe(vec)} for parameters of {size} entries in all; its shape must be ({size},).")
    start = 0
    for p in found:
        p.data = values[start : start + p.size].reshape(p.shape).astype(p.dtype)
        start += p.size
