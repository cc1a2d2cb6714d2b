"""A forward run on numbers that are drawn for it: a registered one at shapes that can be told apart, a user's at sizes of its axes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ..engine import GradientError, Tensor, TinygradNormError, pull_back, tensor
from ..engine.arrays import Array
from ..graph import Graph, axis_names
from ..norms import Norm, check_settings, draw
from .assumption import Assumption
from .axes import Axes
from .errors import DerivationError
from .record import Record

_PRIMES = (7, 11, 13, 17, 19, 23, 29)
_SPLIT = (18, 30, 42, 66, 78, 102, 114)  # into 2, 3 or 6 groups, for forwards that cannot have a prime


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
    plain = (_PRIMES * 2)[again : again + ndim]
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
    named, values = {}, {}
    for n, given in inputs.items():
        if isinstance(given, (tuple, list)) and all(isinstance(a, str) for a in given) and len(set(given)) == len(given):
            named[n] = tuple(given)
        elif (isinstance(given, (tuple, list)) and all(isinstance(a, str) for a in given)) or isinstance(given, str):
            raise DerivationError(f"derive: inputs={{{n!r}: {given!r}}}: expected the names of its axes, each once, or an array.")
        elif isinstance(given, (tuple, list)) and any(isinstance(a, str) for a in given):
            raise DerivationError(f"derive: inputs={{{n!r}: {given!r}}}: an axis is given by its name, not by its size.")
        else:
            value = np.asarray(given.data if isinstance(given, Tensor) else given)
            values[n] = value if value.dtype.kind == "f" else value.astype(np.float64)
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
    sizes = {a: k for n, own in named.items() if n in arrays for a, k in zip(own, arrays[n].shape)}
    leaves = {}
    for n in inputs:
        if n in arrays:
            value = np.abs(arrays[n]) + 0.1 if positive and again and n not in named else arrays[n]
        else:
            for a in named[n]:
                sizes.setdefault(a, drawn[(len(sizes) + again) % len(drawn)])
            value = rng.normal(size=[sizes[a] for a in named[n]])
            value = np.abs(value) + 0.1 if positive else value
        value = imposed(value, n, named.get(n, axis_names(value.ndim)), lemmas)
        leaves[n] = tensor(value, requires_grad=True, name=n)
    try:
        with np.errstate(all="ignore"):
            y = f(**leaves, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise DerivationError(
            f"derive: {getattr(f, '__name__', 'the forward')}: {error}; inputs= names {', '.join(inputs)}."
        ) from None
    if any(y is leaf for leaf in leaves.values()):
        y = y * 1.0
    if not isinstance(y, Tensor) or y.op is None:
        raise GradientError("derive: the forward must compute one tensor from its inputs, in recorded operations.")
    name = getattr(f, "__name__", "forward")
    dy = tensor(rng.normal(size=y.shape).astype(y.dtype), requires_grad=True, name="dy")
    notes = ("the inputs are positive: the forward is no number elsewhere",) if positive and named else ()
    return Record("forward" if name == "<lambda>" else name, name, y, leaves, dy, named, {}, notes=notes)


def _at_other_sizes(first: Record, values: Mapping[str, Array], seed: int, again: int) -> Iterator[dict[str, Array]]:
    """Arrays for the same axes at other sizes; where an axis is made of several, one of these keeps its size."""
    axes = Axes(Graph(first.output), first.axes)
    dims = {n: axes.dims[t] for n, t in first.inputs.items() if n in values and t in axes.dims}
    together = {dim for own in dims.values() for dim in own if len(dim) > 1}
    fresh = [p for p in _PRIMES if p not in axes.sizes.values()]
    other = {a: fresh[(k + again) % len(fresh)] for k, a in enumerate(axes.order)}
    for kept in [(), *product(*together), tuple(a for dim in together for a in dim), tuple(axes.order)]:
        sizes = {a: axes.sizes[a] if a in kept else other[a] for a in axes.order}
        rng = np.random.default_rng(seed)
        arrays = {}
        for n, value in values.items():
            shape = [int(np.prod([sizes[a] for a in dim])) for dim in dims[n]] if n in dims else value.shape
            scale = float(np.sqrt(np.mean(value.astype(np.float64) ** 2))) if value.size else 1.0
            arrays[n] = (rng.normal(size=shape) * (scale or 1.0)).astype(value.dtype)
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
            where = tuple(k for k, axis in enumerate(axes) if axis in (over or axes[-1]))
            a = a * value / a.sum(axis=where, keepdims=True)
    return a
