"""Batches: the same in every run, epoch by epoch, and to go on with where a run stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..engine import describe
from .arguments import Array, DataError, values, whole


class Batches:
    """Batches of arrays; iterating over it once is one epoch, and over it again is the next. See ``batches``.

    ``epoch``: how many were finished, which may be set; ``batch``: how many batches of the present one were handed out;
    ``len()``: how many there are in an epoch. An epoch that was left in the middle begins anew.
    """

    def __init__(self, arrays: tuple[Any, ...], size: int, shuffle: bool, seed: int, drop_last: bool) -> None:
        if not isinstance(arrays, (tuple, list)) or not arrays:
            found = "no arrays" if isinstance(arrays, (tuple, list)) else describe(arrays)
            raise DataError(f"batches: {found}. Give at least one, such as batches(x, y, size=32).")
        self._arrays: tuple[Array, ...] = tuple(values("batches", a) for a in arrays)
        shapes = [a.shape for a in self._arrays]
        if not all(shapes) or len({s[0] for s in shapes}) != 1:
            raise DataError(
                f"batches: arrays of the shapes {shapes}: the first axis is that of the samples, and equally long in all."
            )
        self._n: int = shapes[0][0]
        self.size, self._seed = whole("batches", "size", size, 1), whole("batches", "seed", seed)
        for what, value in (("shuffle", shuffle), ("drop_last", drop_last)):
            if not isinstance(value, (bool, np.bool_)):
                raise DataError(f"batches: {what}={describe(value)}; it is True or False. (The seed is an argument of its own.)")
        self._shuffle, self._drop_last = bool(shuffle), bool(drop_last)
        self.epoch = self.batch = self._first = 0

    def __len__(self) -> int:
        return self._n // self.size if self._drop_last else -(-self._n // self.size)

    def _order(self) -> Array:
        """The samples in the order of the present epoch, which depends on the seed and its number alone."""
        return np.random.default_rng((self._seed, self.epoch)).permutation(self._n)

    def __iter__(self) -> Iterator[Any]:
        first, self._first = self._first, 0
        order = self._order() if self._shuffle else None
        for i in range(first, len(self)):
            self.batch = i + 1
            part: Any = slice(i * self.size, (i + 1) * self.size)
            part = part if order is None else order[part]
            found = tuple(a[part] for a in self._arrays)
            yield found if len(found) > 1 else found[0]
        self.epoch, self.batch = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Where it stands: ``{"epoch": …, "batch": …}``. Inside a loop the present batch counts as done."""
        return {"epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Go on from there: the next iteration hands out the rest of that epoch. The arrays, the size and the seed must be the same."""
        try:
            epoch, batch = state_dict["epoch"], state_dict["batch"]
        except (TypeError, KeyError, IndexError):
            raise DataError(f"batches: {describe(state_dict)} is no state; it is a dict, as state_dict() gives.") from None
        epoch, batch = whole("batches", "epoch", epoch), whole("batches", "batch", batch, 0, len(self))
        self.epoch, self.batch, self._first = epoch, batch, batch

    def __repr__(self) -> str:
        return f"Batches({self._n} samples, size={self.size}, {len(self)} batches, epoch={self.epoch}, batch={self.batch})"


def batches(*arrays: Any, size: int, shuffle: bool = False, seed: int = 0, drop_last: bool = False) -> Batches:
    """Batches of one array or, together, of several: ``for x, t in batches(images, labels, size=32, shuffle=True):``.

    arrays:     shapes (n, …), the samples along the first axis (of tensors the values, as arrays); a batch of one array is the array, of several a tuple
    size:       how many samples; the last batch has what is left, or is left out with ``drop_last``
    shuffle:    each epoch in an order of its own, that depends on ``seed`` and the epoch's number only

    Without shuffling a batch is a view of the arrays, else a copy. Raises ``DataError`` for arrays of unequal lengths.
    """
    return Batches(arrays, size, shuffle, seed, drop_last)
