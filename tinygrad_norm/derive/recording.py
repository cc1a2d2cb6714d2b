"""What is derived from: a forward run once, on numbers whose sizes can be told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..engine import GradientError, Tensor, TinygradNormError, grad, history, tensor
from ..engine.arrays import Array
from ..graph import axis_names
from ..norms import Norm, check_settings, draw, get
from .errors import DerivationError

_PRIMES = (7, 11, 13, 17, 19, 23, 29)


@dataclass(frozen=True)
class Record:
    """What was recorded to derive from: the output, its inputs by name, the cotangent; names of axes and numbers.

    sized:  numbers on the record that are other ones when the sizes are: they come from sizes
    again:  the same at other sizes
    """

    name: str
    title: str
    output: Tensor
    inputs: Mapping[str, Tensor]
    dy: Tensor
    axes: Mapping[str, Sequence[str]]
    numbers: Mapping[str, float]
    order: int = 1
    sized: frozenset[float] = frozenset()
    again: Record | None = None


def recorder(
    norm: Any,
    inputs: Any,
    shape: Any,
    backward: str,
    seed: int,
    options: Mapping[str, Any],
    lemmas: Sequence[str],
    given: Mapping[str, Array] | None = None,
) -> Callable[..., Record]:
    """What records the forward; with ``again=1`` at other sizes.

    given:  arrays by the name or the symbol of an input, to be taken instead of random ones, in their dtype
    """
    if isinstance(norm, (str, Norm)):
        found = get(norm)
        return lambda again=0: _of_norm(found, None if again else shape, backward, seed, options, lemmas, again, given or {})
    inputs = {**(inputs or {}), **(given or {})} if callable(norm) else inputs
    if not callable(norm) or not inputs:
        raise DerivationError(
            'derive: to derive a forward of your own, name the axes of its inputs: inputs={"x": ("B", "N"), "w": ("N",)}.'
        )
    return lambda again=0: _of_function(norm, inputs, seed, options, lemmas, again)


def sized(make: Callable[..., Record], record: Record, name: str) -> Record:
    """The record, knowing which of its numbers are sizes: it is made once more at other sizes, and they differ."""
    try:
        other = make(again=1)
        other = second_of(other, name) if record.order == 2 else other
    except (TinygradNormError, ValueError):
        return record
    return replace(record, sized=changed(record.output, other.output), again=other)


def changed(one: Tensor, other: Tensor) -> frozenset[float]:
    """The numbers on a record that are others on another one of the same operations."""
    mine, theirs = history(one), history(other)
    if [t.op and t.op.name for t in mine] != [t.op and t.op.name for t in theirs]:
        return frozenset()
    pairs = [(a, b) for t, u in zip(mine, theirs) for a, b in zip(_numbers(t), _numbers(u))]
    return frozenset(a for a, b in pairs if a != b)


def _numbers(t: Tensor) -> list[float]:
    return [
        float(v) for v in (*t.inputs, *t.params.values()) if isinstance(v, (int, float, np.number)) and not isinstance(v, bool)
    ]


def _of_norm(
    norm: Norm,
    shape: Any,
    backward: str,
    seed: int,
    options: Mapping[str, Any],
    lemmas: Sequence[str],
    again: int,
    given: Mapping[str, Array],
) -> Record:
    settings = check_settings(norm, options, "derive")
    given = {_called(norm, name, settings, shape): a for name, a in given.items()}
    shape = given["input"].shape if "input" in given else shape
    dtype = next((a.dtype for a in given.values() if a.dtype.kind == "f"), np.dtype(np.float64))
    if shape is not None and (not shape or min(shape) < 1):
        raise DerivationError(f"derive: shape={shape}; it has at least one axis, and none is empty.")
    candidates = [shape] if shape else [*_shapes(len(norm.shape), again), norm.shape]
    failure: Exception | None = None
    for candidate in candidates:
        rng = np.random.default_rng(seed)
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
        numbers = {"ε": eps} if isinstance(eps, float) and eps > 0 and eps % 0.5 else {}  # another 2 is a 2
        if y.op is None:
            raise DerivationError(f"derive: {norm.title} computes nothing with these options.")
        dy = tensor(rng.normal(size=y.shape).astype(y.dtype), requires_grad=True, name="dy")
        axes = {norm.symbol(n): axis_names(a.ndim) for n, a in values.items() if a.shape == values["input"].shape}
        return Record(norm.name, norm.title, y, leaves, dy, axes, numbers)
    assert failure is not None
    raise failure


def _shapes(ndim: int, again: int) -> list[tuple[int, ...]]:
    """Sizes that can be told apart; the second with channels that split into groups."""
    plain = _PRIMES[again : again + ndim]
    return [plain, (plain[0], (6, 10)[again], *plain[1 : ndim - 1])] if ndim > 1 else [plain]


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


def _of_function(
    f: Callable[..., Tensor], inputs: Any, seed: int, options: Mapping[str, Any], lemmas: Sequence[str], again: int
) -> Record:
    rng = np.random.default_rng(seed)
    sizes: dict[str, int] = {}
    leaves, axes = {}, {}
    for n, given in inputs.items():
        named = isinstance(given, (tuple, list)) and all(isinstance(a, str) for a in given)
        if isinstance(given, str) or (named and len(set(given)) < len(given)):
            raise DerivationError(f"derive: inputs={{{n!r}: {given!r}}}: expected the names of its axes, each once, or an array.")
        if named:
            for a in given:
                sizes.setdefault(a, _PRIMES[(len(sizes) + again) % len(_PRIMES)])
            value, axes[n] = rng.normal(size=[sizes[a] for a in given]), tuple(given)
        else:
            value = np.asarray(given.data if isinstance(given, Tensor) else given)
            value = value if value.dtype.kind == "f" else value.astype(np.float64)
        value = imposed(value, n, axes.get(n, axis_names(value.ndim)), lemmas)
        leaves[n] = tensor(value, requires_grad=True, name=n)
    try:
        y = f(**leaves, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise DerivationError(
            f"derive: {getattr(f, '__name__', 'the forward')}: {error}; inputs= names {', '.join(inputs)}."
        ) from None
    if not isinstance(y, Tensor) or y.op is None:
        raise GradientError("derive: the forward must compute one tensor from its inputs, in recorded operations.")
    name = getattr(f, "__name__", "forward")
    dy = tensor(rng.normal(size=y.shape).astype(y.dtype), requires_grad=True, name="dy")
    return Record("forward" if name == "<lambda>" else name, name, y, leaves, dy, axes, {})


def second_of(record: Record, name: str) -> Record:
    """The gradient as the forward."""
    x = record.inputs[name]
    (dx,) = grad(record.output, x, record.dy, create_graph=True)
    if dx.op is None:
        raise DerivationError(f"derive: d{x.name} does not depend on {x.name}: its derivative is zero.")
    named = dx.named(f"d{x.name}")
    return Record(record.name, record.title, named, record.inputs, record.dy, record.axes, record.numbers, 2)


def target_of(record: Record, wrt: str | None) -> str:
    """The name of the input that ``wrt`` calls by name or symbol; the first by default."""
    able = {n: t for n, t in record.inputs.items() if t.requires_grad}
    if wrt is None:
        return next(iter(able))
    for n, t in able.items():
        if wrt in (n, t.name):
            return n
    raise DerivationError(
        f"derive: there is no input {wrt!r} to differentiate by; there are {', '.join(f'{n} ({t.name})' if n != t.name else n for n, t in able.items())}."
    )


def gradients_of(norm: Any, **how: Any) -> list[str]:
    """The names of the inputs that have a gradient."""
    usual = dict(get(norm).derived_with) if isinstance(norm, (str, Norm)) else {}
    lemmas = usual.pop("lemmas", ())
    record = recorder(norm, how.pop("inputs", None), how.pop("shape", None), "recorded", 0, {**usual, **how}, lemmas)()
    reached = set(history(record.output))
    return [n for n, t in record.inputs.items() if t.requires_grad and t in reached]


# What is known of an input -----------------------------------------------------------------------------------


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
