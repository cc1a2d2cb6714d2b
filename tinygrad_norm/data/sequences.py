"""Sequences made on the spot, that ask a network to remember: what is asked is known exactly, and so is what guessing gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments import Array, drawn, floating, whole


def adding(n: int, length: int = 50, seed: int = 0, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Add the two numbers that are marked. x, shape (n, length, 2): a number from 0 to 1, and a mark, 1 at two steps, one in each
    half, and else 0. y, shape (n,): the sum of the marked, from 0 to 2.

    Who always says 1 has the mean squared error 1/6. Raises ``DataError`` for a length below 2.

    Source: Hochreiter, Schmidhuber 1997, "Long Short-Term Memory", Neural Computation 9, experiment 4, in the form of Arjovsky,
    Shah, Bengio 2016 (arXiv:1511.06464), sec. 5.2.
    """
    n, length, kind, rng = (
        whole("adding", "n", n),
        whole("adding", "length", length, 2),
        floating("adding", dtype),
        drawn("adding", seed),
    )
    numbers, marks, half = rng.random((n, length)), np.zeros((n, length)), length // 2
    rows = np.arange(n)
    marks[rows, rng.integers(0, half, n)] = 1
    marks[rows, rng.integers(half, length, n)] = 1
    return np.stack([numbers, marks], axis=-1).astype(kind), (numbers * marks).sum(-1).astype(kind)


def copying(n: int, length: int = 10, delay: int = 20, symbols: int = 8, seed: int = 0) -> tuple[Array, Array]:
    """Say again what was said ``delay`` steps ago. x and y, shape (n, 2·length + delay), int64, from 0 to symbols + 1.

    x:  ``length`` symbols from 1 to ``symbols``, blanks (0), and symbols + 1 once, ``length`` steps before the end: now
    y:  blanks, and at the last ``length`` steps the symbols

    Who guesses there has the mean cross entropy length·log(symbols)/(2·length + delay). Raises ``DataError`` for sizes below 1.

    Source: Hochreiter, Schmidhuber 1997; Arjovsky, Shah, Bengio 2016, "Unitary Evolution Recurrent Neural Networks"
    (arXiv:1511.06464), sec. 5.1.
    """
    n, length = whole("copying", "n", n), whole("copying", "length", length, 1)
    delay, symbols = whole("copying", "delay", delay, 1), whole("copying", "symbols", symbols, 1)
    said = drawn("copying", seed).integers(1, symbols + 1, (n, length))
    x = np.zeros((n, 2 * length + delay), np.int64)
    y = np.zeros_like(x)
    x[:, :length], x[:, -length - 1], y[:, -length:] = said, symbols + 1, said
    return x, y


def reversing(n: int, length: int = 10, symbols: int = 8, seed: int = 0) -> tuple[Array, Array]:
    """Say it backwards. x and y, shape (n, length), int64, from 0 to symbols − 1: y is x from the last step to the first.

    Who guesses has the mean cross entropy log(symbols). Raises ``DataError`` for sizes below 1.
    """
    n, length, symbols = (
        whole("reversing", what, v, least) for what, v, least in (("n", n, 0), ("length", length, 1), ("symbols", symbols, 1))
    )
    x = drawn("reversing", seed).integers(0, symbols, (n, length))
    return x, x[:, ::-1].copy()
