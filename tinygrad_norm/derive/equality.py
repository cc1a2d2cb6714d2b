"""Are two formulas the same? Four answers, and only one of them is a proof.

Proved is what has one normal form, holds under the same assumptions on both sides, and was found true in numbers on every
record: at other sizes, on numbers of other signs, and where a forward is most likely another one. Leaves are paired by the
caller: the parameters of a function by the names of the inputs, or as ``pairing`` says. A constant is data, the same as another
one if every entry is, on every record; what a function made of its inputs is the same where it was made in the same way.

Whatever a function gets out of a record but by recorded operations is a question, and that it is answered as on the record an
assumption: values, sizes that are compared, errors that are caught, files, hooks. What enters a record is data only where a line of
the function's own hands it in. What a proof takes for granted: ``Derivation.equals``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import Tensor, TinygradNormError, history
from ..graph.notebook import bundle
from ..graph.table import number
from .assumption import branches, of_kind
from .extremes import elsewhere
from .other import Incomparable, Other, gradient_on, off, tolerance
from .proof import Proof
from .record import Record, second_of

if TYPE_CHECKING:
    from .derivation import Derivation


@dataclass(frozen=True)
class Equality:
    """Whether two formulas are the same. True as a bool only where it is proved.

    kind:         "proved", "equal under", "not proved" or "not equal"
    assumptions:  sentences under which it holds; empty where it holds for every input
    residual:     yours less the derivation's, as a formula, where that is short
    off:          the largest difference on random numbers, relative
    records:      how many records the numbers were compared on
    reason:       why it is not proved
    """

    kind: str
    off: float
    assumptions: tuple[str, ...] = ()
    residual: str | None = None
    records: int = 0
    reason: str = ""

    @property
    def proved(self) -> bool:
        return self.kind == "proved"

    def __bool__(self) -> bool:
        return self.proved

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle("an equality", self.__str__, "text", self.__str__)

    def __str__(self) -> str:
        under = "; ".join(self.assumptions)
        if self.kind == "proved":
            text = "equal: proved, both have the same normal form"
            return text + (f". Assumed: {under}" if under else "")
        if self.kind == "equal under":
            return f"equal under: {under}" + (f". {self.reason}" if self.reason else "")
        if self.kind == "not proved":
            return f"not proved: {self.reason}" + (f". Assumed: {under}" if under else "")
        text = (
            f"not equal: {self.reason}" if self.reason else f"not equal: they differ by {number(self.off)} of the largest entry"
        )
        return text + (f": {self.residual}" if self.residual else "")


def _records(n: int) -> str:
    return "one record" if n == 1 else f"{n} records"


def compare_formulas(d: Derivation, other: Any, pairing: Mapping[str, str] | None = None) -> Equality:
    """A derivation's formula and another derivation's, or that of a function of tensors."""
    theirs = Other(d, other, pairing)
    try:
        found, _ = theirs.on(d.record)
    except Incomparable as error:
        return Equality("not equal", float("inf"), reason=str(error))
    shape = d.record.inputs[d.of].shape
    if not _fits(found.shape, shape):
        return Equality("not equal", float("inf"), reason=f"its shape is {found.shape}, that of {d.gradient} {shape}")
    numbers = [off(found.data, *gradient_on(d.record, d.of))]
    others, lost = [], ""
    for record in d.record.others:
        try:
            again, _ = theirs.on(record)
        except _FAILS as error:
            lost = f"at other sizes it fails ({type(error).__name__})"
            continue
        others.append((record, again))
    moved = bool(others)
    if not others:  # other numbers at the same sizes are better than none
        fresh = theirs.redrawn()
        others = [(fresh, theirs.on(fresh)[0])] if fresh is not None else []
    for record, again in others:
        expected, floor = gradient_on(record, d.of)
        numbers.append(off(again.data, expected, floor) if _fits(again.shape, expected.shape) else float("inf"))
    allowed = tolerance(d.record.output.dtype)
    largest = max((n for n in numbers if np.isfinite(n)), default=float("nan"))
    records = [d.record, *(r for r, _ in others)]
    if numbers[0] > allowed:
        residual = Proof(d, theirs, records, moved, False).residual
        return Equality("not equal", numbers[0], residual=residual, records=1)
    if not (np.isfinite(numbers[0]) and np.all(np.isfinite(d.record.output.data))):
        return Equality("not proved", numbers[0], reason="the record holds a number that is not finite")
    extremes = _Extremes(d, theirs, found)
    proof = Proof(d, theirs, records, moved)
    if any(n > allowed for n in [*numbers[1:], extremes.worst]):
        worst = max(n for n in [*numbers[1:], extremes.worst] if n > allowed)
        under = tuple(dict.fromkeys((*proof.needed, *extremes.needed, *proof.assumptions)))
        if proof.holds and under and not (extremes.worst > allowed and not extremes.needed and not proof.needed):
            return Equality("equal under", worst, under, records=1, reason="Elsewhere they differ")
        where = extremes.where if extremes.worst == worst else "at other sizes or on other numbers"
        reason = f"they are equal on this record, but {where} they differ by {number(worst)} of the largest entry"
        return Equality("not equal", worst, residual=proof.residual, reason=reason, records=len(numbers))
    finite = sum(bool(np.isfinite(n)) for n in numbers)
    if proof.holds:
        if finite < 2:
            if finite < len(numbers):
                where = "the inputs are such that both are numbers, which they are not elsewhere"
                return Equality("equal under", largest, (where, *proof.needed, *proof.assumptions), records=finite)
            reason = "the normal forms are one, but there is no second record whose numbers are finite"
            return Equality("not proved", largest, proof.assumptions, records=finite, reason=reason)
        sizes = (f"the sizes are {_sizes(d)}: {lost}",) if lost and not moved else ()
        domain = ("the inputs are such that both are numbers, which they are not everywhere",) if finite < len(numbers) else ()
        needed = (*proof.needed, *sizes, *domain, *extremes.needed)
        if needed:
            return Equality("equal under", largest, tuple(dict.fromkeys((*needed, *proof.assumptions))), records=finite)
        return Equality("proved", largest, proof.assumptions, records=finite + extremes.seen)
    reason = f"the numbers agree on {_records(finite)} (largest difference {number(largest)}); {proof.why}"
    return Equality("not proved", largest, proof.assumptions, records=finite, reason=reason)


_GROSS = 0.5  # of the largest entry
_FAILS = (TinygradNormError, ValueError, TypeError, IndexError, ArithmeticError)


class _Extremes:
    """Both formulas in numbers where the forward is most likely to be another.

    worst:   the largest difference, and ``where`` it is
    needed:  what was found to be otherwise there: either side consists of other operations, or theirs fails
    seen:    on how many records they were compared
    """

    def __init__(self, d: Derivation, theirs: Other, found: Tensor) -> None:
        self.worst, self.where, self.seen = 0.0, "", 0
        needed = of_kind(d.record.notes, "branches")
        others = []
        for place in d.record.extremes:
            words, record = place.words, place.record
            assert record is not None
            expected, floor = gradient_on(record, d.of)
            if not np.all(np.isfinite(expected)):
                continue
            try:
                again, _ = theirs.on(record)
            except _FAILS as error:
                if not place.single:
                    needed.append(f"not {words}: there it fails ({type(error).__name__})")
                continue
            dtype = min((record.output.dtype, record.inputs[d.of].dtype), key=lambda t: t.itemsize)
            if dtype.itemsize == 2:  # nothing is said where the gradient is next to nothing: it is rounding there
                floor = 0.0
                exact = _in_double(record, d.of)
                if exact is None or not off(expected, gradient_on(exact, d.of)[0]) <= _GROSS / 2:
                    continue
            floor = max(floor, _rounding(again)) if dtype.itemsize > 2 else floor
            gap = off(again.data, expected, floor) if _fits(again.shape, expected.shape) else float("inf")
            # in units of the record's own rounding; in float16 what is no rounding is gross
            gap *= tolerance(d.record.output.dtype) / (tolerance(dtype) if dtype.itemsize > 2 else _GROSS)
            self.seen += bool(np.isfinite(gap))
            if gap > self.worst:
                self.worst, self.where = gap, words
            others += elsewhere(found, [(place, again)])
        needed += branches(others)
        with suppress(Exception):  # which may be right: it may go backward itself
            held = theirs.held(d.record)
            if held is not None and not np.array_equal(held, found.data, equal_nan=True):
                needed.append("its tensors are recorded (under no_grad, on tensors without names, it is something else)")
        self.needed = tuple(dict.fromkeys(needed))


def _in_double(record: Record, of: str) -> Record | None:
    """The same forward on the same numbers in float64."""
    assert record.make is not None
    on = {n: t.data.astype(np.float64) for n, t in record.inputs.items() if t.dtype.kind == "f"}
    try:
        made = record.make(on=on, numbers=record.numbers)
        return second_of(made, of) if record.order == 2 else made
    except _FAILS:
        return None


def _rounding(found: Tensor) -> float:
    """What is next to nothing beside the numbers that a tensor is made of (times the tolerance: 8 roundings of the largest)."""
    largest = max((float(np.max(np.abs(t.data), initial=0)) for t in history(found) if t.dtype.kind == "f"), default=0.0)
    return 8 * float(np.finfo(found.dtype).eps) ** 0.425 * largest if np.isfinite(largest) and found.dtype.kind == "f" else 0.0


def _sizes(d: Derivation) -> str:
    return ", ".join(f"{a} = {n}" for a, n in d.letters.sizes.items())


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, whole) == whole and len(shape) <= len(whole)
    except ValueError:
        return False
