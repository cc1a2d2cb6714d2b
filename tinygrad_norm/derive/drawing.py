"""A forward run on numbers that are drawn for it: a registered one at shapes that can be told apart, a user's at sizes of its axes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..engine import GradientError, Tensor, TinygradNormError, describe, pull_back, tensor
from ..engine.arrays import Array
from ..graph import Graph, axis_names
from ..norms import Norm, check_settings, draw
from .assumption import Assumption
from .axes import Axes
from .calls import call_forward, called, gives
from .errors import DerivationError
from .record import Record

_PRIMES = (7, 11, 13, 17, 19, 23, 29)
_SPLIT = (18, 30, 42, 66, 78, 102, 114)  # into 2, 3 or 6 groups, for forwards that cannot have a prime
_SMALL = {5: (3, 5, 7, 11, 13), 6: (2, 3, 5, 7, 11, 13), 7: (2, 3, 4, 5, 7, 9, 11), 8: (2, 3, 4, 5, 7, 9, 11, 13)}
"""Of so many axes: few numbers, and no two products of them alike."""
_MOST = 2**21  # numbers of one input


def of_norm(
    norm: Norm,
    shape: Any,
    backward: str,
    seed: int,
    options: Mapping[str, Any],
    lemmas: Sequence[str],
    given: Mapping[str, Array],
    again: int,
    scale: float,
    on: Mapping[str, Array],
    numbers: Mapping[str, float],
) -> Record:
    settings = check_settings(norm, options, "derive")
    if "ε" in numbers and "eps" in settings:
        settings["eps"] = numbers["ε"]
    if isinstance(settings.get("eps"), float):
        settings["eps"] *= scale
    given = {} if again else {_called(norm, name, settings, shape): a for name, a in given.items()}
    given |= on
    ndim = len(norm.shape) if shape is None else len(shape)
    shape = given["input"].shape if "input" in given else None if again else shape
    dtype = next((a.dtype for a in given.values() if a.dtype.kind == "f"), np.dtype(np.float64))
    if shape is not None and (not shape or min(shape) < 1):
        raise DerivationError(f"derive: shape={shape}; it has at least one axis, and none is empty.")
    candidates = [shape] if shape else [*_shapes(ndim, again), *([norm.shape] if ndim == len(norm.shape) else [])]
    failure: Exception | None = None
    for candidate in candidates:
        rng = np.random.default_rng(seed + _APART * again)
        try:
            values = {n: draw(norm, n, rng, s) for n, s in {"input": candidate, **norm.parameters(candidate, **settings)}.items()}
            values |= {n: a.astype(dtype) if values[n].dtype.kind == "f" else a for n, a in given.items()}
            leaves = {
                n: _leaf(imposed(a, norm.symbol(n), axis_names(a.ndim), lemmas), norm.symbol(n), dtype) for n, a in values.items()
            }
            y = norm.apply(leaves, backward=backward, **settings)
        except (TinygradNormError, ValueError) as error:
            failure = failure or error
            continue
        eps = settings.get("eps")
        if y.op is None:
            raise DerivationError(f"derive: {norm.title} computes nothing with these options.")
        dy = tensor(rng.normal(size=y.shape).astype(y.dtype), requires_grad=True, name="dy")
        axes = {norm.symbol(n): axis_names(a.ndim) for n, a in values.items() if a.shape == values["input"].shape}
        return Record(norm.name, norm.title, y, leaves, dy, axes, {"ε": eps} if isinstance(eps, float) and eps > 0 else {})
    assert failure is not None
    raise failure


def _shapes(ndim: int, again: int) -> list[tuple[int, ...]]:
    """Sizes that can be told apart; the second with channels that split into groups."""
    plain = (tuple(_told_apart(range(ndim), _PRIMES)) * 2)[again : again + ndim]
    return [plain, (plain[0], (6, 10, 14)[again % 3], *plain[1 : ndim - 1])] if ndim > 1 else [plain]


def _leaf(a: Array, name: str, dtype: Any) -> Tensor:
    return tensor(a, name=name) if a.dtype.kind != "f" else tensor(a.astype(dtype), requires_grad=True, name=name)


def _called(norm: Norm, name: str, settings: Mapping[str, Any], shape: Any) -> str:
    """An input's own name, for its name or its symbol."""
    known = ["input", *norm.parameters(shape or norm.shape, **settings)]
    for n in known:
        if name in (n, norm.symbol(n)):
            return n
    told = ", ".join(f"{n} ({norm.symbol(n)})" for n in known)
    raise DerivationError(f"{norm.title} has no input {name!r}; it has {told}.")


def of_function(
    f: Callable[..., Tensor],
    inputs: Any,
    seed: int,
    options: Mapping[str, Any],
    lemmas: Sequence[str],
    again: int,
    scale: float,
    on: Mapping[str, Array],
    numbers: Mapping[str, float],
) -> Record:
    """The forward of a user: on its arrays, on numbers drawn for its axes, or (again) on others, at other sizes."""
    named: dict[str, tuple[str, ...]] = {}
    values: dict[str, Array] = {}
    for n, given in inputs.items():
        given = _axes_or_numbers(n, given)
        (named if isinstance(given, tuple) else values)[n] = given
    single = [Assumption(f"{n} has one entry along an axis, {v.shape}") for n, v in values.items() if 1 in v.shape]
    fixed: list[Mapping[str, Array]] = [{**values, **on}]
    if again and values and not on:
        fixed = list(
            _at_other_sizes(_run(f, inputs, options, values, named, seed, 0, lemmas), values, seed + _APART * again, again)
        )
    first: Record | None = None
    failure: Exception | None = None
    for arrays, drawn in product(fixed, (_PRIMES, _SPLIT)):
        for positive in (False, True):
            try:
                record = _run(f, inputs, options, arrays, named, seed, again, lemmas, positive, drawn)
            except (TinygradNormError, ValueError) as error:
                failure = failure or error
                break
            record = replace(record, notes=(*record.notes, *single))
            if _finite(record) or not (named or again) or on:
                return record
            first = first or record
    if first is None:
        assert failure is not None
        raise failure
    return first


def _axes_or_numbers(name: Any, given: Any) -> Any:
    """What an input is given as: a tuple of names, or an array of floating-point numbers."""
    said = f"derive: inputs={{{describe(name)}: {describe(given)}}}:"
    if not isinstance(name, str):
        raise DerivationError(f"{said} an input is called by the name of its parameter, not by {describe(name)}.")
    if isinstance(given, str):
        raise DerivationError(f"{said} expected the names of its axes, each once, or an array; of one axis: ({given!r},).")
    if isinstance(given, (tuple, list)) and any(isinstance(a, str) for a in given):
        own = [a for a in given if not _is_one(a)]
        if not all(isinstance(a, str) for a in own):
            raise DerivationError(f"{said} an axis is given by its name, not by its size; only one of one entry is 1.")
        if len(set(own)) < len(own) or not all(a.strip().isprintable() and a.strip() for a in own):
            raise DerivationError(f'{said} expected the names of its axes, each once, such as ("B", "N"), or an array.')
        return tuple("" if _is_one(a) else a for a in given)
    if isinstance(given, (tuple, list)) and not given:
        return ()
    if isinstance(given, tuple) and all(map(_is_one, given)):
        return ("",) * len(given)
    if isinstance(given, tuple) and all(isinstance(n, int) for n in given):
        raise DerivationError(
            f'{said} expected the names of its axes, such as ("B", "N"), whose sizes do not matter, or an array: np.ones({given!r}).'
        )
    try:
        value = np.asarray(given.data if isinstance(given, Tensor) else given)
        value = (
            value
            if value.dtype.kind == "f"
            else value.astype(np.float64, casting="safe" if value.dtype.kind in "biu" else "same_kind")
        )
    except (ValueError, TypeError, OverflowError):
        raise DerivationError(
            f'{said} expected the names of its axes, such as ("B", "N"), or an array of real numbers.'
        ) from None
    if not value.size:
        raise DerivationError(
            f"{said} an axis has no entry, {value.shape}; a record needs numbers. Name its axes, or give an entry at least."
        )
    return value


def _is_one(a: Any) -> bool:
    return type(a) is int and a == 1


_APART = 7919  # seeds of other records


def _finite(record: Record) -> bool:
    with np.errstate(all="ignore"):
        found = pull_back({record.output: record.dy.data}, [t for t in record.inputs.values() if t.requires_grad])
    return all(np.all(np.isfinite(a)) for a in (record.output.data, *found.values()))


def _run(
    f: Callable[..., Tensor],
    inputs: Any,
    options: Mapping[str, Any],
    arrays: Mapping[str, Array],
    named: Mapping[str, Sequence[str]],
    seed: int,
    again: int,
    lemmas: Sequence[str],
    positive: bool = False,
    drawn: Sequence[int] = _PRIMES,
) -> Record:
    rng = np.random.default_rng(seed + _APART * again)
    sizes = {a: k for n, own in named.items() if n in arrays for a, k in zip(own, arrays[n].shape) if a}
    drawn = _told_apart({a for own in named.values() for a in own if a}, drawn)
    leaves = {}
    for n in inputs:
        if n in arrays:
            value = np.abs(arrays[n]) + 0.1 if positive and again and n not in named else arrays[n]
        else:
            for a in named[n]:
                if a:
                    sizes.setdefault(a, drawn[(len(sizes) + again) % len(drawn)])
            shape = [sizes[a] if a else 1 for a in named[n]]
            if prod(shape) > _MOST:
                raise DerivationError(
                    f"derive: {n} has {len(shape)} axes: at sizes that can be told apart these are {prod(shape):,} numbers, more than the "
                    f"{_MOST:,} that a record may have. Name axes that always go together as one, or give an array."
                )
            value = rng.normal(size=shape)
            value = np.abs(value) + 0.1 if positive else value
        value = imposed(value, n, named.get(n, axis_names(value.ndim)), lemmas)
        leaves[n] = tensor(value, requires_grad=True, name=n)
    with np.errstate(all="ignore"):
        y = call_forward(f, leaves, options)
    if any(y is leaf for leaf in leaves.values()):
        y = y * 1.0
    if not isinstance(y, Tensor) or y.op is None:
        raise GradientError(
            f"derive: the forward must compute one tensor from its inputs, in recorded operations; this one gives {gives(y)}."
        )
    name = called(f)
    dy = tensor(rng.normal(size=y.shape).astype(y.dtype), requires_grad=True, name="dy")
    notes = ("the inputs are positive: the forward is no number elsewhere",) if positive and named else ()
    return Record("forward" if name == "<lambda>" else name, name, y, leaves, dy, named, {}, notes=notes)


def _told_apart(axes: Collection[Any], usual: Sequence[int]) -> Sequence[int]:
    """Sizes for so many axes."""
    if len(axes) <= 4:
        return usual
    found = _SMALL.get(len(axes)) or _primes(len(axes))
    return [2 * n for n in found] if usual is _SPLIT else found


def _primes(count: int) -> list[int]:
    return [n for n in range(2, 8 * count) if all(n % k for k in range(2, n))][:count]


def _at_other_sizes(first: Record, values: Mapping[str, Array], seed: int, again: int) -> Iterator[dict[str, Array]]:
    """Arrays for the same axes at other sizes; where an axis is made of several, one of these keeps its size."""
    axes = Axes(Graph(first.output), first.axes)
    dims = {n: axes.dims[t] for n, t in first.inputs.items() if n in values and t in axes.dims}
    together = {dim for own in dims.values() for dim in own if len(dim) > 1}
    usual = _PRIMES if len(axes.order) <= 4 else _primes(2 * len(axes.order))
    fresh = [p for p in usual if p not in axes.sizes.values()]
    other = {a: fresh[(k + again) % len(fresh)] for k, a in enumerate(axes.order)}
    for kept in [(), *product(*together), tuple(a for dim in together for a in dim), tuple(axes.order)]:
        sizes = {a: axes.sizes[a] if a in kept else other[a] for a in axes.order}
        rng = np.random.default_rng(seed)
        arrays = {}
        for n, value in values.items():
            shape = [int(np.prod([sizes[a] for a in dim])) for dim in dims[n]] if n in dims else value.shape
            scale = float(np.sqrt(np.mean(value.astype(np.float64) ** 2))) if value.size else 1.0
            if prod(shape) > _MOST:
                break
            arrays[n] = (rng.normal(size=shape) * (scale or 1.0)).astype(value.dtype)
        else:
            yield arrays


def read_lemma(text: str) -> tuple[str | None, str, float]:
    """``Σ_N(q) = 1``: the axes, the letter, the value."""
    found = re.fullmatch(r"\s*(?:Σ|sum)(?:_(\w+))?\(([^()]+)\)\s*=\s*(\d+\.?\d*)\s*", text)
    if found is None:
        raise DerivationError(f"derive: the lemma {text!r} cannot be read; write it as 'Σ_N(q) = 1', q a letter of the record.")
    return found[1], found[2].strip(), float(found[3])


def imposed(a: Array, name: str, axes: Sequence[str], lemmas: Sequence[str]) -> Array:
    """What is known of an input is made true of its numbers."""
    for over, letter, value in map(read_lemma, lemmas):
        if letter == name and a.ndim:
            where = tuple(k for k, axis in enumerate(axes) if axis and axis in (over or axes[-1]))
            a = a * value / a.sum(axis=where, keepdims=True)
    return a
