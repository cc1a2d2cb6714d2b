"""A tensor: an array that remembers the operation and the inputs it came from.

dtypes  Arrays combine as NumPy's do (float32 with float64 gives float64); Python numbers and NumPy scalars take
        the arrays' dtype. A gradient has its input's dtype. Reductions of float16 add up in float32, of float32
        in float64 where NumPy would add one by one. Integer tensors carry no gradient.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from . import primitives as ops
from .arrays import Array
from .errors import DTypeError, GradientError, InPlaceError, ShapeError, TinygradNormError, describe
from .op import Op
from .shapes import canonical_axes, explain, sizes_of
from .state import state

_births = itertools.count()


Method = TypeVar("Method", bound="Callable[..., Tensor]")


def _unary(operation: Op) -> Callable[[Tensor], Tensor]:
    def method(self: Tensor) -> Tensor:
        return self.apply_op(operation, (self,), {})

    return _described(method, operation)


def _binary(operation: Op) -> Callable[[Tensor, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        return self.apply_op(operation, (self, other), {})

    return _described(method, operation)


def _reflected(operation: Op) -> Callable[[Tensor, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        return self.apply_op(operation, (other, self), {})

    return _described(method, operation)


def _described(method: Method, operation: Op) -> Method:
    method.__name__, method.__doc__ = operation.name, operation.text.format("self", "other")
    return method


class Tensor:
    """An array and where it came from.

    ``data``: the array, read-only (a record whose numbers change would give the gradient of others).
    ``op``, ``inputs``, ``params``: what computed it; ``None``, ``()``, ``{}`` for a leaf. An input is a
    tensor, or a Python number that stays a number (so it never changes a dtype).
    ``birth``: when it came to be. Inputs are older than outputs, so sorting by birth is a topological
    order, and an input younger than its output has been overwritten since.
    """

    __slots__ = ("__weakref__", "_data", "birth", "grad", "inputs", "name", "op", "params", "requires_grad", "scope")

    def __init_subclass__(cls) -> None:
        raise TypeError("Tensor is not made to be subclassed: a record knows one kind of node. Hold one instead.")

    _data: Array
    op: Op | None
    inputs: tuple[Any, ...]
    params: dict[str, Any]

    def __init__(self, data: Array, requires_grad: bool = False, name: str | None = None) -> None:
        if requires_grad and data.dtype.kind != "f":
            raise DTypeError(
                f"tensor: {name or 'data'} {data.shape} has dtype {data.dtype}; only floating-point tensors can "
                "require gradients. Cast first: data.astype('float64')."
            )
        self._data = data
        self.op, self.inputs, self.params = None, (), {}
        self.requires_grad, self.name, self.scope = requires_grad, name, state.scope
        self.grad: Tensor | None = None
        self.birth = next(_births)

    # What it is ------------------------------------------------------------------------------------

    @property
    def data(self) -> Array:
        """The values. Read-only; on a leaf, assigning a new array of the same shape and dtype updates it."""
        self._data.flags.writeable = False
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        if self.op is not None:
            raise InPlaceError(f"data: {self!s} was computed by {self.op.name}; only leaves can be given new data.")
        new = np.array(value)
        if new.shape != self.shape or new.dtype != self.dtype:
            raise ShapeError(
                f"data: new data {describe(new)} for {describe(self)}; shape and dtype must stay. Make a new tensor instead."
            )
        self._data = new
        self.birth = next(_births)  # younger than every record that read the old data

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

    @property
    def T(self) -> Tensor:
        return self.transpose()

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

    def backward(self, gradient: Any = None) -> None:
        """Add d(self)/d(leaf), weighted by ``gradient``, into ``.grad`` of every leaf that requires it."""
        from .backward import backward

        backward(self, gradient)

    # How operations meet it --------------------------------------------------------------------------

    def apply_op(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        """An op over tensors: compute, and remember. The meaning of calling an ``Op`` with a tensor."""
        arrays, record = [], False
        for x in inputs:
            if type(x) is Tensor:
                arrays.append(x._data)
                record = record or x.requires_grad
            elif type(x) in _NUMBERS:
                arrays.append(x)
            else:
                return self.apply_op(op, tuple(lift(x, op) for x in inputs), params)
        try:
            data = op.forward(*arrays, **params)
        except TinygradNormError:
            raise
        except (ValueError, IndexError, TypeError, OverflowError, MemoryError) as error:
            raise explain(op, inputs, params, error) from None
        out = Tensor.__new__(Tensor)
        out._data = data if type(data) is np.ndarray else np.asarray(data)
        out.name = out.grad = None
        out.birth = next(_births)
        out.scope = state.scope
        if record and state.recording and not op.constant and out._data.dtype.kind == "f":
            out.op, out.inputs, out.params, out.requires_grad = op, inputs, params, True
        else:
            out.op, out.inputs, out.params, out.requires_grad = None, (), {}, False
        return out

    # Operators ---------------------------------------------------------------------------------------

    __add__, __radd__ = _binary(ops.add), _reflected(ops.add)
    __sub__, __rsub__ = _binary(ops.sub), _reflected(ops.sub)
    __mul__, __rmul__ = _binary(ops.mul), _reflected(ops.mul)
    __truediv__, __rtruediv__ = _binary(ops.div), _reflected(ops.div)
    __gt__, __ge__ = _binary(ops.greater), _binary(ops.greater_equal)
    __lt__, __le__ = _binary(ops.less), _binary(ops.less_equal)
    __eq__, __ne__ = _binary(ops.equal), _binary(ops.not_equal)  # type: ignore[assignment]
    __hash__ = object.__hash__  # a node is itself; == compares values
    __neg__, __abs__ = _unary(ops.neg), _unary(ops.abs)

    def __pos__(self) -> Tensor:
        return self

    def __pow__(self, n: Any) -> Tensor:
        if isinstance(n, np.generic):
            n = n.item()
        if type(n) not in (int, float):
            raise DTypeError(
                f"pow: the exponent must be one constant number, not {describe(n)}. For a varying one write exp(n * log(x))."
            )
        return self.apply_op(ops.pow, (self,), {"n": n})

    def __rpow__(self, base: Any) -> Tensor:
        raise DTypeError(f"pow: {describe(base)} ** {describe(self)}: only constant exponents. Write exp(x * log(base)).")

    def __matmul__(self, other: Any) -> Any:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return matmul(other, self)

    # Functions as methods ------------------------------------------------------------------------------

    exp, log, sqrt, rsqrt = _unary(ops.exp), _unary(ops.log), _unary(ops.sqrt), _unary(ops.rsqrt)
    tanh, sigmoid, relu, abs = _unary(ops.tanh), _unary(ops.sigmoid), _unary(ops.relu), _unary(ops.abs)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """A copy of another dtype; its gradient comes back in this one's."""
        return self.apply_op(ops.astype, (self,), {"dtype": np.dtype(dtype)})

    def sum(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Over all axes, or over ``axis`` (also spelled ``dim``): an int or several."""
        return self._reduce(ops.sum, axis, keepdims, dim, keepdim)

    def mean(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Over all axes, or over ``axis`` (also spelled ``dim``): an int or several."""
        return self._reduce(ops.mean, axis, keepdims, dim, keepdim)

    def max(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """The largest value (values only; equal ones share the gradient), over ``axis`` (or ``dim``)."""
        return self._reduce(ops.max, axis, keepdims, dim, keepdim)

    def _reduce(self, reduction: Op, axis: Any, keepdims: bool, dim: Any, keepdim: bool) -> Tensor:
        if axis is not None and dim is not None:
            raise TypeError(f"{reduction.name}: axis and dim are two names of one argument; give one of them.")
        axes = canonical_axes(axis if dim is None else dim, self.ndim, reduction.name)
        out = self.apply_op(reduction, (self,), {"axis": axes}) if axes else self
        if keepdims or keepdim or not axes:
            return out
        return out.reshape(tuple([n for a, n in enumerate(self.shape) if a not in axes]))

    def reshape(self, *shape: Any) -> Tensor:
        """As NumPy's: one size may be −1."""
        return self.apply_op(ops.reshape, (self,), {"shape": sizes_of(shape)})

    def transpose(self, *axes: Any) -> Tensor:
        """The axes in the given order, or reversed: NumPy's transpose (PyTorch's ``permute``)."""
        order = sizes_of(axes) if axes and axes != (None,) else tuple(range(self.ndim))[::-1]
        order = canonical_axes(order, self.ndim, "transpose", ordered=True)
        if len(order) != self.ndim:
            raise ShapeError(f"transpose: axes {order} for {describe(self)}: every axis must be named once.")
        return self.apply_op(ops.transpose, (self,), {"axes": order})

    permute = transpose

    def broadcast_to(self, *shape: Any) -> Tensor:
        return self.apply_op(ops.broadcast_to, (self,), {"shape": sizes_of(shape)})

    def __getitem__(self, index: Any) -> Tensor:
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(p.data if isinstance(p, Tensor) else np.array(p) if isinstance(p, (list, np.ndarray)) else p for p in parts)
        return self.apply_op(ops.getitem, (self,), {"index": parts})

    def __setitem__(self, index: Any, value: Any) -> None:
        raise InPlaceError(
            f"setitem: {describe(self)} may be part of a record, whose data must not change. "
            "Build the result instead: tn.where(mask, new, x) or tn.concatenate([...])."
        )

    # Manners -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len: a 0-d tensor has no length.")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"bool: {describe(self)} has {self.size} truth values, not one. Ask (x > 0).numpy().all() or .any(), "
                "or select with tn.where."
            )
        return bool(self._data.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __repr__(self) -> str:
        values = np.array2string(self._data, precision=4, separator=", ", threshold=100, prefix="tensor(")
        facts = [f"dtype={self.dtype}"]
        if self.name:
            facts.append(f"name={self.name!r}")
        if self.op is not None:
            facts.append(f"from={self.op.name}")
        if self.requires_grad:
            facts.append("requires_grad=True")
        return f"tensor({values}, {', '.join(facts)})"

    def __str__(self) -> str:
        return repr(self)

    def __reduce__(self) -> Any:
        """Pickling and copying: leaves only. A copy is a leaf of its own, with the gradient it has so far."""
        if self.op is not None:
            raise GradientError(
                f"pickle: {describe(self)} was computed by {self.op.name}; a record cannot be pickled or copied. "
                "Copy its leaves and compute again, or copy x.detach()."
            )
        return _leaf, (np.array(self._data), self.requires_grad, self.name, self.grad)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        from .numpy_protocol import as_array

        return as_array(self, dtype, copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from .numpy_protocol import apply_ufunc

        return apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from .numpy_protocol import apply_function

        return apply_function(func, args, kwargs)


_NUMBERS = (float, int, bool)


def _leaf(data: Array, requires_grad: bool, name: str | None, grad: Tensor | None) -> Tensor:
    leaf = Tensor(data, requires_grad, name)
    leaf.grad = grad
    return leaf


def tensor(data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A leaf holding a copy of ``data`` (numbers, nested lists, an array, a tensor).

    The dtype is NumPy's for the data (float64 for Python floats) unless given. Raises ``DTypeError`` when
    integers should require gradients, or when the data is not numeric.
    """
    try:
        array = np.array(data._data if isinstance(data, Tensor) else data, dtype=dtype, order="C")
    except (ValueError, TypeError) as error:
        raise DTypeError(f"tensor: cannot make one array of the data: {error}") from None
    return Tensor(_numeric(array), requires_grad, name)


def from_numpy(array: Array, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A leaf that shares ``array``'s memory.

    The array is made read-only: writing to it would change a record behind its back. ``tn.tensor`` copies.
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}. tn.tensor copies anything.")
    array.flags.writeable = False
    return Tensor(_numeric(array), requires_grad, name)


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


def matmul(a: Any, b: Any) -> Any:
    """Matrix product as NumPy's ``@``: batched over leading axes, vectors on either side."""
    a, b = lift(a, ops.matmul), lift(b, ops.matmul)
    if not getattr(a, "ndim", 0) or not getattr(b, "ndim", 0):
        raise ShapeError(f"matmul: {describe(a)} @ {describe(b)}: a number has no rows or columns. Use *.")
    left, right = a.ndim == 1, b.ndim == 1
    if left:
        a = a.reshape(1, -1)
    if right:
        b = b.reshape(-1, 1)
    out = ops.matmul(a, b)
    if left or right:
        out = out.reshape(out.shape[:-2] + (() if left else out.shape[-2:-1]) + (() if right else out.shape[-1:]))
    return out


def concatenate(tensors: Any, axis: int | None = 0) -> Tensor:
    """Tensors joined along an existing axis, as NumPy's."""
    parts = [t if isinstance(t, Tensor) else tensor(t) for t in tensors]
    if not parts:
        raise ShapeError("concatenate: nothing to join; give at least one tensor.")
    if axis is None:
        raise ShapeError("concatenate: axis=None would flatten the parts; do so first: t.reshape(-1).")
    (axis,) = canonical_axes(axis, parts[0].ndim, "concatenate")
    return ops.concatenate(*parts, axis=axis)  # type: ignore[no-any-return]
