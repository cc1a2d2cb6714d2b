"""What ``x.data`` hands out: an array that cannot be written to, and says what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import InPlaceError
from .state import no_grad


class Values(np.ndarray[Any, Any]):
    """A NumPy array like any other, of which only the writing is different.

    ``p.data -= 0.1*g`` computes new data and gives it to p, as it must: a record may hold the old; so does ``p.data.add_(g)``. A copy
    can be written to.
    """

    owner: Any = None  # the tensor whose values these are, all of them

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else array  # what is computed is an ordinary array

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.flags.writeable:
            raise InPlaceError(
                "data: these values may be part of a record, which must not change. Give the leaf new ones: x.data = new, or change a "
                "copy: x.data.copy()."
            )
        super().__setitem__(index, value)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.owner, name, None) if name.endswith("_") and not name.startswith("_") else None
        if method is None:
            raise AttributeError(
                f"x.data is a NumPy array, and has no attribute {name!r}. x itself may have it; so may x.detach()."
            )
        return no_grad()(method)

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))

    def __reduce__(self) -> Any:
        return np.array(self).__reduce__()


def _in_place(name: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``x.data -= y``: the difference as new data, in the dtype of the old."""
    plain = getattr(np.ndarray, name)

    def method(self: Values, other: Any) -> Any:
        if self.flags.writeable:
            return plain(self, other)
        new = compute(self, other)
        return new.astype(self.dtype, copy=False) if isinstance(new, np.ndarray) and new.dtype.kind == self.dtype.kind else new

    method.__name__ = name
    return method


for _name, _compute in {
    "__iadd__": np.add,
    "__isub__": np.subtract,
    "__imul__": np.multiply,
    "__itruediv__": np.true_divide,
    "__ipow__": np.power,
}.items():
    setattr(Values, _name, _in_place(_name, _compute))
