"""Which term is wrong: a gradient against the truth, the known mistakes, pairs of them, and the routes.

Nothing is claimed that the numbers do not force: a mistake is named only where its gradient is the candidate's to
rounding, and mistakes that no number can tell apart are named together.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array
from ..graph import Graph
from ..graph.table import number
from .alterations import Backward, Mistake
from .compare import rounding_of
from .fitting import Fit, fit_routes, listed, per_index
from .mistakes import library, told_apart

_ALIAS = 1e-9  # relative: below, two formulas are one on these numbers
_PATIENCE = 0.5  # seconds for pairs of mistakes
_FAR = 0.25  # an explanation that leaves more than this unexplained is none


@dataclass(frozen=True)
class Judgement:
    """What was found out about one gradient.

    name:         the input's name; ``symbol`` as tables write its gradient: ``dx``
    status:       "right", "imprecise" (the right formula, but rounding does not explain the error), "wrong", "missing",
                  "by design"
    max_abs, relative, allowed:  the largest difference, that over the largest entry, and what rounding explains
    mistakes:     the names of the known mistakes it is (two: both at once)
    aliases:      other known mistakes with the same numbers
    lines:        what to tell, a sentence a line
    """

    name: str
    symbol: str
    status: str
    max_abs: float = 0.0
    relative: float = 0.0
    allowed: float = 0.0
    mistakes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.status in ("right", "by design")


@dataclass(eq=False)
class Case:
    """A record and a cotangent in double precision: the truth, the library, the routes, and what rounding may do."""

    graph: Graph
    leaves: Mapping[str, Tensor]
    dy: Array
    eps: float = 0.0
    own: Sequence[Mistake] = ()
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    _found: dict[int, dict[str, Array]] = field(default_factory=dict)

    @cached_property
    def backward(self) -> Backward:
        return Backward(self.graph, self.leaves, self.dy)

    @cached_property
    def truth(self) -> dict[str, Array]:
        return self.backward.gradients()

    @cached_property
    def library(self) -> list[Mistake]:
        return [*library(self.graph, self.leaves), *self.own]

    @cached_property
    def rounding(self) -> dict[str, float]:
        """Per unit roundoff, for each gradient."""
        return rounding_of(self.graph, self.leaves, self.dy, self.eps)

    def gate(self, name: str, dtype: Any, like: Array | None = None) -> float:
        """How far rounding in ``dtype`` may take this gradient (or a mistaken one, ``like``) from its formula."""
        unit = float(np.finfo(dtype).eps) / 2
        truth = float(np.max(np.abs(self.truth[name]), initial=0))
        larger = 1.0 if like is None or not truth else max(1.0, float(np.max(np.abs(like), initial=0)) / truth)
        return self.rounding[name] * unit * larger

    def mistaken(self, mistake: Mistake) -> dict[str, Array]:
        if id(mistake) not in self._found:
            self._found[id(mistake)] = self.backward.gradients(mistake)
        return self._found[id(mistake)]

    def passing(self, names: Sequence[str], dtype: Any) -> list[Mistake]:
        """The known mistakes that this probe would not notice in any of these gradients."""
        return [
            m for m in self.library if not any(told_apart(self.mistaken(m)[n], self.truth[n], self.gate(n, dtype)) for n in names)
        ]

    def routes(self, name: str) -> Any:
        return self.graph.routes(self.leaves[name], self.dy, limit=256)

    @cached_property
    def squeezed(self) -> list[tuple[str, float]]:
        """Statistics that are smaller than the ε beside them: their label, and the share of their entries."""
        found = []
        for node in self.graph.nodes:
            t = node.tensor
            if t.op is not None and t.op.name == "add" and len(t.inputs) == 2 and not isinstance(t.inputs[1], Tensor):
                v, eps = t.inputs
                if isinstance(v, Tensor) and self.graph.node(v).role == "statistic" and eps > 0:
                    share = float(np.mean(v.numpy() < eps))
                    found += [(self.graph.node(v).label, share)] if share else []
        return found


def judge(
    case: Case, name: str, symbol: str, mine: Array | None, by_design: str = "", published: Array | None = None
) -> Judgement:
    """The verdict on one gradient, in the dtype it came in. ``published``: what is by design not the gradient, and why."""
    if mine is None:
        return Judgement(name, symbol, "missing", lines=(f"the candidate gives no {symbol}",))
    truth = case.truth[name]
    dtype = mine.dtype if mine.dtype in (np.float16, np.float32, np.float64) else np.dtype(np.float64)
    answer = mine.astype(np.float64)
    if answer.shape != truth.shape:
        return _of_another_shape(case, name, symbol, answer, dtype)
    largest = float(np.max(np.abs(truth), initial=0))
    with np.errstate(invalid="ignore"):
        off = float(np.max(np.abs(answer - truth), initial=0))
    allowed = case.gate(name, dtype)
    measured: dict[str, Any] = {"max_abs": off, "relative": off / largest if largest else off, "allowed": allowed}
    if not np.all(np.isfinite(answer)):
        bad = np.argwhere(~np.isfinite(answer))
        where = tuple(int(i) for i in bad[0])
        return Judgement(name, symbol, "wrong", lines=(f"{len(bad)} entries are not finite, the first at {where}",), **measured)
    if off <= allowed:
        return Judgement(name, symbol, "right", **measured)
    if published is not None and np.max(np.abs(answer - published), initial=0) <= case.gate(name, dtype, published):
        return Judgement(name, symbol, "by design", lines=(by_design,), **measured)
    fit = fit_routes(case, name, symbol, answer, dtype)
    found = _known(case, name, answer, dtype)
    if found is not None:
        mistake, aliases = found
        lines = [mistake.sentence] + ([f"numerically the same mistake as: {'; '.join(aliases)}"] if aliases else [])
        return Judgement(
            name, symbol, "wrong", mistakes=(mistake.name,), aliases=tuple(aliases),
            lines=(*fit.lines(), *lines, *_look(case, name, mistake)), **measured,
        )  # fmt: skip
    pair = None if fit.exact else _pair(case, name, answer, dtype)
    if pair is not None:
        lines = ["two mistakes at once:", *(f"  {m.sentence}" for m in pair)]
        return Judgement(
            name, symbol, "wrong", mistakes=tuple(m.name for m in pair),
            lines=(*fit.lines(), *lines, *(line for m in pair for line in _look(case, name, m))), **measured,
        )  # fmt: skip
    if fit.exact:
        return Judgement(name, symbol, "wrong", lines=(*fit.lines(), *fit.sentences()), **measured)
    by_index = per_index(case, name, answer, dtype)
    if by_index:
        return Judgement(name, symbol, "wrong", lines=tuple(by_index), **measured)
    return Judgement(
        name, symbol, "wrong", lines=(*_best_explanation(case, name, answer, fit), *_map(answer, truth, allowed)), **measured
    )


def _look(case: Case, name: str, mistake: Mistake) -> list[str]:
    """The formula of the route that passes where the mistake is, if there is one."""
    lines = [f"look: {mistake.remedy}"]
    if mistake.node is not None and not mistake.values and mistake.node in case.graph.ids:  # a wrong value is on every route
        node = case.graph.ids[mistake.node]
        alive = [r for r in case.routes(name) if len(r.nodes) < 2 or r.norm > 1e-9 * np.linalg.norm(case.truth[name])]
        routes = [r for r in alive if node in r.nodes]
        if 0 < len(routes) < len(alive):
            r = routes[0]
            form = r.closed_form
            lines[0] += f"; route {r.letter} of the picture" + (f": {form.text}" if form is not None else "")
    return lines


# Known mistakes ----------------------------------------------------------------------------------------------------


def _known(case: Case, name: str, answer: Array, dtype: Any) -> tuple[Mistake, list[str]] | None:
    """The known mistake whose gradient this is, the nearest if several are within rounding, and its aliases."""
    fitting = []
    for m in case.library:
        wrong = case.mistaken(m)[name]
        if (
            wrong.shape == answer.shape
            and np.all(np.isfinite(wrong))
            and told_apart(wrong, case.truth[name], case.gate(name, dtype))
        ):
            off = float(np.max(np.abs(answer - wrong), initial=0))
            if off <= case.gate(name, dtype, wrong):
                fitting.append((off, m))
    if not fitting:
        return None
    _, nearest = min(fitting, key=lambda pair: pair[0])
    same = [m for _, m in fitting if _are_one(case, name, m, nearest)]
    return same[0], [m.name for m in same[1:]]


def _are_one(case: Case, name: str, a: Mistake, b: Mistake) -> bool:
    u, v = case.mistaken(a)[name], case.mistaken(b)[name]
    return u.shape == v.shape and bool(np.max(np.abs(u - v), initial=0) <= _ALIAS * np.max(np.abs(v), initial=0))


def _pair(case: Case, name: str, answer: Array, dtype: Any) -> tuple[Mistake, Mistake] | None:
    """Two mistakes at once, if together they give these numbers."""
    truth = case.truth[name]
    able: list[Mistake] = []
    for m in case.library:  # of aliases, one
        wrong = case.mistaken(m)[name]
        if wrong.shape != truth.shape or not told_apart(wrong, truth, case.gate(name, dtype)) or not np.all(np.isfinite(wrong)):
            continue
        if not any(_are_one(case, name, m, other) for other in able):
            able.append(m)
    end = time.perf_counter() + _PATIENCE
    for a, b in combinations(able, 2):
        if time.perf_counter() > end:
            return None
        if set(a.edits) & set(b.edits) or set(a.values) & set(b.values):
            continue
        wrong = case.backward.gradients(a, b)[name]
        if wrong.shape == answer.shape and np.max(np.abs(answer - wrong), initial=0) <= case.gate(name, dtype, wrong):
            return a, b
    return None


def _of_another_shape(case: Case, name: str, symbol: str, answer: Array, dtype: Any) -> Judgement:
    lines = [f"{symbol} has shape {answer.shape}; it must be {case.truth[name].shape}, the shape of {symbol[1:]}"]
    found = _known(case, name, answer, dtype)
    if found is not None:
        return Judgement(
            name,
            symbol,
            "wrong",
            np.inf,
            np.inf,
            mistakes=(found[0].name,),
            lines=(*lines, found[0].sentence, f"look: {found[0].remedy}"),
        )
    return Judgement(name, symbol, "wrong", np.inf, np.inf, lines=tuple(lines))


# What cannot be named ------------------------------------------------------------------------------------------------


def _best_explanation(case: Case, name: str, answer: Array, fit: Fit) -> list[str]:
    best: tuple[float, str] = (
        fit.unexplained,
        f"the routes, {' + '.join(f'{c:.3g}·{t}' for c, t in zip(fit.coefficients, fit.titles))}",
    )
    largest = max(float(np.max(np.abs(answer), initial=0)), 1e-300)
    for m in case.library:
        wrong = case.mistaken(m)[name]
        if wrong.shape == answer.shape and np.all(np.isfinite(wrong)):
            off = float(np.max(np.abs(answer - wrong), initial=0)) / largest
            best = min(best, (off, m.sentence), key=lambda pair: pair[0])
    share = f"{min(best[0], 1):.1%}" if best[0] > 5e-4 else number(best[0])
    if best[0] > _FAR:
        return [f"no known mistake. Best explanation: none comes near, {share} of it remains unexplained at the least"]
    return [f"no known mistake. Best explanation: {best[1]}; {share} of it remains unexplained"]


def _map(answer: Array, truth: Array, allowed: float) -> list[str]:
    """Where the difference is, if it is not everywhere."""
    bad = np.abs(answer - truth) > allowed
    lines = []
    for axis in range(bad.ndim if bad.ndim > 1 else 0):
        hit = np.flatnonzero(np.any(bad, axis=tuple(a for a in range(bad.ndim) if a != axis)))
        if 0 < len(hit) <= bad.shape[axis] // 2:
            lines.append(f"the difference is in index {listed(hit)} of axis {axis} only")
    if not lines and 0 < bad.sum() <= bad.size // 2:
        lines.append(f"the difference is in {bad.sum()} of {bad.size} entries only")
    return lines
