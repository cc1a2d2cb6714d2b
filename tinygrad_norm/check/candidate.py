"""Ask somebody's backward for its gradients, and bring back whatever it gives in one form."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..engine.arrays import Array
from .answers import Names, Reader, WrongAnswer
from .binding import Bound, CheckInputError, bind_backward
from .guard import explain, file_of, run


@dataclass(frozen=True)
class Pairing:
    """What a forward and a backward of one's own gave: the output, what the backward returned, and how it was called.

    raw: the output as it came
    """

    output: Any
    returned: Any
    bound: Bound
    raw: Any = None


class Candidate:
    """A callable to be judged, as ``as_candidate`` makes it. Plain ones are called as they are.

    gradients:  for one of another framework: ``(dy, inputs, options, saved, names) -> whatever a candidate returns``
    paired:     for one with a forward of its own: ``(dy, inputs, options, saved, names) -> Pairing``
    kept:       what it keeps from call to call, of objects their attributes
    beside:     its own forward, where that is another function
    twice:      of an object: go back twice for each forward, and give what comes the second time
    order2:     ``(dy, inputs, options, v) -> gradients by input name`` of Σ ⟨v[name], gradient[name]⟩, by the framework's own
                double backward, or an error's text; None for a plain one
    """

    def __init__(
        self,
        function: Callable[..., Any],
        gradients: Callable[..., Any] | None = None,
        order2: Callable[..., Any] | None = None,
        paired: Callable[..., Pairing] | None = None,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function, self.gradients, self.order2, self.paired = function, gradients, order2, paired
        self.kept: Callable[[], Sequence[dict[str, Any]]] = list
        self.beside: tuple[Callable[..., Any], ...] = ()
        self.twice = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Renamed(Candidate):
    """A plain one with other names for its parameters, ``names`` by the old ones. Raises ``ValueError`` where it has two of one name."""

    def __init__(self, candidate: Candidate, names: Mapping[str, str]) -> None:
        super().__init__(candidate.function)
        old = inspect.signature(candidate)
        self.names = {new: name for name, new in names.items()}
        self.__signature__ = old.replace(parameters=[p.replace(name=names.get(p.name, p.name)) for p in old.parameters.values()])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **{self.names.get(n, n): a for n, a in kwargs.items()})


@dataclass(frozen=True)
class Answer:
    """What a candidate gave.

    gradients:  by input name, each of its input's shape; None: it gave none
    steps:      its intermediates, where it names some, in its own order
    notes:      a line each: what it printed, changed, gave in another form
    error:      a line: why gradients are missing, or why one that is given has a wrong shape
    misshapen:  those of a wrong shape, as they came
    changed:    what it wrote into, and what that then was: an input by its name, or "dy"
    again:      the gradients of a second call, where there was one
    taken:      what of ours it was given, where that is known; ``told``: to which parameter, in words
    guessed:    what was bound by its place alone, a line each
    output:     what its own forward gave, where it has one
    alone:      it returned one array, not several
    raw:        the gradients as they came, and "output", what its own forward gave
    """

    gradients: Mapping[str, Array | None]
    steps: Sequence[tuple[str, Array]] = ()
    notes: Sequence[str] = ()
    error: str | None = None
    misshapen: Mapping[str, Array] = field(default_factory=dict)
    changed: Mapping[str, Array] = field(default_factory=dict)
    again: Mapping[str, Array | None] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    told: str = ""
    guessed: Sequence[str] = ()
    output: Any = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False

    @property
    def raised(self) -> bool:
        """Whether nothing that it gave can be judged."""
        return self.error is not None and not self.misshapen and all(g is None for g in self.gradients.values())


def ask(
    candidate: Callable[..., Any],
    dy: Array,
    inputs: Mapping[str, Array],
    options: Mapping[str, Any],
    saved: Mapping[str, Any] | None = None,
    wanted: Sequence[str] | None = None,
    limit: float = 10.0,
    symbols: Mapping[str, str] | None = None,
    layout: Callable[[Array], Array] | None = None,
) -> Answer:
    """Call a backward once, on copies, and never raise for what it does.

    candidate:  ``candidate(dy, x, weight, bias, eps) -> (dx, dweight, dbias)``. Its parameters are matched by name (dy, dout, g,
                grad_output, …; x, input, …; weight, w, gamma, …; bias, b, beta; options and saved statistics by theirs; cache is
                a mapping with all of them), others by position; what it has no parameter for is not passed. It may return an
                array (the first input's gradient), a tuple or list in the inputs' order (None: not given), a dict by name (dx,
                dweight, dgamma, …), or yield (name, array) steps; what is not a gradient is an intermediate.
    wanted:     the inputs to have gradients for, in order; those of a floating dtype when not given
    limit:      seconds. A candidate that takes longer is asked to end and otherwise left behind in its thread, since a
                thread cannot be killed: one that hangs in compiled code goes on until the program ends.
    symbols:    what the inputs are called on paper; understood as parameters' names, and used in what is said
    layout:     what each array is handed over as: those of the inputs in order, dy, the saved ones; by default a copy

    ``KeyboardInterrupt`` passes through, nothing else does; ``SystemExit`` is an error like another.
    """
    return _ask(candidate, dy, inputs, options, saved, wanted, limit, symbols, layout or _copied)


def sanity(
    candidate: Callable[..., Any],
    dy: Array,
    inputs: Mapping[str, Array],
    options: Mapping[str, Any],
    saved: Mapping[str, Any] | None = None,
    wanted: Sequence[str] | None = None,
    limit: float = 10.0,
    symbols: Mapping[str, str] | None = None,
) -> Answer:
    """``ask``, with notes on whether the answer is the same a second time, and on arrays laid out otherwise in memory."""
    ask_on = functools.partial(_ask, candidate, dy, inputs, options, saved, wanted, limit, symbols)
    first = ask_on(_copied)
    if all(g is None for g in first.gradients.values()):
        return first
    notes = list(first.notes)
    names = Names(inputs, wanted, symbols)
    again: Mapping[str, Array | None] = {}
    for layout, when in ((_copied, "the second time"), (_transposed, "for transposed input"), (_strided, "for strided input")):
        other = ask_on(layout)
        again = other.gradients if layout is _copied else again
        if other.error != first.error:
            notes.append(f"{when}: {other.error or 'no error any more'}")
            if other.error is not None and other.error.startswith(_LATE):
                break
            continue
        exactly = layout is _copied
        floor = float(np.max(np.abs(dy), initial=0)) if dy.size else 0.0
        told = [_difference(names.label(n), a, other.gradients[n], floor, exactly) for n, a in first.gradients.items()]
        notes += [f"gives another answer {when}: {t}" for t in told if t][:1]
    return replace(first, notes=tuple(notes), again=again)


def _difference(label: str, a: Array | None, b: Array | None, floor: float, exactly: bool) -> str | None:
    """Rounding may differ where sums run in another order; reading other numbers is another order of magnitude."""
    if a is None or b is None:
        return None if a is b else f"{label} is given only sometimes"
    if np.array_equal(a, b, equal_nan=True):
        return None
    largest = float(np.max(np.abs(a), initial=floor))
    gap = float(np.max(np.abs(np.subtract(a, b, dtype=np.float64)), initial=0))
    if not np.isfinite(gap):
        return f"{label} is not finite in the same places"
    inside = np.float32 if a.dtype == np.float64 and np.array_equal(a, a.astype(np.float32)) else a.dtype
    if gap > np.sqrt(np.finfo(inside).eps) * largest:
        return f"{label} differs by {gap:.2g}"
    return f"{label} rounds differently, by {gap:.1e}" if exactly else None


def _copied(a: Array) -> Array:
    return np.array(a, subok=True)


def _transposed(a: Array) -> Array:
    """A copy whose first axis runs fastest."""
    return np.array(a, order="F", subok=True) if np.ndim(a) > 1 else _strided(a)


def _strided(a: Array) -> Array:
    """A copy with other numbers between its own."""
    if not np.ndim(a):
        return _copied(a)
    room: Array = np.full((*a.shape[:-1], 2 * a.shape[-1]), 7, a.dtype)[..., ::2]
    room[...] = a
    return room.view(type(a))


# One call -------------------------------------------------------------------------------------------------------

_LATE = "did not return within"


def _ask(
    candidate: Callable[..., Any],
    dy: Array,
    inputs: Mapping[str, Array],
    options: Mapping[str, Any],
    saved: Mapping[str, Any] | None,
    wanted: Sequence[str] | None,
    limit: float,
    symbols: Mapping[str, str] | None,
    layout: Callable[[Array], Array],
) -> Answer:
    names = Names(inputs, wanted, symbols)
    given = {n: layout(a) for n, a in inputs.items()}
    cotangent = layout(dy)
    kept = {n: layout(a) if isinstance(a, np.ndarray) else a for n, a in (saved or {}).items()}
    got = Reader(names, inputs, given)
    calls: list[Bound] = []
    outputs: list[Any] = []

    def work() -> None:
        if isinstance(candidate, Candidate) and candidate.paired is not None:
            found = candidate.paired(cotangent, given, options, kept, names)
            outputs.append(found.output)
            got.raw["output"] = found.raw
            calls.append(found.bound)
            got.taken = found.bound.taken
            if not np.ndim(dy) and "dy" not in found.bound.taken:
                got.scale = float(dy)  # a loss goes without a cotangent: it is 1
            got.read(found.returned)
            return
        if isinstance(candidate, Candidate) and candidate.gradients is not None:
            answer = candidate.gradients(cotangent, given, options, kept, names)
            if isinstance(answer, Pairing):
                calls.append(answer.bound)
                if not np.ndim(dy) and "dy" not in answer.bound.taken:
                    got.scale = float(dy)
                got.taken, answer = answer.bound.taken, answer.returned
            got.read(answer)
            return
        call = bind_backward(candidate, cotangent, given, options, kept, names.symbols)
        got.taken = call.taken
        calls.append(call)
        if "dy" not in call.taken and call.args + tuple(call.kwargs.values()):
            got.scale = float(dy)
        got.read(candidate(*call.args, **call.kwargs))

    outcome = run(work, limit)
    written = {n: given[n] for n in inputs if _changed(given[n], inputs[n])} | (
        {"dy": cotangent} if _changed(cotangent, dy) else {}
    )
    changed = [names.shown(n) if n != "dy" else n for n in written]
    changed += [n for n, a in (saved or {}).items() if isinstance(a, np.ndarray) and _changed(kept[n], a)]
    notes = [*outcome.remarks, *(note for call in calls for note in call.notes), *got.notes]
    notes += [f"changed its input{'s' * (len(changed) > 1)} {', '.join(changed)}"] if changed else []
    error = got.error
    if outcome.late:
        error = f"{_LATE} {limit:g} s"
    elif isinstance(outcome.raised, (WrongAnswer, CheckInputError)):
        error = str(outcome.raised)
    elif outcome.raised is not None:
        error = explain(outcome.raised, file_of(candidate))
    told = tuple(dict.fromkeys(notes))
    bound = calls[0] if calls else None
    return Answer(
        dict(got.gradients), tuple(got.steps), told, error, dict(got.misshapen), written, taken=got.taken,
        told="" if bound is None else bound.told, guessed=() if bound is None else bound.guessed, output=next(iter(outputs), None), raw=got.raw,
        alone=got.alone,
    )  # fmt: skip


def _changed(now: Array, before: Array) -> bool:
    return not np.array_equal(now, before, equal_nan=now.dtype.kind in "fc")
