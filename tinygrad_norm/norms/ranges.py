"""Where the squares of large or small numbers leave the dtype's range and what is made of them does not.

A normalization does not care what its input is multiplied by, if ε is, too. So where a sum of squares (or of other powers) has
left the range, or come so near its ends that its cube in a gradient would, x is divided by a power of two first, which costs
no digit: one for each group that shares the sum. Elsewhere none of this is computed or recorded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array

_ENDS = {char: (float(np.finfo(char).tiny) ** 0.9, float(np.finfo(char).max) ** 0.9) for char in "fd"}


def power_of_two(
    sums: Any,
    x: Any,
    axis: tuple[int, ...],
    p: float = 2,
    of_roots: bool = False,
    least: Any = 0.0,
    most: float | None = None,
) -> Array | None:
    """What to divide x by, where some sum of |x|ᵖ over ``axis`` is too near an end of its dtype's range: a power of two near the
    largest |x| of the group, for a high p that largest itself; 1 for the groups that are well, all 0, or not finite. None where
    nothing is to be divided, and for symbols.

    of_roots:  the sums come as their pth roots
    least:     what they are known to be at least, such as an ε that was added
    most:      nothing is wrong with small sums, and large ones must stay below this power of the dtype's largest number
    """
    data = sums.numpy() if isinstance(sums, Tensor) else sums
    if not isinstance(data, np.ndarray) or data.dtype.char not in _ENDS:
        return None
    low, high = _ENDS[data.dtype.char]
    if of_roots:
        low, high = low ** min(1, 1 / p), high ** min(1, 1 / p)
    if most is not None:
        low, high = -1.0, float(np.finfo(data.dtype).max) ** most
    enough = type(least) is float and least > low
    if np.count_nonzero(data < high) == data.size and (enough or np.count_nonzero(data > low) == data.size):
        return None  # nearly always
    well = (data > low) & (data < high)
    x = x.numpy() if isinstance(x, Tensor) else x
    largest = np.max(np.abs(x), axis, keepdims=True, initial=0)
    needed = ~well & (largest > 0) & np.isfinite(largest)
    if not needed.any():
        return None
    near = np.ldexp(1.0, np.frexp(largest)[1] - 1) if p <= 16 else largest
    return np.where(needed, near, 1.0).astype(x.dtype)


def shrunk(eps: float, scale: Array, p: int = 1) -> Any:
    """ε for an x that was divided by ``scale``: over scaleᵖ, which may itself be out of range."""
    for _ in range(p):
        eps = eps / scale  # type: ignore[assignment]
    return eps
