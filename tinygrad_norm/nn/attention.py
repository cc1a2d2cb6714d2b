"""Attention in several heads, with PyTorch's constructor, results and state_dict.

Masks follow ``nn``'s convention in PyTorch, where True means *may not be looked at*; numbers are added to the scores. (In
``tn.functional.scaled_dot_product_attention`` True means that it may, there as here.)

Source: Vaswani et al. 2017, "Attention Is All You Need" (arXiv:1706.03762), section 3.2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import DTypeError, ShapeError, Tensor, describe
from ..engine.arguments import as_tensor, floating
from ..engine.functions import dropout, linear, masked_softmax, matmul, scaled_dot_product_attention, where
from ..engine.functions import softmax as plain_softmax
from ..norms.arguments import flag, number
from .by_name import named, norm_of
from .linear import Linear
from .module import Module
from .parameters import real_dtype, seeded, size, zeros


class MultiheadAttention(Module):
    """softmax(q·kᵀ/√d)·v in ``num_heads`` heads of d = embed_dim/num_heads numbers, between linear maps.

    Parameters in_proj_weight (3·E, E), in_proj_bias (3·E,), out_proj.weight (E, E), out_proj.bias (E,), as PyTorch (without its
    ``kdim``, ``vdim``, ``add_bias_kv``). dropout: of the attention weights, in training.
    qk_norm: a normalization by name ("rms_norm", "layer_norm", "normalize", …) of each head's queries and keys, as parts
    ``q_norm`` and ``k_norm`` of d numbers (Dehghani et al. 2023, "Scaling Vision Transformers to 22 Billion Parameters",
    arXiv:2302.05442).
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
        *,
        qk_norm: Any = "none",
        backward: str = "recorded",
    ) -> None:
        name = type(self).__name__
        self.embed_dim, self.num_heads = size(name, "embed_dim", embed_dim, 1), size(name, "num_heads", num_heads, 1)
        if self.embed_dim % self.num_heads:
            raise ShapeError(f"{name}: embed_dim={embed_dim} in num_heads={num_heads}: the heads must share it evenly.")
        self.dropout, self.batch_first = number(name, "dropout", dropout, 0, 1), flag(name, "batch_first", batch_first)
        dtype, self._rng = real_dtype(name, dtype), seeded(name, seed)
        e, with_bias = self.embed_dim, flag(name, "bias", bias)
        self.in_proj_weight = zeros(name, (3 * e, e), dtype, "W_qkv")
        self.in_proj_bias = zeros(name, 3 * e, dtype, "b_qkv") if with_bias else None
        self.out_proj = Linear(e, e, with_bias, dtype, seed=self._rng)  # type: ignore[arg-type]
        if named(qk_norm):
            self.q_norm, self.k_norm = (
                norm_of(name, qk_norm, e // self.num_heads, False, dtype=dtype, backward=backward) for _ in "qk"
            )
        self.qk_norm = qk_norm
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """PyTorch's: in_proj_weight Xavier-uniform, out_proj.weight as a Linear's, biases 0."""
        bound = math.sqrt(6 / (4 * self.embed_dim))
        self.in_proj_weight.data = self._rng.uniform(-bound, bound, self.in_proj_weight.shape).astype(self.in_proj_weight.dtype)
        self.out_proj.reset_parameters()
        for b in (self.in_proj_bias, self.out_proj.bias):
            if b is not None:
                b.data = np.zeros(b.shape, b.dtype)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """query (L, N, E), key and value (S, N, E); (N, L, E) and (N, S, E) if ``batch_first``; or without N.

        key_padding_mask:  (N, S), True (or a number to add) for keys that are padding
        attn_mask:         (L, S) or (N·heads, L, S), True where a query may not look, or numbers to add
        is_causal:         query i looks at the keys 0 … i; ``attn_mask`` is then not needed

        Returns the result in the query's form, and the weights (N, L, S), their mean over the heads unless
        ``average_attn_weights=False``: (N, heads, L, S); None without ``need_weights``.
        """
        name = type(self).__name__
        q, k, v = (floating(t, name, what) for t, what in ((query, "query"), (key, "key"), (value, "value")))
        alone = q.ndim == 2
        for what, t in (("query", q), ("key", k), ("value", v)):
            if t.ndim != q.ndim or t.ndim not in (2, 3) or t.shape[-1] != self.embed_dim:
                form = "(N, places, E)" if self.batch_first else "(places, N, E)"
                raise ShapeError(f"{name}: {what} {describe(t)}; it is {form} or (places, E), with E = {self.embed_dim}.")
        same_kv, same = key is value, query is key and key is value
        q, k, v = (self._batched(t, alone) for t in (q, k, v))
        if k.shape[:2] != v.shape[:2] or q.shape[0] != k.shape[0]:
            raise ShapeError(
                f"{name}: query {describe(query)}, key {describe(key)}, value {describe(value)}: one batch, and a value for each key."
            )
        q, k, v = self._heads(q, k, v, same, same_kv)
        mask = self._mask(q, k, key_padding_mask, attn_mask, flag(name, "is_causal", is_causal))
        if flag(name, "need_weights", need_weights):
            y, weights = self._with_weights(q, k, v, mask)
            if flag(name, "average_attn_weights", average_attn_weights):
                weights = weights.mean(1)
        else:
            rate = self.dropout if self.training else 0.0
            y, weights = scaled_dot_product_attention(q, k, v, mask, rate), None
        n, _, length, _ = y.shape
        y = self.out_proj(y.swapaxes(1, 2).reshape(n, length, self.embed_dim))
        if alone:
            return y[0], None if weights is None else weights[0]
        return (y if self.batch_first else y.swapaxes(0, 1)), weights

    def _batched(self, t: Tensor, alone: bool) -> Tensor:
        """(N, places, E)."""
        return t.reshape(1, *t.shape) if alone else t if self.batch_first else t.swapaxes(0, 1)

    def _heads(self, q: Tensor, k: Tensor, v: Tensor, same: bool, same_kv: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Through the linear maps, (N, heads, places, d) each; what is one and the same goes through one product."""
        e, w, b = self.embed_dim, self.in_proj_weight, self.in_proj_bias
        if same:
            all_three = linear(q, w, b)
            found = [all_three[..., i * e : (i + 1) * e] for i in range(3)]
        else:
            found = [
                linear(t, w[i * e : (i + 1) * e], None if b is None else b[i * e : (i + 1) * e]) for i, t in enumerate((q, k, v))
            ]
        q, k, v = (t.reshape(*t.shape[:2], self.num_heads, e // self.num_heads).swapaxes(1, 2) for t in found)
        return (q, k, v) if not named(self.qk_norm) else (self.q_norm(q), self.k_norm(k), v)

    def _mask(self, q: Tensor, k: Tensor, padding: Any, attn_mask: Any, causal: bool) -> Any:
        """In the function's convention: True where a query may look, or numbers to add; None for everything."""
        n, heads, length, _ = q.shape
        keys, masks = k.shape[2], []
        if padding is not None:
            masks.append(
                self._allowed(
                    "key_padding_mask", padding, ((n, keys), (keys,)), (n if np.ndim(_array(padding)) == 2 else 1, 1, 1, keys)
                )
            )
        if attn_mask is not None:
            given = _array(attn_mask)
            form = (n, heads, length, keys) if given.ndim == 3 else (1, 1, length, keys)
            masks.append(self._allowed("attn_mask", attn_mask, ((length, keys), (n * heads, length, keys)), form))
        elif causal:
            masks.append(np.tri(length, keys, dtype=bool))
        if not masks:
            return None
        if all(m.dtype.kind == "b" for m in masks):
            both = masks[0]
            for m in masks[1:]:
                both = both & m
            return both
        return sum(m if m.dtype.kind == "f" else np.where(m, 0.0, -np.inf).astype(q.dtype) for m in masks)

    def _allowed(self, what: str, mask: Any, forms: Any, shape: tuple[int, ...]) -> Any:
        given = _array(mask)
        if given.dtype.kind not in "bf":
            raise DTypeError(
                f"{type(self).__name__}: {what} {describe(mask)}; True where nothing may be looked at, or numbers to add."
            )
        if given.shape not in forms:
            raise ShapeError(f"{type(self).__name__}: {what} {describe(mask)}; it is {' or '.join(map(str, forms))}.")
        return ~given.reshape(shape) if given.dtype.kind == "b" else (mask if isinstance(mask, Tensor) else given).reshape(shape)

    def _with_weights(self, q: Tensor, k: Tensor, v: Tensor, mask: Any) -> tuple[Tensor, Tensor]:
        scores = matmul(q * (1 / math.sqrt(q.shape[-1])), k.swapaxes(2, 3))
        if mask is None:
            weights = plain_softmax(scores, -1)
        elif mask.dtype.kind == "b":
            weights = masked_softmax(scores, mask, -1)
        else:
            some = _array(mask) != -np.inf
            weights = masked_softmax(scores + where(some, mask, 0.0), some, -1)
        weights = dropout(weights, self.dropout, self.training)
        return matmul(weights, v), weights


def _array(mask: Any) -> Any:
    return as_tensor(mask, "MultiheadAttention", "mask").data
