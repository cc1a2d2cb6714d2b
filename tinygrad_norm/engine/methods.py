"""What a tensor can do: operators, functions as methods, NumPy's protocol. From tables, put on at the top of the room."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from . import forms, functions
from . import primitives as ops
from .arguments import as_tensor, meeting, ordered
from .arrays import Array
from .elementwise import pow
from .errors import DTypeError, GradientError, HistoryLostWarning, InPlaceError, OptionError, ShapeError, describe, speaking_as
from .hooks import register_hook, retain_grad
from .in_place import changing, copy_, fill_, in_place, requires_grad_, zero_
from .numpy_protocol import apply_function, apply_ufunc, as_array
from .op import Op
from .products import matmul
from .shapes import canonical_axes, flag, sizes_of
from .tensor import Tensor, as_dtype, not_real
from .walk import backward

Method = TypeVar("Method", bound="Callable[..., Tensor]")


def _described(method: Method, operation: Op) -> Method:
    method.__name__, method.__doc__ = operation.name, operation.text.format("self", "other")
    return method


def _unary(operation: Op) -> Callable[[Any], Tensor]:
    def method(self: Tensor) -> Tensor:
        return self.apply_op(operation, (self,), {})

    return _described(method, operation)


def _binary(operation: Op) -> Callable[[Any, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        return self.apply_op(operation, (self, other), {})

    return _described(method, operation)


def _order(operation: Op) -> Callable[[Any, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        ordered(operation.name, self, other)
        return self.apply_op(operation, (self, other), {})

    return _described(method, operation)


def _equality(operation: Op) -> Callable[[Any, Any], Any]:
    """``x == y`` compares values; with what holds none (None, text, a module) it is Python's: another object."""

    def method(self: Tensor, other: Any) -> Any:
        return self.apply_op(operation, (self, other), {}) if isinstance(other, _VALUES) else NotImplemented

    return _described(method, operation)


_VALUES = (Tensor, int, float, np.ndarray, np.generic, complex, list, tuple)


def _reflected(operation: Op) -> Callable[[Any, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        return self.apply_op(operation, (other, self), {})

    return _described(method, operation)


def _cast(name: str, dtype: str) -> Callable[[Any], Tensor]:
    def method(self: Tensor) -> Tensor:
        return _as(name, self, np.dtype(dtype))

    method.__name__ = name
    method.__doc__ = f"In {dtype}; itself where it is that already."
    return method


class Methods:
    """See ``Tensor``, whose methods these are."""

    __slots__ = ()

    # Operators ---------------------------------------------------------------------------------------

    __add__, __radd__, __iadd__ = _binary(ops.add), _reflected(ops.add), in_place(ops.add)
    __sub__, __rsub__, __isub__ = _binary(ops.sub), _reflected(ops.sub), in_place(ops.sub)
    __mul__, __rmul__, __imul__ = _binary(ops.mul), _reflected(ops.mul), in_place(ops.mul)
    __truediv__, __rtruediv__, __itruediv__ = _binary(ops.div), _reflected(ops.div), in_place(ops.div)
    __gt__, __ge__ = _order(ops.greater), _order(ops.greater_equal)
    __lt__, __le__ = _order(ops.less), _order(ops.less_equal)
    __eq__, __ne__ = _equality(ops.equal), _equality(ops.not_equal)
    __hash__ = object.__hash__  # a node is itself; == compares values
    __neg__, __abs__ = _unary(ops.neg), _unary(ops.abs)

    def __pos__(self: Any) -> Tensor:
        return self  # type: ignore[no-any-return]

    def __pow__(self: Any, exponent: Any) -> Tensor:
        return pow(self, exponent)

    def __rpow__(self: Any, base: Any) -> Tensor:
        return pow(base, self)

    def __matmul__(self: Any, other: Any) -> Any:
        return matmul(self, other)

    def __rmatmul__(self: Any, other: Any) -> Any:
        return matmul(other, self)

    def __invert__(self: Any) -> Tensor:
        return _bits(np.invert, self)

    def __and__(self: Any, other: Any) -> Tensor:
        return _bits(np.bitwise_and, self, other)

    def __or__(self: Any, other: Any) -> Tensor:
        return _bits(np.bitwise_or, self, other)

    def __xor__(self: Any, other: Any) -> Tensor:
        return _bits(np.bitwise_xor, self, other)

    # Functions as methods ------------------------------------------------------------------------------
    # Each is the function of the same name, the tensor its first argument.

    add, sub, mul, div, neg, matmul = __add__, __sub__, __mul__, __truediv__, __neg__, __matmul__
    gt, ge, lt, le, eq, ne = __gt__, __ge__, __lt__, __le__, _binary(ops.equal), _binary(ops.not_equal)
    exp, log, sqrt, rsqrt = _unary(ops.exp), _unary(ops.log), _unary(ops.sqrt), _unary(ops.rsqrt)
    tanh, sigmoid, relu, abs = _unary(ops.tanh), _unary(ops.sigmoid), functions.relu, _unary(ops.abs)
    sin, cos, log1p, expm1, erf = _unary(ops.sin), _unary(ops.cos), _unary(ops.log1p), _unary(ops.expm1), _unary(ops.erf)
    pow, square, maximum, minimum = pow, functions.square, functions.maximum, functions.minimum
    clamp, clip, masked_fill = functions.clamp, functions.clip, functions.masked_fill
    softmax, log_softmax, logsumexp = functions.softmax, functions.log_softmax, functions.logsumexp
    prod, cumsum, cumprod, var, std, norm = (
        functions.prod,
        functions.cumsum,
        functions.cumprod,
        functions.var,
        functions.std,
        functions.norm,
    )
    amax, amin, argmax, argmin = functions.amax, functions.amin, functions.argmax, functions.argmin
    sort, topk, gather, take_along_dim = functions.sort, functions.topk, functions.gather, functions.take_along_dim
    split, chunk, unbind, flip, roll = functions.split, functions.chunk, functions.unbind, functions.flip, functions.roll
    permute, swapaxes, swapdims, movedim = functions.permute, functions.swapaxes, forms.swapdims, functions.movedim
    flatten, squeeze, unsqueeze = functions.flatten, functions.squeeze, functions.unsqueeze
    expand, repeat, tile, clone = functions.expand, functions.repeat, functions.tile, functions.clone
    tril, triu = functions.tril, functions.triu
    backward, register_hook, retain_grad = backward, register_hook, retain_grad

    def sum(self: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Over all axes, or over ``axis`` (also spelled ``dim``): an int or several."""
        return _reduce(self, ops.sum, axis, keepdims, dim, keepdim)

    def mean(self: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Over all axes, or over ``axis`` (also spelled ``dim``): an int or several."""
        return _reduce(self, ops.mean, axis, keepdims, dim, keepdim)

    def max(self: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """The largest value (values only; equal ones share the gradient), over ``axis`` (or ``dim``)."""
        ordered("max", self)
        return _reduce(self, ops.max, axis, keepdims, dim, keepdim)

    def min(self: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """The least value (values only; equal ones share the gradient), over ``axis`` (or ``dim``)."""
        axis, kept = _one_name("min", axis, dim), _kept("min", keepdims, keepdim)
        with speaking_as("min"):
            return functions.amin(self, axis, kept)

    def any(self: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Whether some entry is not 0, over ``axis`` (or ``dim``)."""
        return _asked(np.any, "any", self, _one_name("any", axis, dim), _kept("any", keepdims, keepdim))

    def all(self: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Whether no entry is 0, over ``axis`` (or ``dim``)."""
        return _asked(np.all, "all", self, _one_name("all", axis, dim), _kept("all", keepdims, keepdim))

    def reshape(self: Any, *shape: Any) -> Tensor:
        """As NumPy's: one size may be −1."""
        sizes = sizes_of(shape, "reshape")
        if sizes and min(sizes) < -1:
            raise ShapeError(f"reshape: {describe(self)} to {sizes}: sizes are from 0 on; one may be -1, which is what remains.")
        return self.apply_op(ops.reshape, (self,), {"shape": sizes})  # type: ignore[no-any-return]

    def view(self: Any, *shape: Any) -> Tensor:
        """``reshape``: data never changes here, so it does not matter whose memory it is."""
        return self.reshape(*shape)  # type: ignore[no-any-return]

    def reshape_as(self: Any, other: Tensor) -> Tensor:
        """In the shape of another."""
        with speaking_as("reshape_as"):
            return self.reshape(_other("reshape_as", other).shape)  # type: ignore[no-any-return]

    def view_as(self: Any, other: Tensor) -> Tensor:
        """In the shape of another."""
        with speaking_as("view_as"):
            return self.reshape(_other("view_as", other).shape)  # type: ignore[no-any-return]

    def expand_as(self: Any, other: Tensor) -> Tensor:
        """Spread to the shape of another."""
        with speaking_as("expand_as"):
            return self.broadcast_to(_other("expand_as", other).shape)  # type: ignore[no-any-return]

    def transpose(self: Any, *axes: Any) -> Tensor:
        """Two integers: these two axes exchanged, as PyTorch's. A tuple, or three and more: the axes in that order, as NumPy's
        (PyTorch's ``permute``). Nothing: the axes reversed."""
        order: Any = axes[0] if len(axes) == 1 else axes or None
        if order is None:
            order = tuple(range(self.ndim))[::-1]
        if len(axes) == 2:
            first, second = canonical_axes(axes, self.ndim, "transpose", ordered=True, twice=True)
            order = list(range(self.ndim))
            order[first], order[second] = second, first
        order = canonical_axes(order, self.ndim, "transpose", ordered=True)
        if len(order) != self.ndim:
            raise ShapeError(f"transpose: axes {order} for {describe(self)}: every axis must be named once.")
        return self.apply_op(ops.transpose, (self,), {"axes": order})  # type: ignore[no-any-return]

    @property
    def T(self: Any) -> Tensor:
        """The axes reversed, as NumPy's."""
        return self.transpose()  # type: ignore[no-any-return]

    @property
    def mT(self: Any) -> Tensor:
        """The last two axes exchanged: of a matrix, or of each in a batch."""
        if self.ndim < 2:
            raise ShapeError(f"mT: {describe(self)} has {self.ndim} axes; a matrix has two.")
        return self.transpose(-1, -2)  # type: ignore[no-any-return]

    def broadcast_to(self: Any, *shape: Any) -> Tensor:
        """Repeated along new axes in front, and along those of size 1, up to ``shape``; a view."""
        return self.apply_op(ops.broadcast_to, (self,), {"shape": sizes_of(shape, "broadcast_to")})  # type: ignore[no-any-return]

    # Entries -------------------------------------------------------------------------------------------

    def __getitem__(self: Any, index: Any) -> Tensor:
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(
            [p.data if isinstance(p, Tensor) else np.array(p) if isinstance(p, (list, np.ndarray)) else p for p in parts]
        )
        return self.apply_op(ops.getitem, (self,), {"index": parts})  # type: ignore[no-any-return]

    def __setitem__(self: Any, index: Any, value: Any) -> None:
        raise InPlaceError(
            f"setitem: {describe(self)} may be part of a record, whose data must not change. "
            "Build the result instead: tn.where(mask, new, x) or tn.concatenate([...])."
        )

    def __len__(self: Any) -> int:
        if not self.ndim:
            raise ShapeError(f"len: {describe(self)} is one number and has no length. x.reshape(1) has one.")
        return self.shape[0]  # type: ignore[no-any-return]

    def __contains__(self: Any, value: Any) -> bool:
        try:
            found = self == value
        except (ShapeError, DTypeError) as error:
            raise type(error)(f"in: {str(error).removeprefix('equal: ')}") from None
        return bool(found._data.any()) if isinstance(found, Tensor) else False

    def __iter__(self: Any) -> Iterator[Tensor]:
        if not self.ndim:
            raise ShapeError(f"iter: {describe(self)} is one number; there is nothing to go through. Use x.reshape(1).")
        return (self[i] for i in range(len(self)))

    # In place: new data for a leaf -----------------------------------------------------------------------

    add_, sub_, mul_, div_ = changing(ops.add), changing(ops.sub), changing(ops.mul), changing(ops.div)
    copy_, fill_, zero_, requires_grad_ = copy_, fill_, zero_, requires_grad_

    # As numbers ----------------------------------------------------------------------------------------

    def __bool__(self: Any) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"bool: {describe(self)} has {self.size} truth values, not one. Ask (x > 0).numpy().all() or .any(), "
                "or select with tn.where."
            )
        return bool(self._data.item())

    def __float__(self: Any) -> float:
        return float(_leaving(self, "float"))

    def __int__(self: Any) -> int:
        return int(_leaving(self, "int"))

    def __complex__(self: Any) -> complex:
        return complex(_leaving(self, "complex"))

    def __index__(self: Any) -> int:
        if self.dtype.kind not in "iub" or self.size != 1:
            raise DTypeError(f"index: {describe(self)} is not one integer. Cast it: .astype('int64').")
        return int(self._data.item())

    # As text, and elsewhere ------------------------------------------------------------------------------

    def __repr__(self: Any) -> str:
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

    def __format__(self: Any, spec: str) -> str:
        try:
            return format(self._data.item() if self.size == 1 and spec else repr(self), spec)
        except ValueError as error:
            raise OptionError(f"format: {describe(self)}: {error}. Numbers take '.3f', tensors of several nothing.") from None

    def __reduce__(self: Any) -> Any:
        """Pickling and copying: leaves only. A copy is a leaf of its own, with the gradient it has so far."""
        if self.op is not None:
            raise GradientError(
                f"pickle: {describe(self)} was computed by {self.op.name}; a record cannot be pickled or copied. "
                "Copy its leaves and compute again, or copy x.detach()."
            )
        return _leaf, (np.array(self._data), self.requires_grad, self.name, self.grad)

    def tolist(self: Any) -> Any:
        """Nested lists of Python numbers; of a tensor without axes one number."""
        return self._data.tolist()

    def dim(self: Any) -> int:
        """How many axes there are."""
        return self.ndim  # type: ignore[no-any-return]

    def numel(self: Any) -> int:
        """How many entries there are."""
        return self.size  # type: ignore[no-any-return]

    def contiguous(self: Any) -> Tensor:
        """Itself: memory layout is nobody's business here."""
        return self  # type: ignore[no-any-return]

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Array:
        return as_array(self, dtype, copy)

    def __array_ufunc__(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self: Any, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return apply_function(func, args, kwargs)

    # Casts; last, since they hide Python's own names ------------------------------------------------------

    def astype(self: Any, dtype: DTypeLike) -> Tensor:
        """A copy of another dtype; its gradient comes back in this one's."""
        return _copied("astype", self, as_dtype("astype", dtype))

    def to(self: Any, dtype: Any) -> Tensor:
        """In another dtype, or in that of another tensor; itself where it is that already. There is one device: "cpu"."""
        if isinstance(dtype, str) and dtype == "cpu":
            return self  # type: ignore[no-any-return]
        wanted = dtype.dtype if isinstance(dtype, Tensor) else as_dtype("to", dtype)
        return _as("to", self, wanted)

    def type_as(self: Any, other: Tensor) -> Tensor:
        """In the dtype of another."""
        return _as("type_as", self, _other("type_as", other).dtype)

    half, double, long = _cast("half", "float16"), _cast("double", "float64"), _cast("long", "int64")
    float, int, bool = _cast("float", "float32"), _cast("int", "int32"), _cast("bool", "bool")


def _as(name: str, x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    return x if dtype == x.dtype else _copied(name, x, dtype)


def _copied(name: str, x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    if x.dtype.kind == "c" and dtype.kind != "c":
        raise not_real(name, x, dtype)
    return x.apply_op(ops.astype, (x,), {"dtype": dtype})


def _other(name: str, other: Any) -> Tensor:
    """Another tensor, whose shape or dtype is asked for."""
    if not isinstance(other, (Tensor, np.ndarray)):
        raise DTypeError(f"{name}: other is {describe(other)}; it is a tensor.")
    return as_tensor(other, name, "other")


def _reduce(x: Tensor, reduction: Op, axis: Any, keepdims: bool, dim: Any, keepdim: bool) -> Tensor:
    axes = canonical_axes(_one_name(reduction.name, axis, dim), x.ndim, reduction.name)
    if type(keepdims) is not bool or type(keepdim) is not bool:
        keepdims = _kept(reduction.name, keepdims, keepdim)
    out = x.apply_op(reduction, (x,), {"axis": axes}) if axes else x
    if keepdims or keepdim or not axes:
        return out
    return out.reshape(tuple([n for a, n in enumerate(x.shape) if a not in axes]))


def _kept(name: str, keepdims: Any, keepdim: Any) -> bool:
    """One flag by two names."""
    return flag(name, "keepdims", keepdims) | flag(name, "keepdim", keepdim)


def _one_name(name: str, axis: Any, dim: Any) -> Any:
    if axis is not None and dim is not None:
        raise OptionError(
            f"{name}: axis={describe(axis)} and dim={describe(dim)} are two names of one argument; give one of them."
        )
    return axis if dim is None else dim


def _asked(question: Callable[..., Any], name: str, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return Tensor(np.asarray(question(x._data, canonical_axes(axis, x.ndim, name), keepdims=flag(name, "keepdim", keepdims))))


def _bits(ufunc: np.ufunc, *operands: Any) -> Tensor:
    """~x, x & y, …: of truth values and whole numbers; nothing flows back."""
    xs = [as_tensor(x, ufunc.__name__, "operand") for x in operands]
    if any(x.dtype.kind not in "biu" for x in xs):
        raise DTypeError(
            f"{ufunc.__name__}: {' and '.join(map(describe, xs))}: only truth values and whole numbers have bits. Ask x > 0."
        )
    meeting(ufunc.__name__, *xs)
    return Tensor(np.asarray(ufunc(*(x._data for x in xs))))


def _leaving(x: Tensor, as_what: str) -> float:
    """The one number of a tensor that leaves the record."""
    if x.size != 1 or (x.dtype.kind == "c" and as_what != "complex"):
        raise ShapeError(f"{as_what}: {describe(x)} is not one real number. Use .item() for one, .numpy() for more.")
    value = x.item()
    if x.requires_grad:
        warnings.warn(
            f"{as_what}: {describe(x)} requires a gradient, and its history ends here. Use .item() or .detach() to leave the record on purpose.",
            HistoryLostWarning,
            stacklevel=3,
        )
    return value


def _leaf(data: Array, requires_grad: bool, name: str | None, grad: Tensor | None) -> Tensor:
    leaf = Tensor(data, requires_grad, name)
    leaf.grad = grad
    return leaf


for _name, _member in vars(Methods).items():
    if _name not in ("__dict__", "__doc__", "__module__", "__slots__", "__weakref__"):
        setattr(Tensor, _name, _member)
