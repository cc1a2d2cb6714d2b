"""Explanations by known mistakes: one of them, or two at once."""

from __future__ import annotations

from itertools import combinations, islice

import numpy as np

from ..engine import Tensor
from .alterations import Mistake, instead
from .case import Case
from .judgement import Explanation, Given
from .mistakes import EVERYTHING

PAIRS = 2_000  # of mistakes tried at once, at most,
_ENTRIES = 4_000_000  # and entries of gradients computed for them


def rule(case: Case, given: Given) -> Explanation | None:
    """The known mistake whose gradient this is, the nearest if several are within rounding."""
    fitting = [
        (float(np.max(np.abs(given.array - case.mistaken(m)[given.name]), initial=0)), m)
        for m in case.library
        if case.shows(given.name, m, given.dtype) and given.is_it(case, case.mistaken(m)[given.name])
    ]
    if not fitting:
        return None
    _, nearest = min(fitting, key=lambda pair: pair[0])
    whole = given.has_shape(case) and len(given.fit(case).titles) < 2
    mistake, *others = sorted(
        (m for _, m in fitting if case.are_one(given.name, m, nearest)),
        key=lambda m: whole and m.name not in EVERYTHING,  # of one route, the part is the whole
    )
    aliases = tuple(m.name for m in others)
    lines = [mistake.sentence] + ([f"numerically the same mistake as: {'; '.join(aliases)}"] if aliases else [])
    return Explanation((*lines, *look(case, given.name, mistake)), (mistake.name,), aliases)


def pair(case: Case, given: Given) -> Explanation | None:
    """Two mistakes at once, if together they give these numbers and no combination of the routes does."""
    if given.fit(case).exact:
        return None
    able: list[Mistake] = []
    for m in case.library:  # of aliases, one
        of_shape = case.mistaken(m)[given.name].shape == given.array.shape
        if of_shape and case.shows(given.name, m, given.dtype) and not any(case.are_one(given.name, m, other) for other in able):
            able.append(m)
    apart = [
        (a, b) for a, b in combinations(able, 2) if not set(a.edits) & set(b.edits) and not set(a.values) & set(b.values)
    ]  # fmt: skip
    most = max(1, min(PAIRS, _ENTRIES // max(1, sum(t.size for t in case.leaves.values()))))
    for a, b in islice(apart, most):
        if given.is_it(case, case.backward.gradients(a, b)[given.name]):
            looks = (line for m in (a, b) for line in look(case, given.name, m))
            return Explanation(("two mistakes at once:", f"  {a.sentence}", f"  {b.sentence}", *looks), (a.name, b.name))
    if len(apart) > most:
        given.gave_up.append(f"gave up after {most} of {len(apart)} pairs of known mistakes")
    return None


def clamped(case: Case, given: Given) -> Explanation | None:
    """A derivative that goes on where the forward had put a constant in the value's place: max(‖x‖, ε)."""
    for t in case.graph.tensors:
        if t.op is None or t.op.name != "where":
            continue
        for position, x in enumerate(t.inputs):
            if not isinstance(x, Tensor) or not x.requires_grad or x.shape != t.shape:
                continue
            label, through = case.graph.node(x).label, {(t, position): instead(lambda g, out, *_: g)}
            name = f"{label}: not clamped on the way back"
            text = (
                f"the derivative goes on through {label} where it is clamped, in {case.graph.node(t).label}: there it is constant"
            )
            look = "where a constant stands in its place, no gradient flows"
            for values in ({}, {x: lambda value, *_, t=t: t.numpy()}):
                mistake = Mistake(name, text, look, through, values=values, node=t)
                if case.shows(given.name, mistake, given.dtype) and given.is_it(case, case.mistaken(mistake)[given.name]):
                    return Explanation((text, f"look: {look}"), (name,))
    return None


def look(case: Case, name: str, mistake: Mistake) -> list[str]:
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
