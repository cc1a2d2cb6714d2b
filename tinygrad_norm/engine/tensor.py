"""A tensor: an array that remembers the operation and the inputs it came from.

This is the node of the record. What else a tensor can do (operators, functions as methods, NumPy's protocol) is put on in
``methods.py``, at the top of the room.

dtypes  Arrays combine as NumPy's do (float32 with float64 gives float64); Python numbers and NumPy scalars take
        the arrays' dtype. A gradient has its input's dtype. Reductions of float16 add up in float32, of float32
        in float64 where NumPy would add one by one. Integer tensors carry no gradient.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from .arrays import SLAB, Array, by_rows
from .errors import DTypeError, InPlaceError, ShapeError, TinygradNormError, describe
from .op import Op
from .shapes import explain
from .state import state

if TYPE_CHECKING:
    from .methods import Methods
else:
    Methods = object

_births = itertools.count()
renewed = [0]  # when a leaf, whichever, was last given new data: no younger record need ask whether its own were
_new = object.__new__
_NUMBERS = (float, int, bool)


class Tensor(Methods):
    """An array and where it came from.

    ``data``: the array, read-only (a record whose numbers change would give the gradient of others).
    ``op``, ``inputs``, ``params``: what computed it; ``None``, ``()``, ``{}`` for a leaf. An input is a
    tensor, or a Python number that stays a number (so it never changes a dtype).
    ``birth``: when it came to be. Inputs are older than outputs, so sorting by birth is a topological order.
    ``written``: when a leaf got its present data; what was computed from it before is out of date.
    """

    __slots__ = (
        *(
            "__weakref__",
            "_data",
            "_grad",
            "birth",
            "hooks",
            "inputs",
            "name",
            "op",
            "params",
            "requires_grad",
            "scope",
            "written",
        ),
    )

    def __init_subclass__(cls) -> None:
        raise TypeError("Tensor is not made to be subclassed: a record knows one kind of node. Hold one instead.")

    _data: Array
    _grad: Tensor | None
    op: Op | None
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    written: int  # leaves have it
    hooks: tuple[Any, ...]  # what has hooks has it

    def __init__(self, data: Array, requires_grad: bool = False, name: str | None = None) -> None:
        if requires_grad and data.dtype.kind != "f":
            raise DTypeError(
                f"tensor: {name or 'data'} {data.shape} has dtype {data.dtype}; only floating-point tensors can "
                "require gradients. Cast first: data.astype('float64')."
            )
        self._data = data
        self.op, self.inputs, self.params = None, (), {}
        self.requires_grad, self.name, self.scope = requires_grad, name, state.scope
        self._grad = None
        self.birth = self.written = next(_births)

    # What it is ------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The values. Read-only; on a leaf, assigning a new array of the same shape and dtype updates it."""
        self._data.setflags(write=False)
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        if self.op is not None:
            raise InPlaceError(f"data: {self!s} was computed by {self.op.name}; only leaves can be given new data.")
        new = np.array(value._data if isinstance(value, Tensor) else value)
        if new.shape != self.shape or new.dtype != self.dtype:
            raise ShapeError(
                f"data: new data {describe(new)} for {describe(self)}; shape and dtype must stay. Make a new tensor instead."
            )
        self._data = new
        self.written = renewed[0] = next(_births)  # younger than every record that read the old data

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward passes have added up here, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                value = tensor(value)
            if value.shape != self.shape:
                raise ShapeError(f"grad: {describe(value)} for {describe(self)}; a gradient has its tensor's shape.")
            if value.dtype != self.dtype:
                raise DTypeError(
                    f"grad: {describe(value)} for {describe(self)}; a gradient has its tensor's dtype. Cast it: .astype('{self.dtype}')."
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def is_leaf(self) -> bool:
        return self.op is None

    def numpy(self) -> Array:
        """The values as a read-only NumPy array; no copy."""
        return self.data

    def item(self) -> float:
        """The one number of a one-element tensor."""
        if self.size != 1:
            raise ShapeError(f"item: {describe(self)} has {self.size} elements, not one. Use .numpy().")
        return self._data.item()  # type: ignore[no-any-return]

    def detach(self) -> Tensor:
        """The same values without the history: a constant to whatever uses it."""
        return Tensor(self._data, name=self.name)

    def named(self, name: str) -> Tensor:
        """Give it the name that pictures, routes and messages use; returns the tensor itself."""
        self.name = name
        return self

    # How operations meet it --------------------------------------------------------------------------

    def apply_op(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        """An op over tensors: compute, and remember. The meaning of calling an ``Op`` with a tensor."""
        arrays, record, large = [], False, False
        for x in inputs:
            if type(x) is Tensor:
                arrays.append(x._data)
                if x.requires_grad:
                    record = True
                if x._data.size > SLAB:
                    large = True
            elif type(x) in _NUMBERS:
                arrays.append(x)
            else:
                return self.apply_op(op, tuple([lift(x, op) for x in inputs]), params)
        try:
            if large and op.elementwise:
                with by_rows():
                    data = op.forward(*arrays, **params)
            else:
                data = op.forward(*arrays, **params)
        except TinygradNormError:
            raise
        except (ValueError, IndexError, TypeError, OverflowError, MemoryError) as error:
            raise explain(op, inputs, params, error) from None
        if type(data) is not np.ndarray:
            data = np.asarray(data)
        out = _new(Tensor)
        out._data = data
        out.name = out._grad = None
        out.birth = birth = next(_births)
        out.scope = state.scope
        if record and state.recording and not op.constant and data.dtype.kind == "f":
            out.op = op
            out.inputs = inputs
            out.params = params
            out.requires_grad = True
        else:
            out.op, out.inputs, out.params, out.requires_grad, out.written = None, (), {}, False, birth
        return out


# Leaves -------------------------------------------------------------------------------------------------


def tensor(data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A leaf holding a copy of ``data`` (numbers, nested lists, an array, a tensor, or several tensors of constants).

    The dtype is NumPy's for the data (float64 for Python floats) unless given. Raises ``DTypeError`` when
    integers should require gradients, or when the data is not numeric.
    """
    if dtype is not None:
        dtype = as_dtype("tensor", dtype)
    try:
        array = np.array(data._data if isinstance(data, Tensor) else data, dtype=dtype, order="C")
    except TinygradNormError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise DTypeError(f"tensor: cannot make one array of the data: {error}") from None
    return Tensor(_numeric(array), requires_grad, name)


def from_numpy(array: Array, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A leaf that shares ``array``'s memory.

    The array is made read-only: writing to it would change a record behind its back. (Views of it that exist already can
    still be written through; leave them alone.) What is itself a view of memory that can be written to is copied, and so is
    a subclass. ``tn.tensor`` always copies.
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}. tn.tensor copies anything.")
    _numeric(array)
    base, shared = array.base, type(array) is np.ndarray
    while shared and base is not None:
        shared = not (base.flags.writeable if isinstance(base, np.ndarray) else array.flags.writeable)
        base = getattr(base, "base", None)
    if not shared:
        return Tensor(np.array(array), requires_grad, name)
    array.flags.writeable = False
    return Tensor(array, requires_grad, name)


def as_dtype(name: str, dtype: Any) -> np.dtype[Any]:
    """A dtype as users write it; ``DTypeError`` for what is none, or holds no numbers."""
    found: np.dtype[Any] | None = None
    with suppress(TypeError, ValueError):
        found = None if dtype is None else np.dtype(dtype)
    if found is None or found.kind not in "fiubc":
        raise DTypeError(f"{name}: dtype={dtype!r} is no dtype of numbers; it is one such as 'float32', 'float64' or 'int64'.")
    return found


def _numeric(array: Array) -> Array:
    if not array.dtype.isnative:
        raise DTypeError(
            f"tensor: data of dtype {array.dtype} is in another machine's byte order. Use array.astype(array.dtype.newbyteorder('='))."
        )
    if array.dtype.kind not in "fiubc":
        raise DTypeError(f"tensor: data of dtype {array.dtype} is not numeric. Convert it to numbers first.")
    return array


def lift(value: Any, op: Op) -> Any:
    """An operand as a record keeps it: a tensor, or a Python number, which takes the others' dtype."""
    if isinstance(value, Tensor) or type(value) in _NUMBERS:
        return value
    if isinstance(value, np.generic):  # NumPy scalars too: np.sqrt(2) must not turn float32 into float64
        return value.item()
    if isinstance(value, np.ndarray):
        return tensor(value)
    raise DTypeError(
        f"{op.name}: an operand is {type(value).__name__}, which is neither a tensor, an array nor a number. Wrap it: tn.tensor(...)."
    )
