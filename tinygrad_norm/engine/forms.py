"""Form: tensors joined, cut, turned, spread and padded. Nothing here computes on an entry; gradients go where entries went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from . import primitives as op
from .arguments import as_tensor, one_axis, part, several
from .errors import DTypeError, OptionError, ShapeError, describe, speaking_as
from .shapes import canonical_axes, sizes_of, whole, wholes
from .tensor import Tensor

# Joined and cut -----------------------------------------------------------------------------------------


def concatenate(tensors: Any, axis: int | None = 0) -> Tensor:
    """Tensors joined along an existing axis, as NumPy's; PyTorch's ``cat``."""
    parts = several(tensors, "concatenate")
    if axis is None:
        raise ShapeError("concatenate: axis=None would flatten the parts; do so first: t.reshape(-1).")
    return op.concatenate(*parts, axis=one_axis(axis, parts[0], "concatenate"))  # type: ignore[no-any-return]


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis."""
    parts = several(tensors, "stack")
    for t in parts:
        if t.shape != parts[0].shape:
            raise ShapeError(
                f"stack: {describe(parts[0])} and {describe(t)}: all shapes must be equal. concatenate joins others."
            )
    axis = _new_axis("stack", dim, parts[0])
    shape = (*parts[0].shape[:axis], 1, *parts[0].shape[axis:])
    return op.concatenate(*(t.reshape(shape) for t in parts), axis=axis)  # type: ignore[no-any-return]


def _new_axis(name: str, dim: Any, x: Tensor) -> int:
    axes = canonical_axes(dim, x.ndim + 1, name)
    if dim is None or len(axes) != 1:
        raise ShapeError(f"{name}: dim={dim!r} for {describe(x)}: the new axis needs one place, from {-x.ndim - 1} to {x.ndim}.")
    return axes[0]


def split(tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along ``dim``: of one size (the last may be smaller), or of the sizes given."""
    x = as_tensor(tensor, "split")
    axis = one_axis(dim, x, "split")
    n = x.shape[axis]
    if isinstance(split_size_or_sections, (tuple, list, np.ndarray)):
        sizes = list(wholes("split", "split_size_or_sections", split_size_or_sections))
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise ShapeError(f"split: pieces of sizes {sizes} of {describe(x)}: along dim {axis} they must add up to {n}.")
    else:
        size = whole("split", "split_size_or_sections", split_size_or_sections)
        if size < 1:
            raise ShapeError(f"split: pieces of size {size} of {describe(x)}; the size must be at least 1.")
        sizes = [min(size, n - start) for start in range(0, n, size)] or [0]
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(part(x, axis, i, j) for i, j in pairwise(ends))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces along ``dim``, all of one size but the last, which may be smaller."""
    x = as_tensor(input, "chunk")
    count = whole("chunk", "chunks", chunks, 1)
    n = x.shape[one_axis(dim, x, "chunk")]
    return split(x, -(-n // count), dim) if n else (x,) * count


def unbind(input: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """The entries along ``dim``, each without that axis."""
    x = as_tensor(input, "unbind")
    axis = one_axis(dim, x, "unbind")
    return tuple(x[(slice(None),) * axis + (i,)] for i in range(x.shape[axis]))


# Turned -------------------------------------------------------------------------------------------------


def flip(input: Any, dims: Any) -> Tensor:
    """The order along ``dims`` reversed."""
    x = as_tensor(input, "flip")
    axes = canonical_axes(dims, x.ndim, "flip")
    return x[tuple(slice(None, None, -1) if a in axes else slice(None) for a in range(x.ndim))]


def roll(input: Any, shifts: Any, dims: Any = None) -> Tensor:
    """Entries moved on by ``shifts`` along ``dims``, what leaves at the end coming in at the front; without dims, of the flat tensor."""
    x = as_tensor(input, "roll")
    if dims is None:
        return roll(x.reshape(-1), (whole("roll", "shifts", shifts),), 0).reshape(x.shape)
    steps, axes = wholes("roll", "shifts", shifts), canonical_axes(wholes("roll", "dims", dims), x.ndim, "roll", ordered=True)
    if len(steps) != len(axes):
        raise ShapeError(f"roll: {len(steps)} shifts and {len(axes)} dims for {describe(x)}; give one shift for each axis.")
    for step, axis in zip(steps, axes):
        cut = -step % x.shape[axis] if x.shape[axis] else 0
        if step:  # on the record even where it comes round to where it was: at another size it does not
            x = op.concatenate(part(x, axis, cut, None), part(x, axis, 0, cut), axis=axis)
    return x


def permute(input: Any, *dims: Any) -> Tensor:
    """The axes in the order ``dims``."""
    x = as_tensor(input, "permute")
    order = canonical_axes(sizes_of(dims, "permute"), x.ndim, "permute", ordered=True)
    if len(order) != x.ndim:
        raise ShapeError(f"permute: dims={order} for {describe(x)}: every axis must be named once.")
    return op.transpose(x, axes=order)  # type: ignore[no-any-return]


def movedim(input: Any, source: Any, destination: Any) -> Tensor:
    """The axes ``source`` moved to the places ``destination``; the others keep their order."""
    x = as_tensor(input, "movedim")
    given = (wholes("movedim", what, axes) for what, axes in (("source", source), ("destination", destination)))
    sources, places = (canonical_axes(axes, x.ndim, "movedim", ordered=True) for axes in given)
    if len(sources) != len(places):
        raise ShapeError(f"movedim: source={source!r} and destination={destination!r}; give one place for each axis.")
    order = [a for a in range(x.ndim) if a not in sources]
    for place, axis in sorted(zip(places, sources)):
        order.insert(place, axis)
    return permute(x, order)


def swapaxes(input: Any, axis0: int, axis1: int) -> Tensor:
    """Two axes exchanged."""
    x = as_tensor(input, "swapaxes")
    a, b = one_axis(axis0, x, "swapaxes"), one_axis(axis1, x, "swapaxes")
    order = list(range(x.ndim))
    order[a], order[b] = order[b], order[a]
    return permute(x, order)


def swapdims(input: Any, dim0: int, dim1: int) -> Tensor:
    """``swapaxes`` by PyTorch's other name."""
    with speaking_as("swapdims"):
        return swapaxes(input, dim0, dim1)


# Axes more and fewer ------------------------------------------------------------------------------------


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from ``start_dim`` to ``end_dim``, both included, as one."""
    x = as_tensor(input, "flatten")
    if not x.ndim:
        x = x.reshape(1)
    first, last = one_axis(start_dim, x, "flatten"), one_axis(end_dim, x, "flatten")
    if first > last:
        raise ShapeError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim} for {describe(x)}; exchange them.")
    return x.reshape((*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def squeeze(input: Any, dim: Any = None) -> Tensor:
    """Without the axes of size 1, or without those of ``dim`` that have it."""
    x = as_tensor(input, "squeeze")
    axes = canonical_axes(dim, x.ndim, "squeeze")
    return x.reshape(tuple(n for a, n in enumerate(x.shape) if n != 1 or a not in axes))


def unsqueeze(input: Any, dim: int) -> Tensor:
    """With a new axis of size 1 at ``dim``."""
    x = as_tensor(input, "unsqueeze")
    axis = _new_axis("unsqueeze", dim, x)
    return x.reshape((*x.shape[:axis], 1, *x.shape[axis:]))


# Spread -------------------------------------------------------------------------------------------------


def expand(input: Any, *sizes: Any) -> Tensor:
    """Axes of size 1 spread to ``sizes`` (−1: as it is), with new ones in front; what was spread adds up its gradients."""
    x = as_tensor(input, "expand")
    wanted = sizes_of(sizes, "expand")
    lead = len(wanted) - x.ndim
    shape = tuple(x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(wanted))
    if lead < 0 or any(n < 0 for n in shape) or any(m not in (1, n) for m, n in zip(x.shape, shape[max(lead, 0) :])):
        raise ShapeError(
            f"expand: {describe(x)} to {wanted}: counted from the last axis, only a size of 1 can be spread; −1 keeps a size that is there."
        )
    with speaking_as("expand"):
        return x.broadcast_to(shape)


def repeat(input: Any, *repeats: Any) -> Tensor:
    """The tensor laid out ``repeats`` times along each axis, with new axes in front where there are more numbers than axes."""
    x = as_tensor(input, "repeat")
    counts = sizes_of(repeats, "repeat")
    if len(counts) < x.ndim or any(n < 0 for n in counts):
        raise ShapeError(
            f"repeat: {counts} for {describe(x)}: one number from 0 on for each axis, and more for new ones in front."
        )
    shape = (*(1,) * (len(counts) - x.ndim), *x.shape)
    if all(n == 1 for n in counts):
        return x.reshape(shape)
    apart = x.reshape(tuple(m for n in shape for m in (1, n)))
    with speaking_as("repeat"):
        spread = apart.broadcast_to(tuple(m for count, n in zip(counts, shape) for m in (count, n)))
    return spread.reshape(tuple(count * n for count, n in zip(counts, shape)))


def tile(input: Any, dims: Any) -> Tensor:
    """As ``repeat``; where there are fewer numbers than axes, the first axes are taken once."""
    x = as_tensor(input, "tile")
    counts = wholes("tile", "dims", dims, 0)
    with speaking_as("tile"):
        return repeat(x, (*(1,) * (x.ndim - len(counts)), *counts))


def clone(input: Any) -> Tensor:
    """A copy; the gradient comes back unchanged."""
    x = as_tensor(input, "clone")
    return x.astype(x.dtype)


# Padded and cut off -------------------------------------------------------------------------------------


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """``value`` (0) around the input. ``pad``: (before, after) of the last axis, then of the one before it, …; negative crops."""
    x = as_tensor(input, "pad")
    if not isinstance(mode, str) or mode != "constant":
        raise OptionError(f'pad: mode={describe(mode)} for {describe(x)}; only "constant" is known.')
    if not isinstance(pad, (tuple, list, np.ndarray)):
        raise ShapeError(
            f"pad: {describe(pad)} for {describe(x)}: two numbers for each axis, from the last on: (before, after, …)."
        )
    ends = wholes("pad", "pad", pad)
    if len(ends) % 2 or len(ends) > 2 * x.ndim:
        raise ShapeError(f"pad: {ends} for {describe(x)}: two numbers for each axis, from the last on, at most {2 * x.ndim}.")
    fill = 0 if value is None else value
    if isinstance(fill, (str, bytes)) or np.ndim(fill) or not isinstance(fill, (int, float, np.number)):
        raise DTypeError(f"pad: value={describe(fill)}; it is a number.")
    if x.dtype.kind in "iu" and (fill != fill or math.isinf(fill) or fill != int(fill)):
        raise DTypeError(f"pad: value={value} does not fit into {describe(x)}. Cast first: input.astype('float64').")
    width = [(0, 0)] * (x.ndim - len(ends) // 2) + [(ends[i], ends[i + 1]) for i in range(len(ends) - 2, -1, -2)]
    if any(before + n + after < 0 for (before, after), n in zip(width, x.shape)):
        raise ShapeError(f"pad: {ends} crops more than there is of {describe(x)}.")
    if any(n < 0 for both in width for n in both):
        x = x[tuple(slice(max(0, -before), n - max(0, -after)) for (before, after), n in zip(width, x.shape))]
    width = [(max(0, before), max(0, after)) for before, after in width]
    return op.pad(x, width=tuple(width), value=fill)  # type: ignore[no-any-return]


def _triangle(name: str, input: Any, diagonal: Any, lower: bool) -> Tensor:
    x = as_tensor(input, name)
    if x.ndim < 2:
        raise ShapeError(f"{name}: {describe(x)} has {x.ndim} axes; a triangle needs two: rows and columns.")
    rows, columns = x.shape[-2:]
    k = max(-rows - 1, min(whole(name, "diagonal", diagonal), columns + 1))  # beyond, nothing changes
    below = np.tri(rows, columns, k if lower else k - 1, bool)
    return op.where(Tensor(below if lower else ~below), x, False if x.dtype.kind == "b" else 0)  # type: ignore[no-any-return]


def tril(input: Any, diagonal: int = 0) -> Tensor:
    """The entries of the last two axes on and below the diagonal (or one further up), 0 above."""
    return _triangle("tril", input, diagonal, True)


def triu(input: Any, diagonal: int = 0) -> Tensor:
    """The entries of the last two axes on and above the diagonal (or one further up), 0 below."""
    return _triangle("triu", input, diagonal, False)
