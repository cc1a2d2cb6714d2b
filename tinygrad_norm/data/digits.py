"""1,797 handwritten digits of 8×8 pixels, with a fixed split. See DIGITS-LICENSE.txt."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import describe
from .arguments import Array, DataError, drawn, floating

_HELD_OUT = 297


def digits(split: str | None = None, shuffle: int | None = None, dtype: Any = np.float64) -> tuple[Array, Array]:
    """The images, shape (n, 8, 8), pixels from 0 to 1 in steps of 1/16, and their labels, shape (n,), int64, 0 to 9.

    split:    "train": the first 1,500, "test": the last 297, None: all 1,797
    shuffle:  a seed, by which all are put in another order before they are split. In the file's order the last 297 are less
              like the first 1,500, and the test is harder.

    Raises ``DataError`` for another split, seed or dtype.

    Source: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998 (its test
    set), CC BY 4.0.
    """
    return _read("digits", split, shuffle, dtype)


def _read(name: str, split: str | None, shuffle: int | None, dtype: Any) -> tuple[Array, Array]:
    from importlib.resources import files

    kind = floating(name, dtype)
    if not (split is None or (isinstance(split, str) and split in ("train", "test"))):
        raise DataError(f'{name}: split={describe(split)}; it is "train", "test", or None for all.')
    with files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
        images, labels = (data["images"] / 16).astype(kind), data["labels"].astype(np.int64)
    if shuffle is not None:
        order = drawn(name, shuffle, "shuffle").permutation(len(labels))
        images, labels = images[order], labels[order]
    part = {None: slice(None), "train": slice(-_HELD_OUT), "test": slice(-_HELD_OUT, None)}[split]
    return images[part], labels[part]


def digit_rows(split: str | None = None, shuffle: int | None = None, dtype: Any = np.float64) -> tuple[Array, Array]:
    """The digits as sequences of 8 steps, a row of 8 pixels at each: shape (n, 8, 8), batch first. Arguments: ``digits``'s."""
    return _read("digit_rows", split, shuffle, dtype)


def digit_pixels(split: str | None = None, shuffle: int | None = None, dtype: Any = np.float64) -> tuple[Array, Array]:
    """The digits as sequences of 64 steps, a pixel at each, row by row: shape (n, 64, 1), batch first. Arguments: ``digits``'s.

    Source of the task: Le, Jaitly, Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units"
    (arXiv:1504.00941), sec. 4.2, with MNIST's 784.
    """
    images, labels = _read("digit_pixels", split, shuffle, dtype)
    return images.reshape(len(images), -1, 1), labels
