"""A candidate's record beside the right one: what is known there by name, and what each of its gradients should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from ..derive.formula import Letter, Number, Power, Product, Size, Total, walk
from ..engine.arrays import Array
from ..graph.words import axis_names
from .case import Case
from .explanations import arithmetic
from .fused import Fused, fused, inward
from .recorded import Step
from .trace import Output, Trace

_SAME = 1e-9  # relative


class World:
    """A trace on a case's numbers.

    values:   what each step gave
    wrong:    the gradients on the trace that are not right
    named:    what people have a name for; ``letters`` that, and what else is known
    terms:    what a gradient's formula adds up, for each wrong gradient, by name
    sizes:    of axes and of several together, by name
    """

    def __init__(self, case: Case, trace: Trace, symbols: Mapping[str, str]) -> None:
        self.case, self.trace, self.symbols = case, trace, symbols
        self.values: list[Any] = [s.value for s in trace.steps]
        self._allowed: dict[str, float] = {}
        self.dtypes = {n: arithmetic(np.asarray(o.of(self.values)), case.truth[n]) for n, o in trace.outputs.items()}
        self.wrong = [n for n, o in trace.outputs.items() if not self.is_right(n, o.of(self.values))]

    def is_right(self, name: str, value: Any) -> bool:
        """Whether a value is that gradient, to rounding."""
        truth = self.case.truth[name]
        if np.shape(value) != truth.shape:
            return False
        if name not in self._allowed:
            scale = float(np.max(np.abs(truth), initial=0))
            self._allowed[name] = max(self.case.gate(name, self.dtypes[name]), 1e-11 * scale)
        allowed = self._allowed[name]
        if truth.size and not abs(np.ravel(value)[0] - truth.ravel()[0]) <= allowed:  # most are wrong everywhere
            return False
        return bool(np.max(np.abs(value - truth), initial=0) <= allowed)

    @cached_property
    def y_is_right(self) -> bool:
        """Whether it has a forward of its own, and that is right."""
        y, truth = self.trace.y, self.case.graph.output.numpy()
        return y is not None and np.size(y.value) == truth.size and _one(np.ravel(y.value), truth.ravel())

    def outputs(self, names: Sequence[str]) -> list[Output]:
        return [self.trace.outputs[n] for n in names]

    # What is known ----------------------------------------------------------------------------------------------------

    @cached_property
    def named(self) -> dict[str, Array]:
        """What people have a name for: inputs, dy, what the forward computes."""
        graph = self.case.graph
        found: dict[str, Any] = {self.symbols.get(n, n): t.numpy() for n, t in self.case.inputs.items() if t.dtype.kind == "f"}
        found |= {t.name: t.numpy() for t in graph.tensors if t.name}
        found["dy"] = self.case.dy
        found |= _soft(self.case)
        if graph.output.size > 1:
            found.setdefault("y", graph.output.numpy())
        for name, root in (("rstd", "σ"), ("1/‖v‖", "‖v‖")):
            if name in found and root not in found:
                found[root] = 1 / found[name]
        for i, g in self._cotangents.items():
            if graph.tensors[i].name == "x̂" and "γ" in found:
                found["dy·γ"] = g
        return _finite(found)

    @cached_property
    def letters(self) -> dict[str, Array]:
        """These, the sums of the derived formula, and the gradients of what the forward computes."""
        graph, found = self.case.graph, dict[str, Any](self.named)
        for formula in self._formulas.values():
            for node in (n for t in formula.terms for n in walk(inward(t)) if isinstance(n, Total)):
                value = self._spread(formula, node)
                if value is not None:
                    found.setdefault(formula.hand(node), value)
        for i, g in self._cotangents.items():
            t = graph.tensors[i]
            if t.name and t.op is not None and t is not graph.output and not (t.name == "x̂" and "dy·γ" in found):
                found[f"d{t.name}"] = g
        ends = [self.case.truth[n].ravel() for n in self.wrong]  # to put these in their own place says nothing
        return {n: a for n, a in _finite(found).items() if not any(_one(a.ravel(), e) for e in ends)}

    @cached_property
    def _cotangents(self) -> dict[int, Array]:
        return self.case.graph.gradients(self.case.dy)

    def cost_of(self, letter: str) -> float:
        """How far it is to take something else for it."""
        if letter in self.named:
            return 1.3 if letter != "y" or "γ" not in self.named else 1.6
        return 1.45 if "(" in letter else 2.1

    @cached_property
    def terms(self) -> dict[str, dict[str, Array]]:
        """For each wrong gradient what its formula adds up, by name, also without factors before the bracket; one term, or two."""
        return {name: self._terms_of(name) for name in self.wrong}

    def _terms_of(self, name: str) -> dict[str, Array]:
        formula = self._formulas.get(name)
        if formula is None:
            return {_of_route(r.title): np.asarray(r.share) for r in self.case.routes(name)}
        made: dict[str, Array] = {}
        if len(formula.terms) == 1:  # to add all of it says nothing
            return made
        parts = [dict(_without_factors(t)) for t in formula.terms]
        for own in parts:
            for part in own.values():
                value = self._spread(formula, part)
                if value is not None:
                    made[formula.hand(part)] = value
        for one, other in combinations(parts, 2) if 2 < len(parts) < 6 else ():
            for less in (k for k in one if k in other):
                a, b = self._spread(formula, one[less]), self._spread(formula, other[less])
                if a is not None and b is not None:
                    made[f"{formula.hand(one[less])} and {formula.hand(other[less])}"] = a + b
        return made

    @cached_property
    def _formulas(self) -> dict[str, Fused]:
        found = {}
        for name in self.wrong:
            if name not in self.case.formulas:
                self.case.formulas[name] = fused(self.case, name)
            if isinstance(self.case.formulas[name], Fused):
                found[name] = self.case.formulas[name]
        return found

    @staticmethod
    def _spread(formula: Fused, node: Any) -> Array | None:
        """What a tree is, with an axis for each of the formula's."""
        with np.errstate(all="ignore"):
            value = np.asarray(formula.at(node), np.float64)
        value = value.reshape((1,) * (len(formula.axes) - value.ndim) + value.shape)
        return value if np.all(np.isfinite(value)) and value.size > 1 else None

    @cached_property
    def sizes(self) -> dict[str, int]:
        """How many entries an axis has, or several together: of the main input, and of it as it is looked at in groups."""
        shape = self.case.inputs[next(iter(self.case.inputs))].shape
        found = _products(axis_names(len(shape)), shape)
        groups = self.case.options.get("num_groups")
        if isinstance(groups, int) and len(shape) > 1:
            found |= _products(("G", "C/G", *axis_names(len(shape))[2:]), (groups, shape[1] // groups, *shape[2:]))
        target = self.case.inputs.get("target")
        if target is not None and target.dtype.kind in "iu":
            found["rows that count"] = int(np.sum(target.numpy() != self.case.options.get("ignore_index", -100)))
        return {n: k for n, k in found.items() if k > 1}

    @cached_property
    def _known(self) -> tuple[dict[int, Array], dict[int, Array]]:
        """All that the right record computes, flat, by size: on the way to y, and back."""
        graph = self.case.graph
        forth = [t.numpy() for t in graph.tensors] + list(self.named.values())
        back = [*self._cotangents.values(), *graph.shares(self.case.dy).values()]
        back += [a for n, a in self.letters.items() if n not in self.named]
        return _by_size(forth), _by_size(back)

    @cached_property
    def _besides(self) -> dict[int, Array]:
        """What may be computed on the way: what flows back, times what the forward computes, added up as a statistic is; the
        steps of a softmax."""
        x = self.case.inputs[next(iter(self.case.inputs))].numpy()
        full = {n: a for n, a in self.named.items() if a.shape == x.shape}
        stat = {tuple(k for k, n in enumerate(a.shape) if n == 1 < x.shape[k]) for a in self.named.values() if a.ndim == x.ndim}
        flows = [a for n, a in full.items() if n.startswith("dy")]
        sums = [(g * a).sum(axes, keepdims=True) for axes in stat if axes for g in flows for a in [*full.values(), np.ones(())]]
        return _by_size([*sums, *_on_the_way(self.case)])

    def knows(self, value: Any, back: bool | None = None, sign: float = 0.0) -> bool:
        """Whether a value is one of the right record's, or minus one.

        back:  only those on the way back, or only the others
        sign:  only as they are (1), or only minus these (−1)
        """
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.size < 2:
            return False
        flat = value.ravel()
        scale = float(np.max(np.abs(flat)))
        if not np.isfinite(scale) or not scale:
            return False
        tables = [t.get(value.size) for k, t in enumerate(self._known) if back is None or k == back]
        signs = (sign,) if sign else (1.0, -1.0)
        return any(_is_among(s * flat, t, scale) for t in tables if t is not None for s in signs)

    def is_proportional(self, value: Any) -> bool:
        """Whether a value is a number times one of the right record's."""
        size = float(np.max(np.abs(value)))
        return bool(size) and np.isfinite(size) and any(_is_among(value.ravel() / size, t, 1.0) for t in self._to_one(value.size))

    def _to_one(self, size: int) -> list[Array]:
        """All that it computes of so many entries, the largest of them 1 or −1."""
        found = [t[size] for t in (*self._known, self._besides) if size in t]
        ends = np.concatenate(found) if found else np.zeros((0, size))
        largest = np.max(np.abs(ends), axis=1, keepdims=True, initial=0)
        kept = ends[largest[:, 0] > 0] / largest[largest[:, 0] > 0]
        return [kept, -kept]

    def owns(self, step: Step) -> bool:
        """Whether it is the candidate's own, not on the right record, and read at one place only."""
        return step.function is not None and len(self.readers[step]) == 1 and not self.knows(step.value)

    @cached_property
    def readers(self) -> dict[Step, list[Step]]:
        """Who reads a step."""
        found: dict[Step, list[Step]] = {s: [] for s in self.trace.steps}
        for s in self.trace.steps:
            for o in s.operands():
                found[o].append(s)
        return found

    def given(self, value: Any) -> bool:
        """Whether a value is an input, dy, or one of the gradients: to give that says nothing."""
        given = [self.case.dy, *(t.numpy() for t in self.case.inputs.values()), *self.case.truth.values()]
        return any(np.size(value) == a.size and _one(np.ravel(value), a.ravel()) for a in given)

    def called(self, value: Any) -> str | None:
        """The letter that has this value."""
        if not isinstance(value, np.ndarray) or value.size < 2 or value.dtype.kind != "f":
            return None
        for name, a in self.letters.items():
            if a.size == value.size and np.max(np.abs(a.ravel() - value.ravel())) <= _SAME * np.max(np.abs(a)):
                return name
        return None

    def fit(self, array: Any, shape: tuple[int, ...]) -> Array | None:
        """A known array laid out as one of this shape; None where it has none."""
        if array.shape == shape:
            return np.asarray(array)
        for made in self._layouts(array):
            if made.size == int(np.prod(shape)) and _groups(made.shape, shape):
                return made.reshape(shape)
        main = self.case.inputs[next(iter(self.case.inputs))].shape
        if array.size == int(np.prod(shape)) == int(np.prod(main)) and len(shape) > 1:
            rows = len(shape) == 2 < len(main) and shape[1] == main[1] and array.shape == main  # a row for each, channels last
            return np.moveaxis(array, 1, -1).reshape(shape) if rows else np.reshape(array, shape)
        return None

    def beside(self, array: Any, shape: tuple[int, ...]) -> Array | None:
        """A known array that can stand as a factor beside one of this shape, without making it larger."""
        same = self.fit(array, shape)
        if same is not None:
            return same
        for made in self._layouts(array):
            squeezed = made.reshape([k for k in made.shape if k > 1])
            for a in (made, squeezed, squeezed.reshape((*squeezed.shape, 1)) if squeezed.ndim else squeezed):
                try:
                    if np.broadcast_shapes(a.shape, shape) == shape:
                        return a
                except ValueError:
                    continue
        return None

    def _layouts(self, array: Any) -> Iterator[Array]:
        """A parameter along the channels also as it stands beside the input."""
        main = self.case.inputs[next(iter(self.case.inputs))].shape
        along = len(main) > 2 and array.ndim == 1 and array.shape[0] == main[1] and array.shape[0] != main[-1]
        if along:
            yield array.reshape((1, -1) + (1,) * (len(main) - 2))
        yield array


def _groups(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether the axes of the one are those of the other, some of them taken together."""
    if len(a) < len(b):
        a, b = b, a
    many, few = [k for k in a if k > 1], [k for k in b if k > 1]
    many, few = (many, few) if len(many) >= len(few) else (few, many)
    for k in few:
        n = 1
        while many and n < k:
            n *= many.pop(0)
        if n != k:
            return False
    return not many


def _products(names: Sequence[str], shape: Sequence[int]) -> dict[str, int]:
    return {
        "·".join(names[k] for k in some): int(np.prod([shape[k] for k in some]))
        for n in range(1, len(shape) + 1)
        for some in combinations(range(len(shape)), n)
    }


def _soft(case: Case) -> dict[str, Array]:
    """Of a loss of logits: its softmax, its targets as rows, and both without the rows that do not count."""
    if case.norm is None or case.norm.name not in ("log_softmax", "cross_entropy"):
        return {}
    x, options = case.inputs["input"].numpy(), case.options
    axis = int(options.get("dim", 1 if x.ndim > 1 else 0))
    e = np.exp(x - x.max(axis, keepdims=True))
    found = {"p": e / e.sum(axis, keepdims=True)}
    target = case.inputs.get("target")
    if target is None or target.dtype.kind not in "iu" or x.ndim < 2:
        return found
    t, classes = target.numpy(), x.shape[axis]
    found["one-hot(t)"] = np.moveaxis(np.eye(classes)[np.clip(t, 0, classes - 1)], -1, axis)
    smooth = float(options.get("label_smoothing") or 0)
    if smooth:
        found["the smoothed target"] = (1 - smooth) * found["one-hot(t)"] + smooth / classes
    counted = np.expand_dims(t != options.get("ignore_index", -100), axis)
    if not np.all(counted):
        found |= {f"{n} of the rows that count": a * counted for n, a in list(found.items())}
        found["which rows count"] = counted * np.ones(())
    return found


def _on_the_way(case: Case) -> list[Array]:
    """What a softmax is computed by, with the largest taken off or not."""
    if case.norm is None or case.norm.name not in ("softmax", "log_softmax", "cross_entropy"):
        return []
    x = case.inputs["input"].numpy()
    axis = int(case.options.get("dim", 1 if x.ndim > 1 else 0))
    found = []
    for z in (x, x - x.max(axis, keepdims=True)):
        total = np.exp(z).sum(axis, keepdims=True)
        found += [z, np.exp(z), total, np.log(total), z - np.log(total), np.log(total) + x.max(axis, keepdims=True)]
    return [x.max(axis, keepdims=True), found[7] / found[8], *found]


def _is_among(flat: Array, table: Array, scale: float) -> bool:
    return bool(np.any(np.max(np.abs(table - flat), axis=1) <= _SAME * scale))


def _by_size(arrays: Sequence[Array]) -> dict[int, Array]:
    found: dict[int, list[Array]] = {}
    for a in arrays:
        if a.size > 1 and a.dtype.kind == "f":
            found.setdefault(a.size, []).append(np.ravel(a))
    return {n: np.stack(rows) for n, rows in found.items()}


def _one(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.max(np.abs(a - b)) <= _SAME * np.max(np.abs(b)))


def _finite(found: Mapping[str, Any]) -> dict[str, Array]:
    return {n: np.asarray(a) for n, a in found.items() if np.size(a) and np.all(np.isfinite(a))}


def _without_factors(term: Any) -> Iterator[tuple[frozenset[Any], Any]]:
    """A term, and what is left of it without one of its letters, or two: it may be added before these are multiplied."""
    inner = inward(term)
    yield frozenset(), inner
    if inner != term:
        yield frozenset({None}), term
    factors = list(inner.factors) if isinstance(inner, Product) else [inner]
    letters = [f for f in factors if isinstance(_base(f), Letter)]
    for n in (1, 2):
        for some in combinations(letters, n):
            rest = [f for f in factors if f not in some]
            if any(not isinstance(f, (Number, Size)) for f in rest):
                yield frozenset(some), rest[0] if len(rest) == 1 else Product(tuple(rest))


def _base(f: Any) -> Any:
    return f.base if isinstance(f, Power) else f


def _of_route(title: str) -> str:
    """What a route is called after "the term": of the direct route, of the route through μ."""
    return f"of the {title} route" if " " not in title else f"of the route {title.replace('direct, ', '')}"
