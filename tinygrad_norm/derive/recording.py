"""What is derived from: a forward run once, on numbers whose sizes can be told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from ..engine import TinygradNormError, history
from ..engine.arrays import Array
from ..norms import Norm, get
from .assumption import branches
from .drawing import of_function, of_norm
from .errors import DerivationError
from .extremes import elsewhere, extremes_of
from .marks import Place, Size, marks, numbers_on
from .questions import listen
from .record import Record, second_of, sizes_of


class Recorder:
    """Records a forward: ``make()``, or ``make(again=1)`` at other sizes and on other numbers.

    again:    0 for the record that is derived from; 1, 2, … are others
    scaled:   options that have a name, such as ε, are others, too
    on:       arrays for the inputs by name, in place of those that are drawn
    numbers:  values of options that have a name
    """

    def __init__(self, make: Callable[..., Record]) -> None:
        self._make = make

    def __call__(
        self,
        again: int = 0,
        scaled: bool = False,
        on: Mapping[str, Array] | None = None,
        numbers: Mapping[str, float] | None = None,
    ) -> Record:
        return replace(self._make(again, _SCALES[again % len(_SCALES)] if scaled else 1.0, on or {}, numbers or {}), make=self)


_SCALES = (1.0, 1.5, 0.6875)  # of ε, from record to record


def recorder(
    norm: Any,
    inputs: Any,
    shape: Any,
    backward: str,
    seed: int,
    options: Mapping[str, Any],
    lemmas: Sequence[str],
    given: Mapping[str, Array] | None = None,
) -> Recorder:
    """What records the forward.

    given:  arrays by the name or the symbol of an input, to be taken instead of random ones, in their dtype
    """
    if isinstance(norm, (str, Norm)):
        found = get(norm)
        return Recorder(partial(of_norm, found, shape, backward, seed, options, lemmas, given or {}))
    inputs = {**(inputs or {}), **(given or {})} if callable(norm) else inputs
    if not callable(norm) or not inputs:
        raise DerivationError(
            'derive: to derive a forward of your own, name the axes of its inputs: inputs={"x": ("B", "N"), "w": ("N",)}.'
        )
    if shape is not None:
        raise DerivationError(
            f"derive: shape={shape} for a forward of your own: name the axes, whose sizes do not matter, or give arrays of your sizes, "
            'inputs={"x": np.ones((3, 8))}.'
        )
    return Recorder(partial(of_function, norm, inputs, seed, options, lemmas))


def sized(record: Record, name: str) -> Record:
    """The record, knowing which of its numbers are sizes: it is made twice more at other sizes (and with another ε)."""
    assert record.make is not None

    def again(k: int, scaled: bool) -> Record:
        made = listen(partial(record.make, k, scaled))[0]  # type: ignore[arg-type, misc]
        return second_of(made, name) if record.order == 2 else made

    others: list[Record] = []
    marked: dict[Place, Size] = {}
    unknown: dict[Place, float] = {}
    with suppress(TinygradNormError, ValueError, ArithmeticError):
        others = [again(1, False), again(2, False)]
        several = [record, *(again(k, True) for k in (1, 2))]
        marked, unknown = marks([r.output for r in several], [sizes_of(r) for r in several])
    notes = list(record.notes)
    notes += [f"{v:g}, which depends on the sizes (the formula is for these)" for v in dict.fromkeys(unknown.values())]
    moved = others and any(a.shape != b.shape for a, b in zip(record.inputs.values(), others[0].inputs.values()))
    if not moved:
        same = _alike(record)
        notes += [f"{v:g} is a number, though {n} is as large: the record has no other sizes" for v, n in same.items()]
    tried = list(extremes_of(record, lambda made: second_of(made, name) if record.order == 2 else made))
    extremes = tuple(place for place in tried if place.record is not None)
    others_at = elsewhere(record.output, ((place, place.record.output) for place in extremes if place.record is not None))
    notes += branches([*others_at, *(place.words for place in tried if place.record is None)])
    return replace(
        record, marks=marked, unknown=unknown, others=tuple(others), extremes=extremes, notes=tuple(dict.fromkeys(notes))
    )


def sizes_on(norm: Any, inputs: Any = None, **options: Any) -> dict[Place, Size]:
    """Which numbers on the record of this forward are sizes: ``{(place, operand): Size}``, without any algebra.

    place is a tensor by age (as ``engine.history`` lists them), operand which of its operands or options; ``str(size)`` is
    ``N − 1``, ``size.at({"B": 3, "N": 8})`` its value at other sizes. What an exporter needs so that what it writes holds for
    every shape.
    """
    record = recorder(norm, inputs, options.pop("shape", None), "recorded", 0, options, ())()
    return dict(sized(record, "").marks)


def _alike(record: Record) -> dict[float, str]:
    """Numbers on the record that are as large as an axis, or one over it: from 3 on, for 2 is in many formulas."""
    found = {}
    sizes = {v: n for n, v in sizes_of(record).items() if n not in record.numbers and v > 2}
    for _, value in numbers_on(record.output):
        for v in (value, 1 / value if value else 0.0):
            if v in sizes:
                found[value] = sizes[v]
    return found


def gradients_of(norm: Any, **how: Any) -> list[str]:
    """The names of the inputs that have a gradient."""
    usual = dict(get(norm).derived_with) if isinstance(norm, (str, Norm)) else {}
    lemmas = usual.pop("lemmas", ())
    record = recorder(norm, how.pop("inputs", None), how.pop("shape", None), "recorded", 0, {**usual, **how}, lemmas)()
    reached = set(history(record.output))
    return [n for n, t in record.inputs.items() if t.requires_grad and t in reached]
