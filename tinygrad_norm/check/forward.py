"""Whether a candidate's own forward is the one its backward is held against, and if not, what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..engine import TinygradNormError
from ..graph.table import number
from .alterations import Mistake
from .case import Case
from .judgement import Judgement
from .neighbours import USUAL


def judge_output(case: Case, output: Any, explained: bool = True) -> Judgement:
    """y against the record's. A known mistake in a value is named where y is what it gives."""
    truth = case.graph.output.numpy()
    mine = np.asarray(output)
    if mine.shape != truth.shape and mine.size == truth.size == 1:
        mine = mine.reshape(truth.shape)
    if mine.shape != truth.shape:
        return Judgement("output", "y", "wrong", np.inf, np.inf, lines=(f"your y has shape {mine.shape}, not {truth.shape}",))
    scale = max(float(np.max(np.abs(truth), initial=0)), 1e-300)
    unit = max(1e-9, 1e3 * float(np.finfo(mine.dtype).eps)) if mine.dtype.kind == "f" else 1e-9
    if mine.dtype == np.float64 and np.array_equal(mine.astype(np.float32), mine):
        unit = 1e-4
    off = float(np.max(np.abs(mine - truth), initial=0))
    if off <= unit * scale:
        return Judgement("output", "y", "right", off, off / scale, unit * scale)
    lines: tuple[str, ...] = (f"your y is not {case.norm.title if case.norm is not None else 'the forward'}'s",)
    names: tuple[str, ...] = ()
    for words, instead in _other_options(case) if explained else ():
        other = output_of(case, instead)
        if other is not None and other.shape == mine.shape and np.max(np.abs(other - mine), initial=0) <= unit * scale:
            lines = (f"{lines[0]}: it is that of {words}",)
            return Judgement(
                "output", "y", "wrong", off, off / scale, unit * scale, mistakes=(words,), lines=lines, instead=instead
            )
    times = (
        float(np.sum(mine * truth) / np.sum(truth * truth)) if explained and np.any(truth) and np.all(np.isfinite(mine)) else 0.0
    )
    if times and truth.size > 1 and np.max(np.abs(mine - times * truth), initial=0) <= unit * scale:
        said = next(
            (
                w
                for w, f in (("a logarithm to base 2", 1 / np.log(2)), ("a logarithm to base 10", 1 / np.log(10)))
                if abs(times / f - 1) < 1e-6
            ),
            "",
        )
        lines = (f"{lines[0]}: it is {number(times)} times that{f', {said}' if said else ''}",)
    for m in case.library if explained else ():
        if m.values and np.max(np.abs(_output(case, m) - mine), initial=0) <= unit * scale:
            lines, names = (f"{lines[0]}: {m.sentence}",), (m.name,)
            break
    return Judgement("output", "y", "wrong", off, off / scale, unit * scale, mistakes=names, lines=lines)


def _other_options(case: Case) -> Iterator[tuple[str, dict[str, Any]]]:
    if case.norm is None:
        return
    for eps in USUAL if "eps" in case.norm.options else ():
        yield f"ε = {eps:g}, where it is {case.eps:g}", {"eps": eps}
    for n, default in case.norm.options.items():
        for v in (not default,) if isinstance(default, bool) else (0, 1) if n == "correction" else ():
            yield f"{n}={v!r}", {n: v}


def output_of(case: Case, instead: Mapping[str, Any]) -> Any:
    """What the norm gives with other options; None where it takes none such."""
    assert case.norm is not None
    try:
        with np.errstate(all="ignore"):
            return case.norm.apply(case.inputs, backward="recorded", **{**case.options, **instead}).numpy()
    except (TinygradNormError, ValueError, IndexError, TypeError, KeyError, ZeroDivisionError):
        return None


def _output(case: Case, mistake: Mistake) -> Any:
    return case.backward.values(mistake)[case.graph.output]
