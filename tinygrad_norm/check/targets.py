"""Explanations of a loss of logits: what it is divided by, and the target that it is held against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..graph.table import number
from .case import Case
from .judgement import Explanation, Given
from .weights import divisions


def of_a_loss(case: Case, given: Given) -> Explanation | None:
    """Cross-entropy with another divisor, other weights of its rows, or another target."""
    told = _parts(case, given)
    if told is None:
        return None
    p, q, counted, scale = told
    for attempt in (_divisor, _chunks, _weights, _before_softmax, _twice, _shifted, _smoothed, _target):
        words = attempt(case, given, p, q, counted, scale)
        if words:
            return Explanation((words,), (words,))
    return None


def _parts(case: Case, given: Given) -> tuple[Array, Array, Array, float] | None:
    """The softmax, the target as rows, which rows count, and the number before p − q."""
    target = case.inputs.get("target")
    if case.norm is None or case.norm.name != "cross_entropy" or target is None or target.dtype.kind not in "iu":
        return None
    truth = case.truth.get("input")
    if given.name != "input" or truth is None or truth.ndim != 2 or not given.has_shape(case) or case.dy.size != 1:
        return None
    if not np.all(np.isfinite(given.array)):
        return None
    z, t, n = case.inputs["input"].numpy(), target.numpy(), truth.shape[1]
    e = np.exp(z - z.max(1, keepdims=True))
    smooth = float(case.options.get("label_smoothing") or 0)
    counted = t != case.options.get("ignore_index", -100)
    p, q = e / e.sum(1, keepdims=True), (1 - smooth) * np.eye(n)[np.where(counted, t, 0)] + smooth / n
    rest = (p - q) * counted[:, None]
    scale = float(np.sum(truth * rest) / np.sum(rest * rest)) if np.any(rest) else 0.0
    if not scale or np.max(np.abs(scale * rest - truth)) > case.gate(
        "input", np.float64
    ):  # weights of classes, or another option
        return None
    return p, q, counted, scale


def _divisor(case: Case, given: Given, p: Array, q: Array, counted: Array, scale: float) -> str:
    truth, mine = case.truth["input"], given.array
    times = float(np.sum(mine * truth) / np.sum(truth * truth))
    if case.options.get("reduction") != "mean" or not times or not given.is_it(case, times * truth):
        return ""
    rows, of = len(counted), int(np.sum(counted))
    belongs = f"the {of} rows that count" if of < rows else f"B = {rows}"
    near = round(of / times)
    found = [
        words
        for words, n in (*_divisors(rows, of, q.shape[1]), *([(f"{near}", near)] if 1 < near < of else []))
        if abs(of / n - times) <= 1e-9 * abs(times) and abs(times - 1) > 1e-9
    ]
    found = found[:-1] if len(found) > 1 and found[-1] == str(near) else found
    return f"divided by {' or '.join(found)} where {belongs} belongs: {number(times)} times what it should be" if found else ""


def _divisors(rows: int, of: int, classes: int) -> Iterator[tuple[str, float]]:
    if of < rows:
        yield f"all {rows} rows, also those that are ignored,", rows
        yield f"the {rows - of} rows that are ignored", rows - of
        yield f"all {rows}·{classes} entries", rows * classes
    else:
        yield f"B² = {rows * rows}", rows * rows
    if of > 1:
        yield f"{of} − 1", of - 1
    yield f"{of} + 1", of + 1


def _weights(case: Case, given: Given, p: Array, q: Array, counted: Array, scale: float) -> str:
    """A number of its own for each row, that depends on the row's target."""
    truth, mine, t = case.truth["input"], given.array, case.inputs["target"].numpy()
    size = np.sum(truth * truth, axis=1)
    times = np.where(size > 0, np.sum(mine * truth, axis=1) / np.where(size > 0, size, 1), 1.0)
    if not given.is_it(case, times[:, None] * truth) or np.ptp(times[counted]) <= 1e-9:
        return ""
    by_class: dict[int, float] = {}
    for row in np.flatnonzero(counted):
        if abs(by_class.setdefault(int(t[row]), float(times[row])) - times[row]) > 1e-9:
            return ""
    if len(by_class) < 2 or len(by_class) == int(np.sum(counted)) > 3:
        return ""
    said = ", ".join(f"{number(w)} times where the target is {c}" for c, w in sorted(by_class.items()))
    return f"each row is multiplied by a weight of its class, which was not asked for: {said}"


def _chunks(case: Case, given: Given, p: Array, q: Array, counted: Array, scale: float) -> str:
    """Each chunk of rows divided by its own number of rows, or that as a mean over the chunks."""
    truth, rows = case.truth["input"], len(counted)
    if case.options.get("reduction") != "mean" or not np.all(counted):
        return ""
    for sizes, named in divisions(rows):
        length = np.repeat(sizes, sizes)[:, None]
        for times, words in (
            (
                rows / length,
                f"each of {named} ({' and '.join(map(str, dict.fromkeys(sizes)))} rows) is divided by its own number of rows, where B = {rows} belongs",
            ),
            (
                rows / (len(sizes) * length),
                f"the mean of the means of {named} ({' and '.join(map(str, dict.fromkeys(sizes)))} rows): each weighs as much, whatever it holds",
            ),
        ):
            if np.ptp(times) > 1e-9 and given.is_it(case, times * truth):
                return words
    return ""


def _before_softmax(case: Case, given: Given, p: Array, q: Array, counted: Array, scale: float) -> str:
    """The gradient of what stands before the loss, not of the logits."""
    for words, wrong in (("p", -q / p), ("log p", -q), ("p, as −1/p at the target,", -1.0 * (q > 0) / p)):
        for much in (scale, float(scale * len(counted))):
            if given.is_it(case, much * wrong * counted[:, None]):
                more = "" if much == scale else f", and it is not divided by B = {len(counted)}"
                return f"this is the gradient of {words} not of the logits: the way back through the softmax is missing{more}".replace(
                    "p not", "p, not"
                )
    return ""


def _twice(case: Case, given: Given, p: Array, q: Array, counted: Array, scale: float) -> str:
    """The loss of probabilities, as if they were logits."""
    e = np.exp(p)
    g = scale * (e / e.sum(1, keepdims=True) - q) * counted[:, None]
    if given.is_it(case, p * (g - np.sum(p * g, axis=1, keepdims=True))):
        return "the softmax is applied twice: the loss takes logits, and was given their softmax"
    return ""


def _shifted(case: Case, given: Given, p: Array, q: Array, counted: Array, scale: float) -> str:
    """Each row held against another row's target, as a language model's is against the next one's."""
    rows = len(counted)
    for words, end, own, other in (
        ("next", "last", slice(None, -1), slice(1, None)),
        ("previous", "first", slice(1, None), slice(None, -1)),
    ):
        wrong = np.zeros_like(p)
        wrong[own] = (p[own] - q[other]) * counted[other, None]
        for count, more in ((rows, ""), (rows - 1, f", and the mean is over B − 1 = {rows - 1}")):
            if rows > 1 and given.is_it(case, scale * rows / count * wrong):
                return f"each row is held against the target of the {words} one, the {end} row against none{more}: a shift that belongs to a language model"
    return ""


def _smoothed(case: Case, given: Given, p: Array, q: Array, counted: Array, scale: float) -> str:
    """What belongs to the target, done to the softmax instead, or to both."""
    smooth, n = float(case.options.get("label_smoothing") or 0), q.shape[1]
    t = case.inputs["target"].numpy()
    hard = np.eye(n)[np.where(counted, t, 0)]
    for s, named in ((smooth, ""),) if smooth else ():
        mixed = (1 - s) * p + s / n
        for words, one, other in (
            (f"p is smoothed, (1 − {s:g})·p + {s:g}/{n}, where the target belongs to be{named}", mixed, hard),
            ("p is smoothed as the target is", mixed, q),
        ):
            if given.is_it(case, scale * (one - other) * counted[:, None]):
                return words
    return ""


def _target(case: Case, given: Given, p: Array, q: Array, counted: Array, scale: float) -> str:
    """What stands in the target's place, if it is two numbers, or one column."""
    t, n = case.inputs["target"].numpy(), q.shape[1]
    mine, near = p - given.array / scale, 1e-9 + given.gate(case) / abs(scale)
    if np.any(np.abs(given.array[~counted]) > given.gate(case)):
        return ""
    mine, right, t = mine[counted], q[counted], t[counted]
    there = np.eye(n, dtype=bool)[t]
    on, off = mine[there], mine[~there]
    if np.ptp(on) <= near and np.ptp(off) <= near and n > 1:
        a, b = float(on[0]), float(off[0])
        ra, rb = float(right[there][0]), float(right[~there][0])
        plain = abs(a - 1) <= near and abs(b) <= near  # smoothing that is left out: the neighbour without it
        if (abs(a) > near or abs(b) > near) and not plain:
            if abs(b) <= near and (rb := float(right[~there][0])) == 0 and case.dy.size == 1:
                dy, rows = float(case.dy.reshape(())), float(np.sum(counted))
                for words, one in (("dy", 1 / dy), ("1/B", rows), ("dy/B", rows / dy)):
                    if abs(a - one) <= near * max(1, abs(one)):
                        return (
                            f"the 1 at the target is subtracted from what was multiplied by {words} already: it lacks that factor"
                        )
            b = 0.0 if abs(b) <= near else b
            said = f"the target is {_number(a)} at the right class where {_number(ra)} belongs, and {_number(b)} elsewhere where {_number(rb)} belongs"
            return f"{said}; they add up to {_number(a + (n - 1) * b)}"
    column = mine.argmax(1)
    if np.all(np.abs(mine - np.eye(n)[column]) <= near) and not np.array_equal(column, t):
        rule = next((w for w, c in _columns(case, counted, t, n) if np.array_equal(np.asarray(c), column)), "")
        said = ", ".join(f"{a} for {b}" for a, b in zip(column, t) if a != b)
        return f"the one of the target's row stands in another column{rule}: {said}"
    return ""


def _columns(case: Case, counted: Array, t: Array, n: int) -> Iterator[tuple[str, Any]]:
    z = case.inputs["input"].numpy()[counted]
    yield ", t − 1", (t - 1) % n
    yield ", t + 1", (t + 1) % n
    yield ", the largest logit's", z.argmax(1)
    yield ", the smallest logit's", z.argmin(1)
    yield ", that of the row before", np.roll(t, 1)
    yield ", that of the next row", np.roll(t, -1)
    yield ", counted from the end", n - 1 - t


def _number(a: float) -> str:
    return f"{a:.4g}".replace("-", "−")
