"""A tensor: an array that remembers the operation and the inputs it came from.

This is the node of the record. What else a tensor can do (operators, functions as methods, NumPy's protocol) is put on in
``methods.py``, at the top of the room.

dtypes  Arrays combine as NumPy's do (float32 with float64 gives float64); Python numbers and NumPy scalars take
        the arrays' dtype. A gradient has its input's dtype. Reductions of float16 add up in float32, of float32
        in float64 where NumPy would add one by one. Integer tensors carry no gradient.
"""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from .arrays import SLAB, Array, by_rows
from .errors import DTypeError, GradientError, InPlaceError, ShapeError, TinygradNormError, describe
from .frozen import Values
from .op import NONE, Op
from .shapes import explain, flag
from .state import nodes, state

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
            "_name",
            "_requires_grad",
            "_hooks",
            "_asked",
            "birth",
            "inputs",
            "op",
            "params",
            "scope",
            "written",
        ),
    )

    def __init_subclass__(cls) -> None:
        raise TypeError("Tensor is not made to be subclassed: a record knows one kind of node. Hold one instead.")

    _data: Array
    _grad: Tensor | None
    _name: str | None
    _requires_grad: bool
    op: Op | None
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    written: int  # leaves have it
    _asked: tuple[Op, tuple[Any, ...], dict[str, Any]]  # what answers a question has it: which, and of whom
    _hooks: tuple[Any, ...]  # what has hooks has it

    def __init__(self, data: Array, requires_grad: bool = False, name: str | None = None) -> None:
        if type(data) is not np.ndarray and not isinstance(data, (np.ndarray, np.generic)):
            raise DTypeError(f"tensor: {describe(data)} is no array. Wrap it: tn.tensor(...).")
        self._data = data
        self.op, self.inputs, self.params = None, (), NONE
        self.scope = state.scope
        if name is None or type(name) is str:  # as nearly always, and this is done often
            self._name = name
        else:
            self.name = name
        if requires_grad is False:
            self._requires_grad = False
        else:
            self.requires_grad = requires_grad
        self._grad = None
        self.birth = self.written = next(_births)

    # What it is ------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The values, read-only: ``Values``. Giving a leaf new ones of the same shape and dtype updates it: ``p.data -= 0.1*g``."""
        self._data.setflags(write=False)
        values = self._data.view(Values)
        values.owner = self
        return values

    @data.setter
    def data(self, value: Any) -> None:
        if self.op is not None:
            raise InPlaceError(f"data: {describe(self)} was computed by {self.op.name}; only leaves can be given new data.")
        new = _as_array("data", value)
        if new.shape != self.shape or new.dtype != self.dtype:
            raise ShapeError(
                f"data: new data {describe(new)} for {describe(self)}; shape and dtype must stay. Make a new tensor instead."
            )
        renew(self, new)

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward passes have added up here, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                value = Tensor(_as_array("grad", value))
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
    def requires_grad(self) -> bool:
        """Whether a gradient flows to it. Of a leaf it may be set; what was computed requires one where its inputs do."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        wanted = value if value is False or value is True else flag("tensor", "requires_grad", value)
        if wanted and self._data.dtype.kind != "f":
            raise DTypeError(
                f"tensor: {describe(self)} does not require gradients; only floating-point tensors can. Cast first: "
                "data.astype('float64')."
            )
        if self.op is not None and not wanted:
            raise GradientError(
                f"requires_grad: {describe(self)} was computed by {self.op.name}; for its values alone take x.detach()."
            )
        self._requires_grad = wanted

    @property
    def name(self) -> str | None:
        """What pictures, routes and messages call it."""
        return self._name

    @name.setter
    def name(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise DTypeError(f"name: {describe(value)} is no text, by which pictures could call a tensor; None is no name.")
        self._name = value

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
        self._data.setflags(write=False)
        return self._data

    def item(self) -> float:
        """The one number of a one-element tensor."""
        if self.size != 1:
            raise ShapeError(f"item: {describe(self)} has {self.size} elements, not one. Use .numpy().")
        return self._data.item()  # type: ignore[no-any-return]

    def detach(self) -> Tensor:
        """The same values without the history: a constant to whatever uses it. They are looked at, not copied."""
        return Tensor(self._data.view(), name=self.name)

    def named(self, name: str) -> Tensor:
        """Give it the name that pictures, routes and messages use; returns the tensor itself."""
        if type(name) is str:
            self._name = name
        else:
            self.name = name
        return self

    # How operations meet it --------------------------------------------------------------------------

    def apply_op(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        """An op over tensors: compute, and remember. The meaning of calling an ``Op`` with a tensor."""
        arrays, record, large = [], False, False
        for x in inputs:
            if type(x) is Tensor:
                arrays.append(x._data)
                if x._requires_grad:
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
            raise op.misuse(inputs, params, error) or explain(op, inputs, params, error) from None
        if type(data) is not np.ndarray:
            data = np.asarray(data)
        out = _new(Tensor)
        out._data = data
        out._name = out._grad = None
        out.birth = birth = next(_births)
        out.scope = state.scope
        if record and state.recording and not op.constant and data.dtype.kind == "f":
            out.op = op
            out.inputs = inputs
            out.params = params
            out._requires_grad = True
        else:
            out.op, out.inputs, out.params, out._requires_grad, out.written = None, (), NONE, False, birth
            if record and state.recording:
                out._asked = (op, inputs, params)
        return out


nodes.add(Tensor)

# Leaves -------------------------------------------------------------------------------------------------


def renew(leaf: Tensor, data: Array) -> None:
    """Give a leaf an array of its shape and dtype that was made for it and that nobody else holds: ``leaf.data = data``, uncopied."""
    leaf._data = data
    leaf.written = renewed[0] = next(_births)  # younger than every record that read the old data


def tensor(data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A leaf holding a copy of ``data`` (numbers, nested lists, an array, a tensor, or several tensors of constants).

    The dtype is NumPy's for the data (float64 for Python floats) unless given. Raises ``DTypeError`` when
    integers should require gradients, or when the data is not numeric.
    """
    if dtype is not None:
        dtype = as_dtype("tensor", dtype)
    return Tensor(_as_array("tensor", data, dtype), requires_grad, name)


def from_numpy(array: Array, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A leaf that shares ``array``'s memory.

    The array is made read-only: writing to it would change a record behind its back. (Views of it that exist already can
    still be written through; leave them alone.) What is itself a view of memory that can be written to is copied, and so is
    a subclass. ``tn.tensor`` always copies.
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}. tn.tensor copies anything.")
    _numeric("from_numpy", array)
    base, shared = array.base, type(array) is np.ndarray
    while shared and base is not None:
        shared = not (base.flags.writeable if isinstance(base, np.ndarray) else array.flags.writeable)
        base = getattr(base, "base", None)
    if not shared:
        return Tensor(np.array(array), requires_grad, name)
    array.flags.writeable = False
    return Tensor(array, requires_grad, name)


def _as_array(name: str, data: Any, dtype: np.dtype[Any] | None = None) -> Array:
    """A copy as one array; ``DTypeError`` for what makes none, and where imaginary parts would be dropped."""
    data = data._data if isinstance(data, Tensor) else data
    try:
        array = np.array(data, order="C")
        if (
            dtype is not None
            and array.dtype != dtype
            and array.dtype.kind not in "VMm"
            and (array.dtype.kind != "c" or dtype.kind == "c")
        ):
            array = array.astype(dtype) if array.dtype.kind in "fiubc" else np.array(data, dtype, order="C")
        if dtype is None or array.dtype == dtype or array.dtype.kind not in "fiubc":
            return _numeric(name, array)
    except TinygradNormError:
        raise
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise DTypeError(
            f"{name}: cannot make one array of {describe(data)}: {error}. Give numbers, or lists of equal lengths."
        ) from None
    raise not_real(name, array, dtype)


def not_real(name: str, x: Any, dtype: np.dtype[Any]) -> DTypeError:
    return DTypeError(
        f"{name}: {describe(x)} is complex; as {dtype} its imaginary part would be lost. Take one part: x.data.real."
    )


def as_dtype(
    name: str, dtype: Any, kinds: str = "fiubc", such: str = "a dtype of numbers, such as 'float32', 'float64' or 'int64'"
) -> np.dtype[Any]:
    """A dtype as users write it; ``DTypeError`` for what is none, or none of the kinds."""
    found: np.dtype[Any] | None
    try:
        with warnings.catch_warnings():  # NumPy's about old names, such as "a"
            warnings.simplefilter("ignore")
            of_another = hasattr(dtype, "dtype") and not isinstance(dtype, type)  # a tensor has a dtype and is none
            found = None if dtype is None or of_another else np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError, AttributeError):  # NumPy's words for "foo", 3, (1, "a"), "f4,("
        found = None
    if found is None or found.kind not in kinds or not found.isnative:
        raise DTypeError(f"{name}: dtype={describe(dtype)}; it is {such}.")
    return found  # type: ignore[no-any-return]


def _numeric(name: str, array: Array) -> Array:
    if not array.dtype.isnative:
        raise DTypeError(
            f"{name}: data of dtype {array.dtype} is in another machine's byte order. Use array.astype(array.dtype.newbyteorder('='))."
        )
    if array.dtype.kind not in "fiubc":
        raise DTypeError(f"{name}: data of dtype {describe(str(array.dtype))} is not numeric. Convert it to numbers first.")
    return array


def lift(value: Any, op: Op) -> Any:
    """An operand as a record keeps it: a tensor, or a Python number, which takes the others' dtype."""
    if isinstance(value, Tensor) or type(value) in _NUMBERS:
        return value
    if isinstance(value, np.generic):  # NumPy scalars too: np.sqrt(2) must not turn float32 into float64
        return value.item()
    if isinstance(value, (int, float)):  # of a kind of its own, such as an IntEnum
        return float(value) if isinstance(value, float) else int(value)
    if isinstance(value, np.ndarray):
        return Tensor(_as_array(op.name, value))
    raise DTypeError(
        f"{op.name}: an operand is {describe(value)} ({type(value).__name__}), which is neither a tensor, an array nor a real number. "
        "Wrap it: tn.tensor(...)."
    )
