"""Transformer layers, with PyTorch's constructors, results and state_dict; any normalization in LayerNorm's place.

    post-LN    x ← N(x + attention(x)),      x ← N(x + feed-forward(x))        Vaswani et al. 2017
    pre-LN     x ← x + attention(N(x)),      x ← x + feed-forward(N(x))        ``norm_first=True``, Xiong et al. 2020

Source: Vaswani et al. 2017, "Attention Is All You Need" (arXiv:1706.03762); Xiong et al. 2020, "On Layer Normalization in the
Transformer Architecture" (arXiv:2002.04745).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import DTypeError, OptionError, Tensor, describe
from ..engine.arguments import floating
from ..engine.functions import gelu, relu
from ..norms.arguments import flag
from .applied import Dropout
from .attention import MultiheadAttention
from .by_name import norm_of
from .containers import ModuleList
from .linear import Linear
from .module import Module
from .parameters import layers, real_dtype, seeded, size

_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {"relu": relu, "gelu": gelu}


class _TransformerLayer(Module):
    """What encoder and decoder layers have in common: a feed-forward part, and where the normalizations stand."""

    _branches: int  # how many parts have a residual and a normalization

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
        *,
        norm: Any = "layer_norm",
        qk_norm: Any = "none",
        backward: str = "recorded",
    ) -> None:
        name = type(self).__name__
        if not callable(activation) and not (isinstance(activation, str) and activation in _ACTIVATIONS):
            raise OptionError(f'{name}: activation={describe(activation)}; it is "relu", "gelu" or a function of a tensor.')
        self.activation = activation if callable(activation) else _ACTIVATIONS[activation]
        self.norm_first, self.batch_first = flag(name, "norm_first", norm_first), batch_first
        rng, dtype = seeded(name, seed), real_dtype(name, dtype)
        attention: dict[str, Any] = {"qk_norm": qk_norm, "backward": backward, "seed": rng, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first, **attention)
        if self._branches == 3:
            self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first, **attention)
        width = size(name, "dim_feedforward", dim_feedforward)
        self.linear1 = Linear(d_model, width, bias, dtype, seed=rng)  # type: ignore[arg-type]
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(width, d_model, bias, dtype, seed=rng)  # type: ignore[arg-type]
        for i in range(1, self._branches + 1):
            made = norm_of(name, norm, d_model, dtype=dtype, backward=backward, eps=layer_norm_eps, bias=bias)
            setattr(self, f"norm{i}", made)
        for i in range(1, self._branches + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))

    def _feed(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))  # type: ignore[no-any-return]

    def _around(self, x: Tensor, i: int, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """x and a branch, with the i-th normalization before the branch or after the sum."""
        norm, drop = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + drop(branch(norm(x)))  # type: ignore[no-any-return]
        return norm(x + drop(branch(x)))  # type: ignore[no-any-return]


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention and a feed-forward part, each with a residual and a normalization; PyTorch's constructor and keys.

    norm:     what stands where LayerNorm stands in the paper, by name: "layer_norm", "rms_norm", "batch_norm" (over all tokens),
              "dynamic_tanh", "scale_norm", "none", …; or a function of d_model that makes a module
    qk_norm:  see ``MultiheadAttention``
    """

    _branches = 2

    def forward(self, src: Tensor, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Tensor:
        """src (S, N, E), or (N, S, E) if ``batch_first``; masks as ``MultiheadAttention`` has them."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]  # type: ignore[no-any-return]

        x = self._around(floating(src, type(self).__name__, "src"), 1, attend)
        return self._around(x, 2, self._feed)


class TransformerDecoderLayer(_TransformerLayer):
    """Self-attention, attention to a memory and a feed-forward part; the rest as ``TransformerEncoderLayer``."""

    _branches = 3

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """tgt (T, N, E), memory (S, N, E), or batch first; masks as ``MultiheadAttention`` has them."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]  # type: ignore[no-any-return]

        def look(x: Tensor) -> Tensor:
            mask = memory_key_padding_mask, False, memory_mask
            return self.multihead_attn(x, memory, memory, *mask, is_causal=memory_is_causal)[0]  # type: ignore[no-any-return]

        x = self._around(floating(tgt, type(self).__name__, "tgt"), 1, attend)
        x = self._around(x, 2, look)
        return self._around(x, 3, self._feed)


class _Stack(Module):
    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        name = type(self).__name__
        self.num_layers = layers(name, num_layers)
        if not isinstance(layer, _TransformerLayer):
            raise DTypeError(
                f"{name}: {describe(layer)} is no transformer layer. Make one first, such as nn.TransformerEncoderLayer(64, 4)."
            )
        if norm is not None and not isinstance(norm, Module):
            raise DTypeError(
                f"{name}: norm={describe(norm)}; it is a module that stands at the end, such as nn.LayerNorm(64), or None."
            )
        self.layers = ModuleList([deepcopy(layer) for _ in range(self.num_layers)])
        self.norm = norm


class TransformerEncoder(_Stack):
    """``num_layers`` copies of a layer, one after the other, then ``norm``. The copies start alike, as in PyTorch: give them
    other values if they shall not (``for layer in encoder.layers: …``)."""

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(self, src: Tensor, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False) -> Tensor:
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(_Stack):
    """As ``TransformerEncoder``, for decoder layers."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask, tgt_is_causal, memory_is_causal
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks)
        return tgt if self.norm is None else self.norm(tgt)
