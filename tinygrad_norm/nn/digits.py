"""Real data small enough to ship: 1,797 handwritten digits of 8×8 pixels. See DIGITS-LICENSE.txt."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.arrays import Array
from .parameters import real_dtype


def digits(dtype: Any = np.float64) -> tuple[Array, Array]:
    """The images, shape (1797, 8, 8), pixels from 0 to 1, and their labels, shape (1797,), 0 to 9.

    Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998
    (its test set), CC BY 4.0.
    """
    from importlib.resources import files

    dtype = real_dtype("digits", dtype)

    with files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
        return (data["images"] / 16).astype(dtype), data["labels"].astype(np.int64)
