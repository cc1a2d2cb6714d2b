"""``tn.check``: is this hand-derived backward right, and if not, which term is wrong?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..engine import Tensor, describe
from ..engine.shapes import number, whole, wholes
from ..engine.tensor import as_dtype
from ..norms import InputError, Norm, get
from .adapters import as_candidate, is_of_a_framework, speaks_torch
from .candidate import Answer, Candidate
from .case import BFLOAT16, Case, unit_roundoff
from .explanations import judge
from .judgement import Judgement
from .link import Asked
from .modules import told_by
from .own import is_unsaid, own_eps
from .paired import ends, is_layer, of_object, with_forward
from .probes import Site, Strength, edges_of_half, far_from_zero, first_shape, given, sites
from .proof import prove as proofs_of
from .repair import Repair
from .settling import laid_out, only_binding, other_axes, unfit
from .steps import judge_steps, second_order
from .subject import Subject
from .trial import Trial, cast, elsewhere, next_batch
from .verdict import Verdict
from .wrong_line import wrong_lines

_SAY = (
    "If that is not what they are: name them as usual (dy, x, weight, bias, eps, mean, rstd, …), say saved={'parameter': 'label'} "
    "for what the forward saved, or give forward=…"
)


def check(
    candidate: Any,
    norm: str | Norm | Callable[..., Tensor] | None = None,
    *,
    inputs: Any = None,
    shape: tuple[int, ...] | None = None,
    grad_output: Any = None,
    dtype: Any = None,
    saved: Mapping[str, str] | None = None,
    order: int = 1,
    seed: int = 0,
    limit: float = 10.0,
    framework: str | None = None,
    forward: Callable[..., Any] | None = None,
    wrt: str | Sequence[str] | None = None,
    device: str | None = None,
    prove: bool = False,
    **options: Any,
) -> Verdict:
    """Judge a hand-derived backward, and name the term that is wrong.

    candidate:    ``(dy, x, weight, bias, eps) -> (dx, dweight, dbias)``, arrays in, arrays out, arguments matched by name
                  where their names are usual; or a class or callable of PyTorch or JAX, whose own backward is judged
    norm:         a registered name, a ``Norm``, or any forward recorded from primitives (then ``inputs`` is needed). A module
                  of PyTorch's says it by its class, and is judged by its own options
    inputs:       for a forward of your own: its arrays, by argument name or in order; for a norm: your own probe
    shape:        of the input that is drawn
    grad_output:  the cotangent of your own probe. The verdict is always from a strong one; of yours it is said how strong
    dtype:        float32, float16 or "bfloat16" also judges the arithmetic in that precision, besides the formula; by input where
                  they differ, ``{"input": "bfloat16", "weight": "float32"}``. Code for PyTorch gets bfloat16 as such, other code
                  single-precision numbers that bfloat16 holds
    saved:        for a backward that takes saved statistics under unusual names: argument name -> name on the record
    order:        2 also differentiates the candidate: saved statistics are constants to it, and that shows
    limit:        seconds the candidate may take for one answer
    framework:    "torch" or "jax", for a plain function that computes the FORWARD on that library's tensors
    forward:      the forward that the candidate belongs to, ``(x, gamma, beta, …) -> out, cache``: it is judged first, and what it
                  saves is handed to the backward
    wrt:          the inputs whose gradients it gives, if not all, by name or symbol: ``("input",)``
    device:       of PyTorch, such as "cuda": the numbers go there, the answer comes back
    prove:        also run it on recorded tensors, and hold its own record against the derived formula, as ``verdict.prove()`` does
                  later: what is proved is right for every input. It loads SymPy and takes about half a second for each gradient
    options:      the norm's own, such as ``eps``

    A mistake is named only if its gradient is the candidate's to rounding, 50·u·(1 + |μ|/σ) of the largest summand.
    Raises ``ShapeError``, ``DTypeError`` or ``InputError`` for a probe that does not fit.
    """
    if type(order) is not int or order not in (1, 2):
        raise InputError(f"check: order={describe(order)}; it is 1 or 2.")
    shape = None if shape is None else wholes("check", "shape", shape)
    seed, limit = whole("check", "seed", seed, least=0), number("check", "limit", limit, 0)
    mixed = _mixed(dtype)
    narrow = np.dtype(np.float64) if mixed is not None else as_dtype("check", np.float64 if dtype is None else dtype)
    if narrow not in (np.float16, np.float32, np.float64):
        raise InputError(f"check: dtype={describe(dtype)}; it is float16, bfloat16, float32 or float64.")
    how = {"shape": shape, "dtype": dtype, "saved": saved, "order": order, "seed": seed, "framework": framework, "wrt": wrt}
    asked_for = Asked(candidate, norm, options, {**how, "forward": forward, "prove": prove}, not (inputs is grad_output is None))
    own = told_by(candidate)
    norm = own.norm if norm is None and own is not None else norm
    if norm is None:
        raise InputError(f"check: {describe(candidate)}: say what it belongs to, such as check(candidate, 'layer_norm').")
    theirs = own is not None and norm in (own.norm, get(own.norm))
    subject = Subject(norm, {**own.options, **options} if own is not None and theirs else options, inputs)
    asked = subject.among(wrt)
    if own is not None and theirs:
        subject.plain = tuple(n for n in own.without if n in subject.norm.parameters(subject.norm.shape, **subject.options))
        shape = own.shape if shape is None and inputs is None else shape
        if subject.plain and asked is None:
            asked = tuple(n for n in ("input", "weight", "bias") if n not in subject.plain)
    trial = Trial(_called(candidate, framework, forward, device), subject, saved, limit, wrt=asked)
    main = first_shape(subject, shape, inputs)
    strength = Strength(subject, main, seed, asked)
    case, probe = strength.case, strength.probe
    yours = None
    if (inputs is not None and subject.registered) or grad_output is not None:
        yours = strength.of(subject.case(given(subject, inputs, case), grad_output))

    answer = trial.ask(case, np.float64)
    trials = [trial]
    if answer.raised and framework is None and forward is None and speaks_torch(candidate):
        for backward in (False, True):  # a forward of tensors, or, if it is none, a backward without a cotangent
            other = replace(trial, call=as_candidate(candidate, "torch", device, backward))
            tensors = other.ask(case, np.float64)
            trials.append(other)
            if not tensors.raised:
                said = f"with arrays it {answer.error}; it was given PyTorch's tensors"
                trial, answer = other, replace(tensors, notes=(*tensors.notes, said))
                break
    if inputs is None and wrt is None and trial.knows_no_parameters(case, answer):
        subject.plain, trial = ("weight", "bias"), replace(trial, wrt=("input",))
        strength = Strength(subject, main, seed, ("input",))
        case, probe = strength.case, strength.probe
        answer = trial.ask(case, np.float64)
    only = _others(trial, case, answer) if wrt is None else []
    if only:
        trial, strength, answer = _of_the_input(trial, main, seed)
        case, probe = strength.case, strength.probe
    settled = laid_out(trial, case, answer, np.float64)
    if settled is not trial:
        trial, answer = settled, settled.ask(case, np.float64)
    elif (unfit(answer) or answer.misshapen) and inputs is None and shape is None and subject.registered:
        found = other_axes(trials if trial in trials else [trial], main, np.float64, seed)
        if found is not None:
            here = case.inputs["input"].shape
            why = f"at {here} it {answer.error}" if answer.raised else f"at {here} it gives another shape: {answer.error}"
            trial, main = found
            strength = Strength(subject, main, seed, trial.wrt)
            case, probe = strength.case, strength.probe
            answer = trial.ask(case, np.float64)
            answer = replace(answer, notes=(*answer.notes, f"{why}; it is asked with {len(main)} axes"))
            only = _others(trial, case, answer) if wrt is None and not only else only
            if only and trial.wrt is None:
                notes = answer.notes
                trial, strength, answer = _of_the_input(trial, main, seed)
                case, probe, answer = strength.case, strength.probe, replace(answer, notes=notes)
    if answer.guessed:
        trial, answer = only_binding(trial, case, answer, np.float64)
    holds = own_eps(trial, case, answer) if "eps" not in options and own is None else None
    if holds is not None:
        there = check(
            candidate, norm, inputs=inputs, shape=shape, grad_output=grad_output, dtype=dtype, saved=saved, order=order, seed=seed, limit=limit,
            framework=framework, forward=forward, wrt=wrt, device=device, prove=prove, **options, eps=holds,
        )  # fmt: skip
        default = subject.options["eps"]
        if not there.ok or is_unsaid(default):
            said = f"holds ε = {holds:g} of its own and takes no eps: judged with that, not with {subject.title}'s {default:g}"
            with_it = f"with the ε = {holds:g} that it holds"
            return replace(there, notes=(said, *there.notes), limits=(with_it, *there.limits), asked=asked_for)
        answer = replace(answer, notes=(*answer.notes, f"holds ε = {holds:g} of its own: with eps={holds:g} all of it is right"))
    if trial.flat:
        answer = replace(answer, notes=(*answer.notes, "takes saved statistics without axes of one"))
    if trial.stand:
        answer = replace(answer, notes=(*answer.notes, "takes what runs along the channels with axes of one, (1, C, 1, …)"))
    notes, error = list(answer.notes), answer.error
    precise: Any = np.dtype(np.float64)
    single = None
    late = error is not None and error.startswith("did not return")  # once is enough
    if narrow != np.float64 or (answer.raised and not late):
        single = trial.ask(case, np.dtype(np.float32) if narrow == np.float64 else narrow)
        if answer.raised and not single.raised:  # it takes single precision only
            precise = np.dtype(np.float32) if narrow == np.float64 else narrow
            answer, error, notes = single, single.error, [*single.notes, f"in float64: {error}"]
        elif not answer.raised:
            notes += [f"in {narrow}: {note}" for note in single.notes if note not in notes]
    if error is not None and not answer.raised:
        notes, error = [*notes, *([] if answer.misshapen else [error])], None  # it gave something; that can be judged
    judgements: dict[str, Judgement] = {}
    looked: Sequence[str] = ()
    limits: Sequence[str] = ()
    if error is None:
        judgements = _halved(trial.judge(case, answer, notes), answer)
    if error is None and answer.guessed and not all(j.ok for j in judgements.values()):
        judgements, error = {}, f"{'; '.join(answer.guessed)}, and with that it is not right. {_SAY}"
    if error is None:
        if single is not None and single is not answer and narrow != np.float64:
            judgements = {n: _precision(case, n, single, j, narrow) if j.status == "right" else j for n, j in judgements.items()}
        if narrow == np.float32 and all(j.ok for j in judgements.values()):
            far = far_from_zero(subject, case)
            if far is not None:
                single = trial.ask(far, narrow)
                judgements = {n: _precision(far, n, single, j, narrow) for n, j in judgements.items()}
        if narrow == np.float16 and all(j.ok for j in judgements.values()):
            for words, edge in edges_of_half(subject, case):
                single = trial.ask(edge, narrow)
                judgements = {n: _at_the_edge(edge, n, single, j, words) if j.ok else j for n, j in judgements.items()}
        if mixed is not None:
            judgements = _in_mixed(trial, case, judgements, mixed)
        first = case.inputs[next(iter(case.leaves))].shape
        judgements, looked, limits, told = elsewhere(trial, judgements, first, sites(subject, main), precise, seed)
        judgements = next_batch(trial, judgements, case, precise)
        coarser = {n: g.dtype for n, g in answer.gradients.items() if g is not None and g.dtype.kind == "f"}
        coarser = {n: t for n, t in coarser.items() if unit_roundoff(t) > unit_roundoff(precise)}
        limits = [*limits, f"to {precise}'s rounding"] if precise != np.float64 else limits
        limits = [
            *limits,
            *(
                f"{judgements[n].symbol} to {t}'s rounding only"
                for n, t in coarser.items()
                if n in judgements and judgements[n].ok
            ),
        ]
        if any(n.startswith("gives another answer for") for n in notes):
            limits = [*limits, "for contiguous arrays only: copy first what is not"]
        limits = [f"{judgements['input'].symbol} only: it gives no {' and no '.join(only)}", *limits] if only else limits
        limits = [f"without {' and '.join(map(subject.symbol, subject.plain))}", *limits] if subject.plain else limits
        notes += told if all(j.ok for j in judgements.values()) else []
        judgements |= judge_steps(case, answer, notes)
        if order == 2 and all(j.ok for j in judgements.values()):
            judgements |= second_order(trial.call, case, subject, saved)
    repairs: Sequence[Repair] = ()
    if error is None and not late:
        judgements, repairs = wrong_lines(trial, judgements, case, _known_to(answer, sites(subject, main)), seed)
    verdict = Verdict(
        getattr(candidate, "__qualname__", None) or type(candidate).__name__,
        subject.title,
        subject.shown_options,
        ", ".join(f"{subject.symbol(n)} {a.shape}" for n, a in probe.inputs.items()),
        probe,
        judgements,
        tuple(dict.fromkeys(notes)),
        error,
        yours,
        order,
        case.graph,
        looked=tuple(looked),
        limits=tuple(limits),
        bound=answer.told,
        repairs=tuple(repairs),
        asked=asked_for,
        prover=None if error is not None else partial(proofs_of, trial, judgements, case.inputs[next(iter(case.inputs))].shape),
    )  # fmt: skip
    return verdict.prove() if prove else verdict


def _of_the_input(trial: Trial, main: tuple[int, ...] | None, seed: int) -> tuple[Trial, Strength, Answer]:
    """Asked for the input's gradient alone."""
    trial = replace(trial, wrt=("input",))
    strength = Strength(trial.subject, main, seed, trial.wrt)
    return trial, strength, trial.ask(strength.case, np.float64)


def _others(trial: Trial, case: Case, answer: Answer) -> list[str]:
    """The gradients that it does not give, where it returns the input's alone."""
    if answer.raised:
        return []
    given = [n for n, g in answer.gradients.items() if g is not None or n in answer.misshapen]
    wanted = trial.wanted(case)
    if not trial.subject.registered or not answer.alone or given != ["input"] or len(wanted) < 2:
        return []
    return [f"d{trial.subject.symbol(n)}" for n in wanted if n != "input" and not n.startswith("running_")]


def _known_to(answer: Answer, places: Sequence[Site]) -> list[Site]:
    """Without those for an option that it does not take."""
    return [p for p in places if p.option is None or not answer.taken or p.option in answer.taken]


def _called(candidate: Any, framework: str | None, forward: Callable[..., Any] | None, device: str | None) -> Any:
    owner = getattr(candidate, "__self__", None)
    if forward is not None:
        return with_forward(candidate, forward)
    if framework is None and not isinstance(candidate, Candidate):
        if is_layer(candidate) and not is_of_a_framework(candidate):
            return of_object(candidate)
        if (
            owner is not None
            and is_layer(owner)
            and getattr(candidate, "__name__", "") == (ends(owner) or ("", ""))[1]
            and not is_of_a_framework(owner)
        ):
            return of_object(owner)
    return as_candidate(candidate, "torch" if device is not None and framework is None else framework, device)


def _halved(judgements: dict[str, Judgement], answer: Answer) -> dict[str, Judgement]:
    """A gradient in half precision beside one in double: its digits were thrown away, though it is right to those that are left."""
    dtypes = {n: g.dtype for n, g in answer.gradients.items() if g is not None and g.dtype.kind == "f"}
    whole = [judgements[n].symbol for n, t in dtypes.items() if t == np.float64 and n in judgements]
    found = dict(judgements)
    for n, t in dtypes.items() if whole else ():
        if t == np.float16 and n in found and found[n].status == "right":
            said = f"given in float16 beside {whole[0]} in float64: right to three digits only. Add up in the wider one"
            found[n] = replace(found[n], status="imprecise", lines=(*found[n].lines, said))
    return found


def _mixed(dtype: Any) -> Mapping[str, Any] | None:
    """Dtypes by input, where they differ or are bfloat16; "" stands for all the others."""
    if isinstance(dtype, Mapping):
        return {n: BFLOAT16 if BFLOAT16 in str(d) else as_dtype("check", d) for n, d in dtype.items()}
    return {"": BFLOAT16} if BFLOAT16 in str(dtype) else None


def _in_mixed(trial: Trial, case: Case, judgements: dict[str, Judgement], mixed: Mapping[str, Any]) -> dict[str, Judgement]:
    """The formula is right; is it also, with each input in its own dtype?"""
    by_symbol = {trial.subject.symbol(n): n for n in case.inputs}
    if unknown := {n for n in mixed if n and n not in case.inputs and n not in by_symbol}:
        raise InputError(f"check: dtype={sorted(unknown)}: {trial.subject.title} has {', '.join(case.inputs)}.")
    named = {by_symbol.get(n, n): d for n, d in mixed.items()}
    of = {n: named.get(n, named.get("", np.dtype(np.float32))) for n in case.inputs}
    first = of[next(iter(case.leaves))]
    rounded = {
        n: np.asarray(cast(t.numpy(), of[n]), np.float64) if t.requires_grad else t.numpy() for n, t in case.inputs.items()
    }
    other = trial.subject.case(rounded, np.asarray(cast(case.dy, first), np.float64))
    answer = trial.ask(other, of)
    coarse = max(of.values(), key=unit_roundoff)
    found = {}
    for n, j in judgements.items():
        if n not in case.leaves or j.status != "right":
            found[n] = j
            continue
        found[n] = _precision(other, n, answer, j, coarse)
    return found


def _at_the_edge(case: Case, name: str, single: Answer, right: Judgement, words: str) -> Judgement:
    found = _precision(case, name, single, right, np.dtype(np.float16))
    text = f"right, but not for {words}: compute them in float32"
    return right if found.ok else replace(found, lines=(text, *found.lines[2:]))


def _precision(case: Case, name: str, single: Answer, right: Judgement, dtype: Any) -> Judgement:
    """The formula is right; is it also computed well?"""
    if name not in case.leaves:  # the output, which is judged as a formula
        return right
    mine = single.gradients.get(name)
    if mine is None:
        return Judgement(name, right.symbol, "wrong", lines=(f"in lower precision: {single.error or 'none given'}",))
    wider = dtype == BFLOAT16 or mine.dtype.itemsize > dtype.itemsize  # no better for it: what it was given is rounded
    rough = judge(case, name, right.symbol, mine, dtype=dtype if wider else mine.dtype)
    if rough.status == "right":
        return rough
    lines = ("the formula is right (in float64), its arithmetic in lower precision is not: rounding does not explain the error.",
             "A variance as mean(x²) − mean(x)², or a large number subtracted late, does that")  # fmt: skip
    return Judgement(name, right.symbol, "imprecise", rough.max_abs, rough.relative, rough.allowed, lines=lines)
