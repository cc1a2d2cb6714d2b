"""Explanations by neighbours: the exact gradient of something else, that was asked for by mistake or by another convention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np

from ..engine import Tensor, TinygradNormError, grad, history, tensor
from ..engine.arrays import Array
from ..norms import Norm, get, names
from .allowance import is_centring
from .alterations import Mistake, instead
from .case import Case, under
from .judgement import Explanation, Given

USUAL = (0.0, 1e-12, 1e-10, 1e-9, 1e-8, 2.0**-52, 1e-7, 2.0**-23, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_STEPS = 30  # of the fit of ε
_AXES_SAID = " with its statistics over axes "
_AXES = 4  # axes, of whose subsets all are tried

Neighbour = tuple[str, Callable[[], Mapping[str, Array]]]
"""In words, and its gradients."""


def neighbour(case: Case, given: Given) -> Explanation | None:
    """The exact gradient of a neighbour: other options, another norm, other axes, another ε, N − 1, a residual added."""
    if not given.has_shape(case) or not np.all(np.isfinite(given.array)):
        return None
    told = [words for words, gradient in _neighbours(case) if _is(case, given, _tried(gradient, given.name))]
    instead: dict[str, Any] = {}
    told = _no_coincidence(told, given)
    if not told:
        told = [*_another_eps(case, given, instead), *_with_a_residual(case, given), *_once_more(case, given)]
    if not told:
        return None
    told = list({words.split("; check")[-1]: words for words in reversed(told)}.values())[::-1]
    first = f"this is the exact gradient of {told[0]}"
    return Explanation((first, *(f"and of {other}" for other in told[1:3])), (told[0],), tuple(told[1:3]), instead=instead)


def _no_coincidence(told: list[str], given: Given) -> list[str]:
    """Without axes that only happen to be as long as those that were meant."""
    other = given.told_apart() if any(_AXES_SAID in words for words in told) else None
    if other is None or given.is_it(other[0], other[0].truth[given.name]):
        return told
    there = {words for words, gradient in _neighbours(other[0]) if _is(*other, _tried(gradient, given.name))}
    return [words for words in told if _AXES_SAID not in words or words in there]


def _is(case: Case, given: Given, other: Array | None) -> bool:
    """Whether these are its numbers, and they are not the right ones as well."""
    if other is None or other.shape != given.array.shape or not np.all(np.isfinite(other)):
        return False
    apart = float(np.max(np.abs(other - case.truth[given.name]), initial=0)) > case.gate(given.name, given.dtype)
    return apart and given.is_it(case, other)


def _tried(gradient: Callable[[], Mapping[str, Array]], name: str) -> Array | None:
    with np.errstate(all="ignore"):
        try:
            return gradient().get(name)
        except (TinygradNormError, ValueError, IndexError, TypeError, KeyError, ZeroDivisionError):
            return None


def _neighbours(case: Case) -> Iterator[Neighbour]:
    if case.norm is None:
        return
    yield from _other_options(case, case.norm)
    yield from _other_norms(case, case.norm)
    yield from _other_axes(case, case.norm)


# Of the registry ------------------------------------------------------------------------------------------------------


def _gradients(norm: Norm, case: Case, options: Mapping[str, Any]) -> dict[str, Array]:
    """Those of another norm at the case's numbers."""
    inputs = {
        n: tensor(t.numpy(), requires_grad=t.requires_grad, name=n) if t.requires_grad else t for n, t in case.inputs.items()
    }
    wanted = ["input", *norm.parameters(inputs["input"].shape, **options)]
    inputs = {n: inputs[n] for n in wanted}
    y = norm.apply(inputs, backward="recorded", **options)
    leaves = [t for n, t in inputs.items() if n in case.leaves]
    reached = set(history(y))
    leaves = [t for t in leaves if t in reached]
    found = grad(y, leaves, case.dy if y.shape == case.dy.shape else np.broadcast_to(case.dy, y.shape))
    return {str(t.name): g.numpy() for t, g in zip(leaves, found)}


def _other_options(case: Case, norm: Norm) -> Iterator[Neighbour]:
    """Every option as the norm's own samples and defaults have it, one at a time."""
    values: dict[str, list[Any]] = {}
    for n, default in norm.options.items():
        values[n] = [default, *(s[n] for s in norm.samples if n in s)]
        if isinstance(default, bool):
            values[n].append(not default)
        elif n == "correction":
            values[n] += [0, 1]
        elif n in ("dim", "axis") and isinstance(case.options.get(n, default), int):
            values[n] += list(range(-case.leaves[next(iter(case.leaves))].ndim, 0))
    if norm.choices is not None:
        for n, more in norm.choices(case.inputs["input"].shape).items():
            values[n] += more
    for n, found in values.items():
        if n == "eps":
            continue
        seen = [_along(case, n, case.options.get(n))]
        for v in _distinct(found):
            if _along(case, n, v) not in seen:
                seen.append(_along(case, n, v))
                options = {**case.options, n: v}
                groups, channels = case.options.get(n), case.inputs["input"].shape[1] if case.inputs["input"].ndim > 1 else 0
                if n == "num_groups" and isinstance(groups, int) and v * groups == channels:
                    words = f"{norm.title} with {v} groups of {groups} channels, where {groups} groups of {v} belong: number and size exchanged"
                    yield words, lambda o=options: _gradients(norm, case, o)  # type: ignore[misc]
                    continue
                yield f"{norm.title} with {n}={v!r}; check it with {n}={v!r}", lambda o=options: _gradients(norm, case, o)  # type: ignore[misc]


def _distinct(values: Sequence[Any]) -> list[Any]:
    return list({repr(v): v for v in values}.values())


def _along(case: Case, option: str, value: Any) -> Any:
    """An axis counted from the end, so that two names of one are one."""
    return value % -case.leaves[next(iter(case.leaves))].ndim if option in ("dim", "axis") and type(value) is int else value


def _other_norms(case: Case, norm: Norm) -> Iterator[Neighbour]:
    """Those that take the same, by name and shape."""
    shape = case.inputs["input"].shape if "input" in case.inputs else ()
    for name in names():
        other = get(name)
        if other is norm or other.by_design or "input" not in case.inputs or len(shape) < other.min_ndim:
            continue
        # words such as a mode are each norm's own
        kept = {n: v for n, v in case.options.items() if n in other.options and not isinstance(v, str)}
        options = {**other.options, **kept}
        try:
            needed = other.parameters(shape, **options)
        except (TinygradNormError, ValueError, IndexError, TypeError, KeyError):
            continue
        if all(n in case.inputs and case.inputs[n].shape == tuple(s) for n, s in needed.items()) and not other.detaches:
            yield other.title, lambda o=other, a=options: _gradients(o, case, a)  # type: ignore[misc]


# Statistics over axes -------------------------------------------------------------------------------------------------


def _other_axes(case: Case, norm: Norm) -> Iterator[Neighbour]:
    """γ·(x − μ)/σ + β with everything that can be another's: axes, centring, N − 1, where ε stands, 1 + γ, interleaved groups."""
    if set(case.inputs) - {"input", "weight", "bias"} or "eps" not in norm.options or not {"input"} <= set(case.inputs):
        return
    x = case.inputs["input"]
    if x.ndim > _AXES or case.dy.shape != x.shape:
        return
    own = _own_axes(case)
    if own is None:
        return
    centred = any(is_centring(t) for t in case.graph.tensors)
    eps = case.eps
    every = list(chain.from_iterable(combinations(range(x.ndim), k) for k in range(1, x.ndim + 1)))

    def made(axes: tuple[int, ...], **how: Any) -> Callable[[], Mapping[str, Array]]:
        return lambda: _normalized(case, axes, **{"centred": centred, "eps": eps, **how})

    def owns(**how: Any) -> Callable[[], Mapping[str, Array]]:
        return made(own, **({"grouped": groups} if grouped else {}), **how)

    groups = case.options.get("num_groups")
    grouped = isinstance(groups, int) and x.ndim > 1 and x.shape[1] % groups == 0
    said = f"a group's part of axis 1 and axes {own}" if grouped else f"{own}"
    for axes in every:
        if axes != own or grouped:
            yield f"{norm.title}{_AXES_SAID}{axes}, not {said}", made(axes)
    last = (1,) * (x.ndim - 1) + (x.shape[-1],)
    for axes in every:
        if x.ndim > 2 and x.ndim - 1 not in axes and case.inputs.get("weight", x).shape == (x.shape[-1],):
            words = f"{norm.title}{_AXES_SAID}{axes}, not {said}, and γ and β along the last axis"
            yield f"{words}: channels last", made(axes, along=last)
    told = {"correction": "N − 1 in the variance", "std": "ε outside the root: σ + ε", "gain": "1 + γ for γ", "centred": ""}
    yield f"{norm.title} with {told['correction']}" + _option(norm, "correction", 1), owns(correction=1)
    yield f"{norm.title} with {told['std']}" + _option(norm, "eps_mode", "std" if centred else "rms"), owns(std=True)
    yield f"{norm.title} with σ + ε and N − 1", owns(std=True, correction=1)
    yield f"{norm.title} with {told['gain']}", owns(gain=True)
    yield f"{norm.title} {'without' if centred else 'with'} the mean subtracted", owns(centred=not centred)
    yield f"{norm.title} with the unbiased variance, as torch.var has it, and ε under the root twice", owns(twice=True)
    for power, words in ((-1.0, "1/(σ² + ε)"), (-2.0, "1/(σ² + ε)²")):
        yield f"{norm.title} with {words} where 1/√(σ² + ε) belongs", owns(power=power)
    yield f"{norm.title} with ε in the count: Σ/(N + ε)", owns(counted=True)
    if "weight" in case.inputs:
        yield f"{norm.title} of x·γ: γ is multiplied in before, not after", owns(before=True)
    if isinstance(groups, int) and groups > 1 and grouped:
        yield f"{norm.title} with channel c in group c % G, where c // (C/G) belongs", made(own, interleaved=groups)
        if x.ndim > 2 and x[0].size % groups == 0:
            words = "the groups cut out of the pixels, as of (B, H, W, C) read as (B, G, −1), where they are of channels"
            yield f"{norm.title} with {words}", made(own, pixels=groups)


def _option(norm: Norm, name: str, value: Any) -> str:
    return f"; check it with {name}={value!r}" if name in norm.options else ""


def _own_axes(case: Case) -> tuple[int, ...] | None:
    """The axes of the norm's statistics, as the record has them."""
    x = case.inputs["input"]
    for t in case.graph.tensors:
        if t.op is not None and t.op.name == "mean" and t.ndim == x.ndim and t.shape != x.shape:
            axes = tuple(k for k, (a, b) in enumerate(zip(t.shape, x.shape)) if a != b)
            if all(t.shape[k] == 1 for k in axes):
                return axes
    return tuple(range(2, x.ndim)) if "num_groups" in case.options else None


def _normalized(
    case: Case,
    axes: tuple[int, ...],
    centred: bool,
    eps: float,
    correction: int = 0,
    std: bool = False,
    gain: bool = False,
    twice: bool = False,
    interleaved: int = 0,
    power: float = -0.5,
    counted: bool = False,
    before: bool = False,
    along: tuple[int, ...] = (),
    grouped: int = 0,
    pixels: int = 0,
) -> dict[str, Array]:
    leaves = {n: tensor(t.numpy(), requires_grad=True, name=n) for n, t in case.inputs.items()}
    x = leaves["input"]
    shape = x.shape
    if before:
        x = x * leaves["weight"].reshape(_spread(case, "weight", len(shape)))
    if interleaved:
        x = x.reshape(shape[0], shape[1] // interleaved, interleaved, *shape[2:])
        axes = (1, *range(3, x.ndim))
    if grouped:
        x = x.reshape(shape[0], grouped, shape[1] // grouped, *shape[2:])
        axes = tuple(range(2, x.ndim))
    if pixels:
        last = (0, *range(2, len(shape)), 1)
        x, axes = x.transpose(last).reshape(shape[0], pixels, -1), (2,)
    n = int(np.prod([x.shape[a] for a in axes]))
    c = x - x.mean(axes, keepdims=True) if centred else x
    v = (c * c).sum(axes, keepdims=True) / (n - correction + (eps if counted else 0))
    v = v if std or counted else v + (2 * eps if twice else eps)
    r = 1 / (v.sqrt() + eps) if std else v.rsqrt() if power == -0.5 else v**power
    y = (
        (c * r).reshape(tuple(shape[k] for k in last)).transpose((0, len(shape) - 1, *range(1, len(shape) - 1)))
        if pixels
        else (c * r).reshape(shape)
    )
    for name in ("weight", "bias"):
        if name in leaves and not (before and name == "weight"):
            p = leaves[name]
            p = p.reshape(along or _spread(case, name, len(shape)))
            y = y * (1 + p if gain else p) if name == "weight" else y + p
    found = grad(y, list(leaves.values()), case.dy)
    return {n: g.numpy() for n, g in zip(leaves, found)}


def _spread(case: Case, name: str, ndim: int) -> tuple[int, ...]:
    """The parameter's shape beside the input: at the end where it is the last axes', else in axis 1."""
    p = case.inputs[name].shape
    assert case.norm is not None
    told_apart = tuple(case.inputs["input"].shape[1] * (k + 1) for k in range(ndim))  # sizes of which no two are one
    if ndim > 1 and tuple(case.norm.parameters(told_apart, **case.options)[name]) == told_apart[1:2]:
        return (1, *p, *(1,) * (ndim - 2))
    return (1,) * (ndim - len(p)) + tuple(p)


# One number -----------------------------------------------------------------------------------------------------------


def _another_eps(case: Case, given: Given, instead: dict[str, Any]) -> Iterator[str]:
    """ε as one fitted number: inside the root, and outside. What it is as an option goes into ``instead``."""
    for root in case.graph.tensors:
        if root.op is None or root.op.name not in ("rsqrt", "sqrt") or root.size >= case.dy.size > 1:
            continue
        inner, eps = under(root)
        for where in (INSIDE, OUTSIDE, AS_IT_STANDS):

            def gradient(e: float, root: Tensor = root, inner: Array = inner, where: str = where) -> Array | None:
                return _with_eps(case, root, inner, e, where).get(given.name)

            found = _fitted(gradient, case, given)
            if found is not None:
                known = case.norm is not None and "eps" in case.norm.options
                if where == INSIDE and known and eps is not None:
                    instead["eps"] = found
                how = f"; check it with eps={found:g}" if where == INSIDE and known and eps is not None else ""
                yield f"{_title(case)} with {where.format(found)}, where it is {'none' if eps is None else f'{eps:g}'}{how}"
                return


INSIDE, OUTSIDE = "ε = {:g}", "ε = {:g} outside the root: σ + ε"
AS_IT_STANDS = OUTSIDE + " (and the derivative as if it were inside)"


def _with_eps(case: Case, root: Tensor, inner: Array, eps: float, where: str) -> dict[str, Array]:
    """The gradients where the ε of a root is another, or stands outside of it."""
    assert root.op is not None
    power = -1 if root.op.name == "rsqrt" else 1
    if where == INSIDE:
        return case.backward.gradients(Mistake("", "", "", values={root: lambda value, *_: (inner + eps) ** (power / 2)}))
    s = np.sqrt(inner)
    slope = instead(lambda g, out, u: -g * out**2 / (2 * s) if power < 0 else g / (2 * s))
    edits = {(root, 0): slope} if where == OUTSIDE else {}
    return case.backward.gradients(Mistake("", "", "", edits, values={root: lambda value, *_: (s + eps) ** power}))


def _fitted(gradient: Callable[[float], Array | None], case: Case, given: Given) -> float | None:
    """The number for which that is the candidate's gradient: a usual one, or found by Newton's steps on the squares."""

    def at(eps: float) -> Array | None:
        with np.errstate(all="ignore"):
            g = gradient(eps)
        return g if g is not None and g.shape == given.array.shape and np.all(np.isfinite(g)) else None

    best, least = None, np.inf
    for eps in USUAL:
        g = at(eps)
        if g is None:
            continue
        if _is(case, given, g):
            return eps
        off = float(np.sum((g - given.array) ** 2))
        best, least = (eps, off) if off < least else (best, least)
    if best is None:
        return None
    eps = best
    for _ in range(_STEPS):
        step = 1e-6 * max(eps, 1e-9)
        g, more = at(eps), at(eps + step)
        if g is None or more is None:
            return None
        slope = (more - g) / step
        size = float(np.sum(slope * slope))
        if not size:
            return None
        eps, before = max(eps - float(np.sum(slope * (g - given.array))) / size, eps / 10), eps
        if abs(eps - before) <= 1e-15 * max(eps, 1e-300):
            break
    g = at(eps)
    return eps if g is not None and _is(case, given, g) else None


def _with_a_residual(case: Case, given: Given) -> Iterator[str]:
    """Something whole added to the right gradient."""
    truth = case.truth[given.name]
    if case.dy.shape == truth.shape:
        for sign, word in ((1, "added"), (-1, "subtracted")):
            if _is(case, given, truth + sign * case.dy):
                yield f"{_title(case)} with a residual: dy is {word} to it, the share of another branch (y = x + norm(x))"


def _once_more(case: Case, given: Given) -> Iterator[str]:
    """The right gradient, with the backward of another function of the same input on top of it."""
    truth = case.truth[given.name]
    if given.name != next(iter(case.leaves)) or case.norm is None:
        return
    for name in names():
        other = get(name)
        if other is case.norm or other.detaches or other.by_design or truth.ndim < other.min_ndim:
            continue

        def gradient(other: Norm = other) -> Mapping[str, Array]:
            if set(other.parameters(truth.shape, **other.options)):
                return {}
            x = tensor(case.inputs["input"].numpy(), requires_grad=True)
            y = other.apply({"input": x}, backward="recorded", **other.options)
            return {given.name: grad(y, [x], truth)[0].numpy()} if y.shape == truth.shape else {}

        if _is(case, given, _tried(gradient, given.name)):
            yield f"{_title(case)}, and then the backward of {other.title} applied to it once more"


def _title(case: Case) -> str:
    return case.norm.title if case.norm is not None else "the forward"
