"""A function on the bench: its derivatives by the engine, order by order, and by oracles that see only its values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..engine import (
    DTypeError,
    GradientError,
    Tensor,
    TinygradNormError,
    concatenate,
    describe,
    grad,
    history,
    jvp,
    no_grad,
    tensor,
)
from ..engine.arrays import Array
from ..graph import Graph, replay
from ..norms import InputError
from .oracles import (
    ALONG,
    LONGER,
    SHORTER_ALONG,
    STEP,
    Estimate,
    Slope,
    Terms,
    central_difference_along,
    choose,
    complex_step,
    complex_step_along,
    directions,
    scale_of,
)
from .rounding import reach, roundings

Function = Callable[..., Any]
COMPLEX, CENTRAL, LONG = "complex step", "central diff", "long double"
WAYS = 2  # random directions asked for besides the entries
_WORK = 12_500_000  # numbers an oracle may compute for the entries of one argument, an operation counted as 250; more are sampled


# The function under test -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """The function, where it is looked at, and the random weights it is looked at with.

    f:           returns a tuple always
    point:       the arguments, in their own dtypes; ``exact`` in double precision
    cotangents:  one per output
    ways:        ``ways[k − 1]`` is the direction that order k is taken along
    asked:       directions the oracles are asked along
    sizes:       the largest entry of each output
    unit:        the unit roundoff of the widest dtype that f computes in
    """

    f: Function
    title: str
    names: tuple[str, ...]
    point: list[Array]
    cotangents: list[Array]
    ways: list[list[Array]]
    asked: list[list[Array]]
    sizes: list[float]
    unit: float
    rng: np.random.Generator

    @classmethod
    def of(cls, f: Function, args: Any, order: int, rng: np.random.Generator) -> Subject:
        given = tuple(args) if isinstance(args, (tuple, list)) else (args,)
        names = _names(f, given)
        point = [_array(x, name) for x, name in zip(given, names)]

        def several(*xs: Any) -> tuple[Tensor, ...]:
            y = f(*xs)
            return tuple(y) if isinstance(y, (tuple, list)) else (y,)

        ys = several(*(tensor(x, requires_grad=True) for x in point))
        for y in ys:
            if not isinstance(y, Tensor):
                raise GradientError(
                    f"check_grads: the function returned {describe(y)}; it must return a tensor, or a tuple of tensors."
                )
            if y.dtype.kind != "f":
                raise DTypeError(f"check_grads: the output {describe(y)} is not floating point, so it has no gradient.")
            if not np.all(np.isfinite(y._data)):
                raise InputError("check_grads: the function is not finite at these arguments, so it has no derivative there.")
        again = several(*(tensor(x, requires_grad=True) for x in point))
        if any(not np.array_equal(a._data, b._data) for a, b in zip(ys, again)):
            raise InputError("check_grads: called twice with the same arguments the function gave two results. Fix its seed.")
        coarse = max(float(np.finfo(t.dtype).eps) for t in history(*ys) if t.dtype.kind == "f")
        return cls(
            f=several,
            title=getattr(f, "__name__", type(f).__name__),
            names=names,
            point=point,
            cotangents=[rng.normal(size=y.shape).astype(y.dtype) for y in ys],
            ways=[directions(point, rng) for _ in range(order)],
            asked=[directions(point, rng) for _ in range(WAYS)],
            sizes=[float(np.max(np.abs(y._data), initial=0)) for y in ys],
            unit=coarse / 2,
            rng=rng,
        )

    @property
    def exact(self) -> list[Array]:
        return [x.astype(np.float64) for x in self.point]

    def gradient(self, point: Sequence[Array], k: int, record: bool = False) -> list[Array]:
        """The engine's order k, in reverse mode."""
        xs = [tensor(x, requires_grad=True) for x in point]
        ys, weights = self._reverse(xs, k - 1)
        found = grad(ys, xs, weights, create_graph=record, allow_unused=True)
        return [np.zeros(x.shape, x.dtype) if g is None else g.numpy() for g, x in zip(found, xs)]

    def bounds(self, k: int, forward: bool = False) -> list[Array]:
        """How far each entry of the engine's order k may be off, per unit roundoff: by argument, or by output."""
        xs = _leaves(self.exact)
        weights, ways = (
            _leaves(self.cotangents),
            [_leaves(way) for way in self.ways],
        )  # so that what is linear is on the record, too
        given = [*xs, *weights, *(v for way in ways for v in way)]
        least = float(max(np.finfo(x.dtype).smallest_normal for x in self.point)) / self.unit
        mine = replace(self, cotangents=weights, ways=ways)
        if forward:
            return [self._roundings(t, given, least) for t in mine.along(xs, k)]
        ys, weights = mine._reverse(xs, k - 1)
        found = grad(ys, xs, weights, create_graph=True, allow_unused=True)
        return [np.zeros(x.shape) if t is None else self._roundings(t, given, least) for t, x in zip(found, xs)]

    def _roundings(self, t: Tensor, given: Sequence[Tensor], least: float) -> Array:
        """A constant that f computed off the record is another one in double precision."""
        others = set(history(t)) - set(given) if self.unit > float(np.finfo(np.float64).eps) / 2 else ()
        return roundings(t, {c: 2.0 for c in others if c.op is None}, least)

    def _reverse(self, xs: list[Tensor], k: int) -> tuple[list[Tensor], list[Array]]:
        """Tensors and weights whose product, summed, is the derivative of order k along the first k ways."""
        ys, weights = list(self.f(*xs)), self.cotangents
        for way in self.ways[:k]:
            found = grad(ys, xs, [_like(w, y) for w, y in zip(weights, ys)], create_graph=True, allow_unused=True)
            ys, weights = [tensor(np.zeros(x.shape, x.dtype)) if g is None else g for g, x in zip(found, xs)], way
        return ys, [_like(w, y) for w, y in zip(weights, ys)]

    def reverse_terms(self, xs: list[Tensor], k: int) -> Tensor:
        ys, weights = self._reverse(xs, k)
        return concatenate([(y * w).reshape(-1) for y, w in zip(ys, weights)])

    def along(self, xs: Sequence[Any], k: int) -> list[Tensor]:
        """The engine's derivative of order k along the first k ways, in forward mode; order 0 is f itself."""
        g = self.f
        for way in self.ways[:k]:
            g = _forward(g, way)
        return list(g(*xs))

    def forward_terms(self, xs: list[Tensor], k: int) -> Tensor:
        return concatenate([y.reshape(-1) for y in self.along(xs, k)])


def _forward(g: Function, way: Sequence[Array]) -> Function:
    return lambda *xs: jvp(g, xs, tuple(_like(v, x) for v, x in zip(way, xs)))[1]


def _leaves(arrays: Sequence[Any]) -> list[Any]:
    return [tensor(a.astype(np.float64), requires_grad=True) for a in arrays]


def _like(weights: Any, y: Any) -> Any:
    return weights if weights.dtype == y.dtype else weights.astype(y.dtype)


def _names(f: Function, given: Sequence[Any]) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(f).parameters.values()
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        names = []
    return tuple(getattr(x, "name", None) or (names[i] if i < len(names) else f"argument {i}") for i, x in enumerate(given))


def _array(x: Any, name: str) -> Array:
    data = np.array(x.numpy() if isinstance(x, Tensor) else x)
    if data.dtype.kind != "f":
        raise DTypeError(f"check_grads: {name} {describe(data)} is not floating point, so nothing can be differentiated by it.")
    if not np.all(np.isfinite(data)):
        raise InputError(
            f"check_grads: {name} has entries that are not finite; a gradient can only be checked at finite numbers."
        )
    return data


# Asking the oracles ---------------------------------------------------------------------------------------------


class Bench:
    """Oracles for the derivative of what ``terms`` computes: order k − 1, of which they see values only.

    There are two ways to its values at another point: ``fresh`` calls f again and differentiates anew; ``again``
    replays the record of one call, and so can go where f cannot, to complex numbers. They differ when the record holds constants
    that were computed from the arguments outside it: a saved statistic, a detached value.
    """

    def __init__(
        self, s: Subject, k: int, terms: Callable[[list[Tensor], int], Tensor], summed: bool, notes: list[str], mode: str
    ) -> None:
        self.s, self.summed = s, summed
        leaves = [tensor(x, requires_grad=True) for x in s.exact]
        record = terms(leaves, k - 1)
        self.leaves, self.record = leaves, record

        def fresh(arrays: Sequence[Array]) -> Array:
            with np.errstate(all="ignore"):  # a long step may leave the domain; then a shorter one answers
                if k > 1:
                    return terms([tensor(a, requires_grad=True) for a in arrays], k - 1)._data
                with no_grad():
                    return terms([tensor(a) for a in arrays], 0)._data

        self.fresh: Terms = fresh
        self.again: Terms | None = None
        nodes = history(record)
        self.price = len(nodes) * 250 + sum(t.size for t in nodes)
        self.rounding = roundings(record, 2.0) * (float(np.finfo(np.float64).eps) / 2)
        kinks = sorted({t.op.name for t in nodes if t.op is not None and not t.op.smooth})
        where = f"order {k}, {mode}: no complex step"
        self.kinked = bool(kinks)
        if kinks:
            notes.append(f"{where}: {', '.join(kinks)} may have kinks; central differences instead")
        elif record.op is None:
            pass  # a constant; central differences find that, too
        else:
            graph = Graph(record)

            def again(arrays: Sequence[Array]) -> Array:
                with np.errstate(all="ignore"):
                    values: Array = replay(graph, dict(zip(leaves, arrays)))
                return values

            objection = self._objection(again)
            if objection:
                notes.append(f"{where}: {objection}; central differences instead")
            else:
                self.again = again
        self.oracle = COMPLEX if self.again else CENTRAL
        self.slope_oracle = (LONG if LONGER else COMPLEX) if self.again else CENTRAL

    def _objection(self, again: Terms) -> str:
        """Why the replay is not to be trusted over complex numbers; "" when it is."""
        s = self.s
        try:
            by_step = complex_step_along(again, s.exact, s.asked[0], summed=False)
        except (TypeError, ValueError, TinygradNormError) as error:
            return f"it cannot be computed over complex numbers ({str(error).rstrip('.')})"
        by_difference = central_difference_along(self.fresh, s.exact, s.asked[0], False, self.rounding)
        off = np.abs(by_step.values - by_difference.values)
        scale = float(np.max(np.abs(by_difference.values), initial=0))
        if np.all(off <= 8 * by_difference.error + 1e-9 * scale):
            return ""
        shorter = central_difference_along(self.fresh, s.exact, s.asked[0], False, self.rounding, SHORTER_ALONG)
        if np.all((off <= 8 * by_difference.error) | (np.abs(by_step.values - shorter.values) <= 8 * shorter.error)):
            return ""
        return (
            "fresh calls contradict it, so the record holds constants computed from the arguments (a saved statistic, .data, "
            "a detached value) or an op is not as smooth as it says"
        )

    def entries(self, which: int) -> Estimate:
        """The derivative by one argument, entry by entry; of many, some."""
        s = self.s
        calls = 1 if self.again else 3 * 8
        most = max(8, _WORK // (self.price * calls * len(s.point)))
        return self._ask(which, choose(s.point[which].size, most, s.rng), first=True)

    def entries_again(self, which: int, entries: Array) -> Estimate:
        """Asked with other steps: what changes with them is the oracle's own error."""
        return self._ask(which, entries, first=False)

    def _ask(self, which: int, entries: Array, first: bool) -> Estimate:
        s = self.s
        if self.again:
            return complex_step(self.again, s.exact, which, entries, STEP if first else 2 * STEP)
        step = 2.0 ** np.floor(np.log2(scale_of(s.exact[which])))
        slopes = []
        for i in entries:
            way = [np.zeros(x.shape) for x in s.exact]
            way[which].flat[i] = step
            slopes.append(self._by_difference(way, True, first))
        values, errors = np.array([float(t.values) for t in slopes]), np.array([float(t.error) for t in slopes])
        return Estimate(entries, values / step, errors / step)

    def _by_difference(self, way: Sequence[Array], summed: bool, first: bool) -> Slope:
        steps = ALONG if first else SHORTER_ALONG
        return central_difference_along(self.fresh, self.s.exact, way, summed, self.rounding, steps)

    def slope(self, way: Sequence[Array], first: bool = True) -> Slope:
        """The derivative along a direction; not ``first``: with other steps."""
        if self.again:
            h = STEP if first else 2 * STEP
            found = complex_step_along(self.again, self.s.exact, way, self.summed, long=LONGER, h=h)
            far = reach(self.record, dict(zip(self.leaves, way)))
            unit = float(np.finfo(np.longdouble if LONGER else np.float64).eps) / 2
            return Slope(found.values, found.error + unit * (np.sum(far) if self.summed else far))
        return self._by_difference(way, self.summed, first)
