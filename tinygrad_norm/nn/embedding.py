"""Rows of a table by their numbers, and the places of a sequence as waves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import ShapeError, Tensor, describe, tensor
from ..engine.arguments import floating
from ..engine.functions import embedding
from ..norms.arguments import flag, number
from .module import Module
from .parameters import real_dtype, seeded, size, zeros


class Embedding(Module):
    """A learned row for each of ``num_embeddings`` indices: ``weight`` (num_embeddings, embedding_dim), drawn from N(0, 1).

    padding_idx: a row that starts at 0 and is not trained; seed: of the initial values, None draws others each time.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
    ) -> None:
        name = type(self).__name__
        self.num_embeddings = size(name, "num_embeddings", num_embeddings)
        self.embedding_dim = size(name, "embedding_dim", embedding_dim)
        self.padding_idx = None
        if padding_idx is not None:
            row = number(name, "padding_idx", padding_idx, -self.num_embeddings, self.num_embeddings - 1, whole=True)
            self.padding_idx = int(row) % self.num_embeddings
        self._rng = seeded(name, seed)
        self.weight = zeros(name, (self.num_embeddings, self.embedding_dim), real_dtype(name, dtype), "E")
        self.reset_parameters()

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """With these rows, (V, D), held fixed unless ``freeze=False``."""
        rows = floating(embeddings, cls.__name__, "embeddings")
        if rows.ndim != 2:
            raise ShapeError(f"{cls.__name__}: embeddings {describe(rows)}; they are rows, (V, D).")
        made = cls(rows.shape[0], rows.shape[1], padding_idx, dtype=rows.dtype)
        made.weight.data = np.array(rows.data)
        made.weight.requires_grad = not flag(cls.__name__, "freeze", freeze)
        return made

    def reset_parameters(self) -> None:
        """The next numbers of the generator that began with ``seed``."""
        rows = self._rng.normal(size=self.weight.shape).astype(self.weight.dtype)
        if self.padding_idx is not None:
            rows[self.padding_idx] = 0
        self.weight.data = rows

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"

    def forward(self, input: Any) -> Tensor:
        """input: integers of any shape; returns input.shape + (embedding_dim,)."""
        return embedding(input, self.weight, self.padding_idx)


def sinusoidal_positions(length: int, dim: int, dtype: DTypeLike = np.float32) -> Tensor:
    """Each place of a sequence as waves of many lengths, (length, dim): sin(p/10000^(2i/dim)) at 2i, the cosine at 2i + 1.

    Source: Vaswani et al. 2017, "Attention Is All You Need" (arXiv:1706.03762), section 3.5.
    """
    name = "sinusoidal_positions"
    length, dim = size(name, "length", length), size(name, "dim", dim)
    rates = 10000.0 ** (-np.arange(0, dim, 2) / max(dim, 1))
    angles = np.arange(length)[:, None] * rates
    waves = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, -1)[:, :dim]
    return tensor(waves.astype(real_dtype(name, dtype)), name="positions")
