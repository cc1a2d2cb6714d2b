"""``verdict.prove()``: a candidate run on recorded tensors, and its own record held against the derived formula, for every input.

It must be written in operators, NumPy's functions and methods of arrays, which tensors understand. What reads numbers (``float``,
a loop over entries that are written one by one) cannot be recorded, and the verdict by numbers stands as it is.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..derive import DerivationError, NotSymbolicError, derive
from ..engine import HistoryLostError, HistoryLostWarning, InPlaceError, Tensor, TinygradNormError, history
from .answers import Names, WrongAnswer, gathered
from .as_array import AsArray
from .binding import CheckInputError, bind_backward
from .candidate import Candidate
from .guard import explain, file_of, run
from .judgement import Judgement
from .probes import Site, case_at
from .subject import SAVED
from .trial import Trial
from .way import parting

_SECONDS = 600.0  # none in practice: the candidate has answered before, and algebra always ends
_PRIMES = (7, 11, 13, 3, 5)
_TIMES = 5  # the input's entries: of a record with a larger array, such as a Jacobian that is written out, no proof is tried
_TARGETS = (
    "its targets are integers, which pick entries by index, and an index is no letter of a formula. Written with the target's rows, "
    "q, it can be: check it with soft=True"
)


@dataclass(frozen=True)
class Proof:
    """What a candidate's own record says of one gradient.

    kind:         "proved" (for every input), "equal under" assumptions, "not proved", "not equal", "not recorded"
    reason:       in words, where it is not proved
    assumptions:  what was taken for granted
    residual:     of a wrong one, what is too much: ``yours − dx = −rstd·mean(g)``
    axes:         of the main input, whatever their sizes
    """

    kind: str
    reason: str = ""
    assumptions: tuple[str, ...] = ()
    residual: str | None = None
    axes: int = 0

    @property
    def proved(self) -> bool:
        return self.kind == "proved"

    def __str__(self) -> str:
        under = f"; assumed: {'; '.join(self.assumptions)}" if self.assumptions else ""
        if self.proved:
            return f"proved, for every input of {_axes(self.axes)}{under}"
        if self.kind == "equal under":
            return f"proved only under: {'; '.join(self.assumptions)}"
        if self.kind == "not equal" and self.residual is not None:
            return f"as a formula: {self.residual}"
        return f"not proved: {self.reason}"


def prove(trial: Trial, judgements: Mapping[str, Judgement], shape: tuple[int, ...]) -> dict[str, Proof]:
    """By input name, for each gradient that was judged by its numbers.

    shape:  of the main input, whose number of axes it is proved for
    """
    return {
        n: _prove(trial, n, j, shape)
        for n, j in judgements.items()
        if j.status in ("right", "wrong", "imprecise") and n == j.name != "output"
    }


def _prove(trial: Trial, name: str, judgement: Judgement, shape: tuple[int, ...]) -> Proof:
    axes = len(shape)
    if isinstance(trial.call, Candidate) and trial.call.gradients is not None:
        return Proof("not recorded", "another framework's tensors are not recorded here", axes=axes)
    found: list[Proof] = []

    def work() -> None:
        found.append(_compare(trial, name, judgement, shape))

    outcome = run(work, _SECONDS)
    if found:
        return found[0]
    error = outcome.raised
    if error is None:
        return Proof("not recorded", "it did not end", axes=axes)
    return Proof("not recorded", _reason(error, trial.call), axes=axes)


def _compare(trial: Trial, name: str, judgement: Judgement, shape: tuple[int, ...]) -> Proof:
    subject = trial.subject
    try:
        if not subject.registered:
            inputs = subject.axes if subject.axes is not None else subject.arrays
            derivation = derive(subject.forward, wrt=name, inputs=inputs, **subject.options)
        elif subject.plain:
            left = [n for n in subject.norm.parameters(shape, **subject.options) if n not in subject.plain]
            axes = {"input": tuple(f"N{k}" for k in range(len(shape)))}
            if left:
                return Proof("not recorded", "a norm without γ and β that takes more than its input", axes=len(shape))
            derivation = derive(_plain(trial), wrt=name, inputs=axes)
        else:
            groups = subject.options.get("num_groups")
            sizes = list(_PRIMES[: len(shape)])
            if isinstance(groups, int) and len(sizes) > 1:
                sizes[1] = groups * 3
            derivation = derive(subject.norm, wrt=name, shape=tuple(sizes), **subject.options)
    except (DerivationError, NotSymbolicError) as error:
        if subject.registered and subject.norm.as_derived is not None and not subject.options.get("soft"):
            return Proof("not recorded", _TARGETS, axes=len(shape))
        return Proof(
            "not recorded",
            f"there is no derived formula to hold it against ({str(error).removeprefix('derive: ')})",
            axes=len(shape),
        )
    function = _function(trial, name, judgement.symbol, list(derivation.record.inputs))
    theirs = derivation.equals(function)
    right = judgement.status == "right"
    kind, reason = theirs.kind, theirs.reason
    case = case_at(subject, Site(shape, "", len(shape)), 0) if kind in ("proved", "equal under") and subject.registered else None
    line = None if case is None else parting(trial, case, function, derivation.record.inputs)
    if line is not None:
        return Proof(
            "not proved",
            f"on tensors it goes another way than on arrays, from line {line} on: only that other way could be proved",
            axes=len(shape),
        )
    if kind == "not equal" and right:
        kind, reason = (
            "not proved",
            "run on tensors of other sizes it gives something else: it holds a number that depends on them",
        )
    if kind == "proved" and not right:  # where what is assumed does not hold, it is another
        kind = "equal under"
    return Proof(
        kind, reason or f"they differ by {theirs.off:.2g} of the largest entry", theirs.assumptions, theirs.residual, len(shape)
    )


def _plain(trial: Trial) -> Any:
    norm, options = trial.subject.norm, trial.subject.options

    def forward(input: Tensor) -> Tensor:
        return norm.apply({"input": input}, backward="recorded", **options)

    return forward


def _function(trial: Trial, name: str, symbol: str, inputs: Sequence[str]) -> Any:
    """The candidate as a function of tensors that gives this gradient."""
    subject, call = trial.subject, trial.call

    def function(**tensors: Any) -> Any:
        dy, given = AsArray(tensors["dy"]), {n: AsArray(tensors[n]) for n in inputs}
        names = Names(dict[str, Any](given), trial.wanted_of(given), {n: subject.symbol(n) for n in given})
        kept = {n: AsArray(t) for n, t in _saved(trial, {n: tensors[n] for n in inputs}).items()}
        with warnings.catch_warnings():
            warnings.simplefilter("error", HistoryLostWarning)
            if isinstance(call, Candidate) and call.paired is not None:
                pairing = call.paired(dy, given, subject.options, kept, names)
                returned, taken = pairing.returned, pairing.bound.taken
            else:
                bound = bind_backward(call, dy, given, subject.options, kept, names.symbols)
                returned, taken = call(*bound.args, **bound.kwargs), bound.taken
                if "dy" not in taken and dy.size == 1:
                    returned = dy.reshape(()) * returned
            every = gathered(returned, names, taken)
        _small_enough(every.values(), max(a.size for a in given.values()))
        found = every.get(name)
        found = found.tensor if isinstance(found, AsArray) else found
        if not isinstance(found, Tensor) or not found.requires_grad:
            raise WrongAnswer(f"on tensors its {symbol} is no tensor that was computed from them")
        shape = given[name].shape
        return found if found.shape == shape or found.size != given[name].size else found.reshape(shape)

    wanted = [*inputs, "dy"]
    function.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in wanted])  # type: ignore[attr-defined]
    return function


def _small_enough(gradients: Iterable[Any], entries: int) -> None:
    """Equality is asked at long axes, too, where a row's Jacobian is as large as its square."""
    held = (g.tensor if isinstance(g, AsArray) else g for g in gradients)
    largest = max((t.size for g in held if isinstance(g, Tensor) for t in history(g)), default=0)
    if largest > _TIMES * entries:
        raise WrongAnswer(
            f"gave up: an array of {largest:,} entries is on its record, where the input has {entries:,}; "
            f"a proof is tried up to {_TIMES} times as many"
        )


def _saved(trial: Trial, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a forward would have saved, recorded: it depends on the inputs for whoever reads it."""
    subject = trial.subject
    if not subject.registered:
        return {}
    every = {"weight": None, "bias": None, **given}
    y = subject.norm.apply({n: t for n, t in every.items() if t is not None}, backward="recorded", **subject.options)
    named = {t.name: t for t in history(y) if t.name is not None and t.op is not None}
    if trial.saved is not None:
        found = {argument: named[label] for argument, label in trial.saved.items()}
    else:
        found = {argument: named[label] for label, arguments in SAVED.items() if label in named for argument in arguments}
        if "rstd" in named:
            found["rms" if "ms" in named else "std"] = 1 / named["rstd"]
        if "1/‖v‖" in named:
            found["norm"] = 1 / named["1/‖v‖"]
        found["output"] = y
    if trial.flat:
        whole = y.size
        found = {n: t.reshape([k for k in t.shape if k != 1]) if t.size < whole else t for n, t in found.items()}
    return found


def _reason(error: BaseException, candidate: Any) -> str:
    if isinstance(error, (HistoryLostError, HistoryLostWarning, InPlaceError)):
        return f"it cannot be recorded: {str(error).splitlines()[0].split('. ')[0]}"
    if isinstance(error, (WrongAnswer, CheckInputError)):
        return str(error)
    if isinstance(error, TinygradNormError):
        return f"it cannot be recorded: {str(error).splitlines()[0]}"
    return f"it cannot be recorded: on tensors it {explain(error, file_of(candidate))}"


def summary(proofs: Mapping[str, Proof], judgements: Mapping[str, Judgement]) -> str:
    """``proved for every input of 2 axes``, of which gradients."""
    done = [judgements[n].symbol for n, p in proofs.items() if p.proved and judgements[n].ok]
    if not done:
        return ""
    assumed = dict.fromkeys(a for p in proofs.values() if p.proved for a in p.assumptions)
    words = f"proved for every input of {_axes(next(p.axes for p in proofs.values() if p.proved))}"
    words += f" where {'; '.join(assumed)}" if assumed else ""
    return words + ("" if len(done) == len(proofs) else f": {', '.join(done)}")


def _axes(n: int) -> str:
    return f"{n} ax{'i' if n == 1 else 'e'}s"
