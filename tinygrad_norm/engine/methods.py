"""What a tensor can do: operators, functions as methods, NumPy's protocol. From tables, put on at the top of the room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from . import forms, functions
from . import primitives as ops
from .arrays import Array
from .as_methods import (
    as_dtype_of,
    asked,
    binary,
    bits,
    cast,
    copied,
    equality,
    extreme,
    kept_axes,
    leaf_again,
    leaving,
    one_name,
    ordering,
    other_tensor,
    reduced_over,
    reflected,
    unary,
)
from .elementwise import pow
from .errors import DTypeError, GradientError, InPlaceError, OptionError, ShapeError, describe, speaking_as
from .hooks import register_hook, retain_grad
from .in_place import changing, clamp_, copy_, fill_, in_place, requires_grad_, zero_
from .numpy_protocol import apply_function, apply_ufunc, as_array
from .products import matmul
from .shapes import canonical_axes, sizes_of
from .tensor import Tensor, as_dtype
from .values import BASIC
from .walk import backward


class Methods:
    """See ``Tensor``, whose methods these are."""

    __slots__ = ()

    # Operators ---------------------------------------------------------------------------------------

    __add__, __radd__, __iadd__ = binary(ops.add), reflected(ops.add), in_place(ops.add)
    __sub__, __rsub__, __isub__ = binary(ops.sub), reflected(ops.sub), in_place(ops.sub)
    __mul__, __rmul__, __imul__ = binary(ops.mul), reflected(ops.mul), in_place(ops.mul)
    __truediv__, __rtruediv__, __itruediv__ = binary(ops.div), reflected(ops.div), in_place(ops.div)
    __floordiv__, __rfloordiv__ = ordering(ops.floor_divide), reflected(ops.floor_divide)
    __mod__, __rmod__, remainder = ordering(ops.remainder), reflected(ops.remainder), ordering(ops.remainder)
    __gt__, __ge__ = ordering(ops.greater), ordering(ops.greater_equal)
    __lt__, __le__ = ordering(ops.less), ordering(ops.less_equal)
    __eq__, __ne__ = equality(ops.equal), equality(ops.not_equal)
    __hash__ = object.__hash__  # a node is itself; == compares values
    __neg__, __abs__ = unary(ops.neg), unary(ops.abs)

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
        return bits(np.invert, self)

    def __and__(self: Any, other: Any) -> Tensor:
        return bits(np.bitwise_and, self, other)

    def __or__(self: Any, other: Any) -> Tensor:
        return bits(np.bitwise_or, self, other)

    def __xor__(self: Any, other: Any) -> Tensor:
        return bits(np.bitwise_xor, self, other)

    # Functions as methods ------------------------------------------------------------------------------
    # Each is the function of the same name, the tensor its first argument.

    add, sub, mul, div, neg, matmul = __add__, __sub__, __mul__, __truediv__, __neg__, __matmul__
    gt, ge, lt, le, eq, ne = __gt__, __ge__, __lt__, __le__, binary(ops.equal), binary(ops.not_equal)
    exp, log, sqrt, rsqrt = unary(ops.exp), unary(ops.log), unary(ops.sqrt), unary(ops.rsqrt)
    tanh, sigmoid, relu, abs = unary(ops.tanh), unary(ops.sigmoid), functions.relu, unary(ops.abs)
    sin, cos, log1p, expm1, erf = unary(ops.sin), unary(ops.cos), unary(ops.log1p), unary(ops.expm1), unary(ops.erf)
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
        return reduced_over(self, ops.sum, axis, keepdims, dim, keepdim)

    def mean(self: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Over all axes, or over ``axis`` (also spelled ``dim``): an int or several."""
        return reduced_over(self, ops.mean, axis, keepdims, dim, keepdim)

    def max(self: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: Any = None) -> Any:
        """The largest of all entries. Along ``dim``, in first place or by name, PyTorch's pair ``(values, indices)``, of equal ones
        the first; over ``axis`` (or with ``keepdims``), or over several, NumPy's values alone, equal ones sharing the gradient."""
        return extreme("max", self, dim, keepdim, axis, keepdims)

    def min(self: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: Any = None) -> Any:
        """The least of all entries; along ``dim`` the pair ``(values, indices)``, over ``axis`` the values: see ``max``."""
        return extreme("min", self, dim, keepdim, axis, keepdims)

    def any(self: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Whether some entry is not 0, over ``axis`` (or ``dim``)."""
        return asked(np.any, "any", self, one_name("any", axis, dim), kept_axes("any", keepdims, keepdim))

    def all(self: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool = False) -> Tensor:
        """Whether no entry is 0, over ``axis`` (or ``dim``)."""
        return asked(np.all, "all", self, one_name("all", axis, dim), kept_axes("all", keepdims, keepdim))

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
            return self.reshape(other_tensor("reshape_as", other).shape)  # type: ignore[no-any-return]

    def view_as(self: Any, other: Tensor) -> Tensor:
        """In the shape of another."""
        with speaking_as("view_as"):
            return self.reshape(other_tensor("view_as", other).shape)  # type: ignore[no-any-return]

    def expand_as(self: Any, other: Tensor) -> Tensor:
        """Spread to the shape of another."""
        with speaking_as("expand_as"):
            return self.broadcast_to(other_tensor("expand_as", other).shape)  # type: ignore[no-any-return]

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

    def t(self: Any) -> Tensor:
        """A matrix transposed; a vector or a number as it is."""
        if self.ndim > 2:
            raise ShapeError(f"t: {describe(self)} has {self.ndim} axes; a matrix has two. x.mT transposes each of a batch.")
        return self.transpose()  # type: ignore[no-any-return]

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
        if not BASIC.issuperset(map(type, parts)):
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

    add_, sub_, mul_, div_ = changing(ops.add, scaled=True), changing(ops.sub, scaled=True), changing(ops.mul), changing(ops.div)
    clamp_, copy_, fill_, zero_, requires_grad_ = clamp_, copy_, fill_, zero_, requires_grad_

    # As numbers ----------------------------------------------------------------------------------------

    def __bool__(self: Any) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"bool: {describe(self)} has {self.size} truth values, not one. Ask (x > 0).numpy().all() or .any(), "
                "or select with tn.where."
            )
        return bool(self._data.item())

    def __float__(self: Any) -> float:
        return float(leaving(self, "float"))

    def __int__(self: Any) -> int:
        number = leaving(self, "int")
        if not np.isfinite(number):
            raise DTypeError(f"int: {describe(self)} is {number}, and no whole number. Ask np.isfinite(x.data) first.")
        return int(number)

    def __complex__(self: Any) -> complex:
        return complex(leaving(self, "complex"))

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
        return leaf_again, (np.array(self._data), self.requires_grad, self.name, self.grad)

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
        return copied("astype", self, as_dtype("astype", dtype))

    def to(self: Any, dtype: Any) -> Tensor:
        """In another dtype, or in that of another tensor; itself where it is that already. There is one device: "cpu"."""
        if isinstance(dtype, str) and dtype == "cpu":
            return self  # type: ignore[no-any-return]
        wanted = dtype.dtype if isinstance(dtype, Tensor) else as_dtype("to", dtype)
        return as_dtype_of("to", self, wanted)

    def type_as(self: Any, other: Tensor) -> Tensor:
        """In the dtype of another."""
        return as_dtype_of("type_as", self, other_tensor("type_as", other).dtype)

    half, double, long = cast("half", "float16"), cast("double", "float64"), cast("long", "int64")
    float, int, bool = cast("float", "float32"), cast("int", "int32"), cast("bool", "bool")


for _name, _member in vars(Methods).items():
    if _name not in ("__dict__", "__doc__", "__module__", "__slots__", "__weakref__"):
        setattr(Tensor, _name, _member)
