"""Attention, made of products and a masked softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import primitives as op
from .arguments import beside, boolean, floating, in_float32
from .axes import masked_softmax, softmax
from .errors import DTypeError, OptionError, ShapeError, describe
from .products import matmul
from .random import dropout
from .shapes import flag, number
from .state import scope
from .tensor import Tensor

_NAME = "scaled_dot_product_attention"


@scope("attention")
@in_float32
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale·q·kᵀ + mask)·v over the keys.

    query:       (…, L, E)
    key:         (…, S, E)
    value:       (…, S, Ev)
    attn_mask:   truth values, true where a query may look; or numbers that are added to the scores (a gradient flows to these).
                 It broadcasts to (…, L, S)
    dropout_p:   the share of attention weights that is dropped; whoever evaluates gives 0
    is_causal:   query i looks at the keys 0 … i only; not together with ``attn_mask``
    scale:       1/√E unless given
    enable_gqa:  the heads (third axis from the end) of key and value serve several of the query each

    A query that may look at nothing gets 0, and no gradient. Returns (…, L, Ev). Raises ``ShapeError`` for shapes that do not fit.

    Source: Vaswani et al. 2017, "Attention Is All You Need" (arXiv:1706.03762), eq. 1. Grouped queries: Ainslie et al. 2023
    (arXiv:2305.13245).
    """
    q, k, v = query, floating(key, _NAME, "key"), floating(value, _NAME, "value")
    p = number(_NAME, "dropout_p", dropout_p, 0, 1)
    for what, x in (("query", q), ("key", k), ("value", v)):
        if x.ndim < 2:
            raise ShapeError(f"{_NAME}: {what} {describe(x)} has {x.ndim} axes; it is (…, places, features).")
    if q.shape[-1] != k.shape[-1]:
        raise ShapeError(f"{_NAME}: query {describe(q)} and key {describe(k)}: their last axes, the features, must be equal.")
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{_NAME}: key {describe(k)} and value {describe(v)}: one value for each key, but {v.shape[-2]} for {k.shape[-2]}."
        )
    if flag(_NAME, "enable_gqa", enable_gqa):
        k, v = _for_each_head("key", k, q), _for_each_head("value", v, q)
    try:
        np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"{_NAME}: query {describe(q)}, key {describe(k)} and value {describe(v)}: the axes before the last two do not "
            "broadcast. For fewer heads of key and value, enable_gqa=True."
        ) from None
    factor = 1 / math.sqrt(q.shape[-1] or 1) if scale is None else number(_NAME, "scale", scale)
    scores = matmul(q * factor, k.permute((*range(k.ndim - 2), k.ndim - 1, k.ndim - 2)))
    weights = _weights(scores, attn_mask, is_causal)
    return matmul(dropout(weights, p), v)  # type: ignore[no-any-return]


def _weights(scores: Tensor, attn_mask: Any, is_causal: bool) -> Tensor:
    if flag(_NAME, "is_causal", is_causal):
        if attn_mask is not None:
            raise OptionError(f"{_NAME}: both attn_mask and is_causal=True; give one. tn.functional.tril makes a causal mask.")
        return masked_softmax(scores, np.tri(*scores.shape[-2:], dtype=bool), -1)
    if attn_mask is None:
        return softmax(scores, -1) if scores.shape[-1] else scores
    mask = beside(attn_mask, scores, _NAME, "attn_mask")
    if mask.dtype.kind == "b":
        return masked_softmax(scores, boolean(mask, scores, _NAME, "attn_mask"), -1)
    if mask.dtype.kind != "f":
        raise DTypeError(
            f"{_NAME}: attn_mask {describe(mask)} holds neither truth values nor real numbers. Ask a question: attn_mask > 0."
        )
    mask = mask.astype(scores.dtype)
    some = mask.data != -np.inf
    boolean(some, scores, _NAME, "attn_mask")
    return masked_softmax(scores + op.where(Tensor(some), mask, 0.0), some, -1)


def _for_each_head(what: str, x: Tensor, q: Tensor) -> Tensor:
    """Each head as often as the query has heads for it, side by side."""
    if x.ndim < 3 or q.ndim < 3 or not x.shape[-3] or q.shape[-3] % x.shape[-3]:
        raise ShapeError(
            f"{_NAME}: query {describe(q)} and {what} {describe(x)} with enable_gqa: (…, heads, places, features), and the {what}'s "
            "heads must divide the query's."
        )
    times = q.shape[-3] // x.shape[-3]
    if times == 1:
        return x
    *lead, heads, places, features = x.shape
    spread = x.reshape((*lead, heads, 1, places, features)).broadcast_to((*lead, heads, times, places, features))
    return spread.reshape((*lead, heads * times, places, features))
