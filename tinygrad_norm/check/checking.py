"""``tn.check``: is this hand-derived backward right, and if not, which term is wrong?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import GradientError, ShapeError, Tensor, describe, grad, tensor
from ..engine.arrays import Array
from ..engine.tensor import as_dtype
from ..graph import Graph
from ..norms import InputError, Norm, check_settings, get, is_a_choice
from .adapters import as_candidate, order2_by_tensors
from .candidate import Answer, sanity
from .compare import as_numbers, is_centring
from .diagnose import Case, Judgement, judge
from .mistakes import own_mistakes
from .verdict import Probe, Verdict

_TRIES = 5  # probes drawn, of which the strongest is taken
_NAMES = {"μ": ("mean", "mu"), "σ²": ("var", "variance"), "rstd": ("rstd", "inv_std"), "x̂": ("xhat", "x_hat"), "c": ("c",)}


def check(
    candidate: Any,
    norm: str | Norm | Callable[..., Tensor],
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
    **options: Any,
) -> Verdict:
    """Judge a hand-derived backward, and name the term that is wrong.

    candidate:    ``(dy, x, weight, bias, eps) -> (dx, dweight, dbias)``, arrays in, arrays out, arguments matched by name
                  where their names are usual; or a class or callable of PyTorch or JAX, whose own backward is judged
    norm:         a registered name, a ``Norm``, or any forward recorded from primitives (then ``inputs`` is needed)
    inputs:       for a forward of your own: its arrays, by argument name or in order; for a norm: your own probe
    shape:        of the input that is drawn
    grad_output:  the cotangent of your own probe. The verdict is always from a strong one; of yours it is said how strong
    dtype:        float32 or float16 also judges the arithmetic in that precision, besides the formula
    saved:        for a backward that takes saved statistics under unusual names: argument name -> name on the record
    order:        2 also differentiates the candidate: saved statistics are constants to it, and that shows
    limit:        seconds the candidate may take for one answer
    framework:    "torch" or "jax", for a plain function that computes the FORWARD on that library's tensors
    options:      the norm's own, such as ``eps``

    A mistake is named only if its gradient is the candidate's to rounding, 50·u·(1 + |μ|/σ) of the largest summand.
    Raises ``ShapeError``, ``DTypeError`` or ``InputError`` for a probe that does not fit.
    """
    if type(order) is not int or order not in (1, 2):
        raise InputError(f"check: order={describe(order)}; it is 1 or 2.")
    subject = Subject(norm, options, inputs)
    call = as_candidate(candidate, framework)
    cases = [subject.case(subject.draw(np.random.default_rng([seed, k]), shape)) for k in range(_TRIES)]
    wanted = list(cases[0].leaves)
    weak = [{m.name for m in case.passing(wanted, np.float64)} for case in cases]
    harmless = set.intersection(*weak)
    best = min(range(_TRIES), key=lambda k: len(weak[k]))
    case = cases[best]
    known = len({m.name for m in case.library} - harmless)
    probe = _probe(subject, case, weak[best] - harmless, known)
    yours = None
    if (inputs is not None and subject.registered) or grad_output is not None:
        mine = subject.case(subject.given(inputs, case), grad_output)
        yours = _probe(subject, mine, {m.name for m in mine.passing(wanted, np.float64)} - harmless, known)

    answer = _ask(call, case, subject, saved, limit, np.float64)
    notes, error = list(answer.notes), answer.error
    single = None
    narrow = as_dtype("check", np.float64 if dtype is None else dtype)
    if narrow not in (np.float16, np.float32, np.float64):
        raise InputError(f"check: dtype={describe(dtype)}; it is float16, float32 or float64.")
    late = error is not None and error.startswith("did not return")  # once is enough
    if narrow != np.float64 or (error is not None and not late):
        single = _ask(call, case, subject, saved, limit, np.float32 if narrow == np.float64 else narrow)
        if error is not None and single.error is None:  # it takes single precision only
            answer, error, notes = single, None, [*single.notes, f"in float64: {error}"]
        elif error is None:
            notes += [f"in {narrow}: {note}" for note in single.notes if note not in notes]
    if error is not None and any(g is not None for g in answer.gradients.values()):
        notes, error = [*notes, error], None  # it gave something; that can be judged
    judgements: dict[str, Judgement] = {}
    published = subject.published(case)
    if error is None:
        for n in wanted:
            if answer.gradients.get(n) is None and n.startswith("running_"):
                notes.append(f"gives no d{subject.symbol(n)}: running statistics are not learned, none is needed")
                continue
            reason, theirs = subject.by_design.get(n, ""), published.get(n)
            judgements[n] = judge(case, n, f"d{subject.symbol(n)}", answer.gradients.get(n), reason, theirs)
            if single is not None and single is not answer and narrow != np.float64 and judgements[n].status == "right":
                judgements[n] = _precision(case, n, single, judgements[n], narrow)
        if narrow == np.float32 and all(j.ok for j in judgements.values()):
            far = subject.far_from_zero(case)
            if far is not None:
                single = _ask(call, far, subject, saved, limit, narrow)
                judgements = {n: _precision(far, n, single, j, narrow) for n, j in judgements.items()}
        judgements |= _steps(case, answer, notes)
        if order == 2 and all(j.ok for j in judgements.values()):
            judgements |= _second(call, case, subject, saved)
    return Verdict(
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
    )  # fmt: skip


class Subject:
    """What a candidate is held against: a registered norm, or a forward of the user's own."""

    def __init__(self, norm: Any, options: Mapping[str, Any], inputs: Any) -> None:
        self.registered = isinstance(norm, (str, Norm))
        if self.registered:
            self.norm: Norm = get(norm)
            self.options = check_settings(self.norm, options, "check")
            self.title, self.by_design = self.norm.title, self.norm.by_design
            shown = {n: v for n, v in self.options.items() if v is not None and (n == "eps" or v != self.norm.options[n])}
        else:
            if not callable(norm) or inputs is None:
                raise InputError("check: to judge against a forward of your own, give the function and its inputs=…")
            arrays = _by_argument(norm, inputs, options)
            self.arrays = {n: np.asarray(a.numpy() if isinstance(a, Tensor) else a) for n, a in arrays.items()}
            if all(a.dtype.kind in "iub" for a in self.arrays.values()):  # nothing else to differentiate by: they are numbers
                self.arrays = {n: a.astype(np.float64) for n, a in self.arrays.items()}
            self.forward, self.options = norm, dict(options)
            self.title, self.by_design = getattr(norm, "__name__", "the forward"), {}
            shown = dict(options)
        self.shown_options = "  ".join(f"{'ε' if n == 'eps' else n} = {v}" for n, v in shown.items())

    def symbol(self, name: str) -> str:
        return self.norm.symbol(name) if self.registered else name

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...] | None) -> dict[str, Array]:
        """Inputs on which mistakes show: every row and column of its own size and mean, some small enough for ε to matter.

        They are numbers of half precision, so that the same problem can be put in any dtype.
        """
        if not self.registered:
            return {n: _rounded(_like(rng, a)) for n, a in self.arrays.items()}
        shape = self.norm.shape if shape is None else tuple(np.atleast_1d(shape).tolist())
        if len(shape) < self.norm.min_ndim or min(shape) < 1:
            raise ShapeError(
                f"check: {self.title} needs an input with at least {self.norm.min_ndim} axes, none empty, not {shape}."
            )
        values = {}
        for n, s in {"input": shape, **self.norm.parameters(shape, **self.options)}.items():
            if n in self.norm.draw:
                values[n] = _rounded(np.asarray(self.norm.draw[n](rng, s)))
            else:
                values[n] = _rounded(_uneven(rng, s) if n == "input" else rng.normal(size=s))
        return values

    def given(self, inputs: Any, case: Case) -> dict[str, Array]:
        """The user's own numbers; what was not given is as in our probe."""
        ours = {n: t.numpy() for n, t in self._all(case).items()}
        if not self.registered:
            return {**ours, **self.arrays}
        mine = inputs if isinstance(inputs, Mapping) else {} if inputs is None else dict(zip(ours, _as_sequence(inputs)))
        if unknown := set(mine) - set(ours):
            raise InputError(f"check: {self.title} has no input {', '.join(sorted(unknown))}; it has {', '.join(ours)}.")
        found = {n: as_numbers(n, mine.get(n, a), "check") for n, a in ours.items()}
        x = found["input"]
        for n, s in self.norm.parameters(x.shape, **self.options).items():
            if found[n].shape != s:
                if n in mine:
                    raise ShapeError(f"check: {n} has shape {found[n].shape}; for an input of shape {x.shape} it must be {s}.")
                found[n] = self.draw(np.random.default_rng(0), x.shape)[n]
        return found

    def far_from_zero(self, case: Case) -> Case | None:
        """The same with a mean of 1000 deviations, where something is centred: there a variance by mean(x²) − mean(x)² fails."""
        graph = case.graph
        subs = [t for t in graph.tensors if t.op is not None and t.op.name == "sub"]
        if not (self.registered and any(is_centring(t) for t in subs)):
            return None
        rng = np.random.default_rng(0)
        values = {n: t.numpy() for n, t in case.inputs.items()}
        values["input"] = (rng.normal(size=values["input"].shape) + 1000).astype(np.float32).astype(np.float64)
        return self.case(values, case.dy)

    def published(self, case: Case) -> dict[str, Array]:
        """What the paper gives, for the inputs where that is by design not the gradient."""
        if not self.by_design:
            return {}
        y = self.norm.apply(case.inputs, backward="analytic", **self.options)
        found = grad(y, [case.leaves[n] for n in self.by_design], case.dy)
        return {n: g.numpy() for n, g in zip(self.by_design, found)}

    def _all(self, case: Case) -> dict[str, Tensor]:
        return dict(case.inputs)

    def case(self, values: Mapping[str, Array], dy: Any = None) -> Case:
        inputs = {}
        for n, v in values.items():
            choice = is_a_choice(self.norm, n, v) if self.registered else v.dtype.kind in "iub"
            if v.dtype.kind not in "fiub" or not v.size:
                raise InputError(
                    f"check: {self.symbol(n)} has dtype {v.dtype} and shape {v.shape}; it must be real numbers, at least one."
                )
            if not choice and not np.all(np.isfinite(v)):
                raise InputError(
                    f"check: {self.symbol(n)} has entries that are not finite; gradients can only be judged at numbers."
                )
            inputs[n] = tensor(v, name=n) if choice else tensor(v.astype(np.float64), requires_grad=True, name=self.symbol(n))
        y = (
            self.norm.apply(inputs, backward="recorded", **self.options)
            if self.registered
            else self.forward(*inputs.values(), **self.options)
        )
        if not isinstance(y, Tensor) or y.op is None:
            raise GradientError("check: the forward must compute one tensor from its inputs, in recorded operations.")
        cotangent = _rounded(np.random.default_rng(y.size).normal(size=y.shape)) if dy is None else np.asarray(dy, np.float64)
        if cotangent.shape != y.shape:
            raise ShapeError(f"check: cotangent of shape {cotangent.shape} for output {describe(y)}; the shapes must be equal.")
        if not np.all(np.isfinite(cotangent)):
            raise InputError("check: the cotangent has entries that are not finite; gradients can only be judged at numbers.")
        leaves = {n: t for n, t in inputs.items() if t.requires_grad}
        own = own_mistakes(self.norm, inputs, cotangent, self.options) if self.registered else []
        return Case(Graph(y), leaves, cotangent, float(self.options.get("eps") or 0.0), own, inputs=inputs)


def _by_argument(forward: Callable[..., Any], inputs: Any, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inputs of a forward of the user's own, in the order of its arguments."""
    parameters = [p for n, p in inspect.signature(forward).parameters.items() if n not in options]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    given = inputs if isinstance(inputs, Mapping) else dict(zip(names, _as_sequence(inputs)))
    needed = [p.name for p in parameters if p.name in names and p.default is p.empty]
    if (len(given) != len(inputs) if isinstance(inputs, (list, tuple)) else set(given) - set(names)) or set(needed) - set(given):
        raise InputError(f"check: the forward takes {', '.join(names)}; inputs= gives {', '.join(given) or 'none'}.")
    return {n: given[n] for n in names if n in given}


def _as_sequence(inputs: Any) -> Sequence[Any]:
    return inputs if isinstance(inputs, (list, tuple)) else [inputs]


def _uneven(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    x = rng.normal(size=shape)
    for axis, n in enumerate(shape):
        along = tuple(n if a == axis else 1 for a in range(len(shape)))
        x = x * 10 ** rng.uniform(-0.6, 0.3, along) + 0.5 * rng.normal(size=along)
    small = tuple(1 if a else max(1, shape[0]) for a in range(len(shape)))
    return x * np.where(rng.uniform(size=small) < 0.3, 0.05, 1.0) if shape else x


def _rounded(a: Array) -> Array:
    if a.dtype.kind != "f" or np.max(np.abs(a), initial=0) > 6e4:
        return a
    return np.asarray(a).astype(np.float16).astype(np.float64)


def _like(rng: np.random.Generator, a: Array) -> Array:
    if a.dtype.kind in "iub":
        return a
    spread = float(np.std(a)) or 1.0
    drawn = rng.normal(size=a.shape) * spread + (float(np.mean(a)) if a.size else 0.0)
    return np.abs(drawn) if a.size and a.min() > 0 else drawn


def _probe(subject: Subject, case: Case, passing: set[str], known: int) -> Probe:
    return Probe({n: t.numpy() for n, t in case.inputs.items()}, case.dy, tuple(sorted(passing)), known, tuple(case.squeezed))


def _ask(call: Any, case: Case, subject: Subject, saved: Mapping[str, str] | None, limit: float, dtype: Any) -> Answer:
    arrays = {n: t.numpy().astype(dtype) if t.requires_grad else t.numpy() for n, t in case.inputs.items()}
    statistics = {n: a.astype(dtype) for n, a in _statistics(case, saved).items()}
    symbols = {n: subject.symbol(n) for n in arrays}
    return sanity(call, case.dy.astype(dtype), arrays, subject.options, statistics, list(case.leaves), limit, symbols)


def _statistics(case: Case, saved: Mapping[str, str] | None) -> dict[str, Array]:
    """What a forward pass would have saved, under its usual names, or the user's."""
    named = {t.name: t.numpy() for t in case.graph.tensors if t.name is not None and t.op is not None}
    output = {"output": case.graph.output.numpy()}
    if saved is not None:
        if unknown := [label for label in saved.values() if label not in named]:
            raise InputError(f"check: nothing on the record is called {', '.join(unknown)}; there are {', '.join(named)}.")
        return {argument: named[label] for argument, label in saved.items()}
    return output | {argument: named[label] for label, arguments in _NAMES.items() if label in named for argument in arguments}


def _precision(case: Case, name: str, single: Answer, right: Judgement, dtype: Any) -> Judgement:
    """The formula is right; is it also computed well?"""
    mine = single.gradients.get(name)
    if mine is None:
        return Judgement(name, right.symbol, "wrong", lines=(f"in lower precision: {single.error or 'none given'}",))
    wider = mine.dtype.itemsize > dtype.itemsize  # no better for it: what it was given is rounded
    rough = judge(case, name, right.symbol, mine.astype(dtype) if wider else mine)
    if rough.status == "right":
        return rough
    lines = ("the formula is right (in float64), its arithmetic in lower precision is not: rounding does not explain the error.",
             "A variance as mean(x²) − mean(x)², or a large number subtracted late, does that")  # fmt: skip
    return Judgement(name, right.symbol, "imprecise", rough.max_abs, rough.relative, rough.allowed, lines=lines)


def _steps(case: Case, answer: Answer, notes: list[str]) -> dict[str, Judgement]:
    """Intermediates in the candidate's own order, up to the first that is wrong; notes on those that are not on the record."""
    if not answer.steps:
        return {}
    named = {node.tensor.name: node for node in case.graph.nodes if node.tensor.name is not None}
    ids = case.graph.gradients(case.dy)
    labels = {alias: label for label, aliases in _NAMES.items() for alias in (label, *aliases)}
    found: dict[str, Judgement] = {}
    for name, mine in answer.steps:
        plain = name.lower().strip("_")
        value = plain in labels or name in named
        key = plain if value else plain.removeprefix("d").strip("_")
        node = named.get(name) or named.get(labels.get(key, key))
        if node is None or (not value and node.id not in ids):
            notes.append(f"step {name}: not compared, nothing on the record is called that; there are {', '.join(named)}")
            continue
        truth, what = (node.tensor.numpy(), node.label) if value else (ids[node.id], f"the cotangent of {node.label}")
        mine = np.asarray(mine, np.float64)
        if mine.shape != truth.shape and mine.size == truth.size:
            mine = mine.reshape(truth.shape)
        scale = float(np.max(np.abs(truth), initial=0))
        off = float(np.max(np.abs(mine - truth), initial=0)) if mine.shape == truth.shape else np.inf
        gate = 1e-8 * max(scale, 1e-300)
        relative = off / scale if scale else off
        if off <= gate:
            found[f"step {name}"] = Judgement(name, name, "right", off, relative, gate)
            continue
        text = f"the first step that is wrong: {what}" + (f" = {node.text}" if value and node.text != node.label else "")
        if mine.shape != truth.shape:
            text += f" has shape {truth.shape}, not {mine.shape}"
        found[f"step {name}"] = Judgement(name, name, "wrong", off, relative, gate, lines=(text,))
        break
    return found


def _second(call: Any, case: Case, subject: Subject, saved: Mapping[str, str] | None) -> dict[str, Judgement]:
    """The gradient of Σ v·gradient: of the candidate, differentiated as it stands, and of the record."""
    rng = np.random.default_rng(1)
    v = {n: rng.normal(size=t.shape) for n, t in case.leaves.items()}
    first = grad(case.graph.output, list(case.leaves.values()), case.dy, create_graph=True)
    total = sum(((g * v[n]).sum() for n, g in zip(case.leaves, first)), tensor(0.0))
    truth = {n: grad(total, t, allow_unused=True)[0] for n, t in case.leaves.items()}
    arrays = {n: t.numpy() for n, t in case.inputs.items()}
    second = getattr(call, "order2", None)
    mine = (
        second(case.dy, arrays, subject.options, v)
        if second
        else order2_by_tensors(
            call, case.dy, arrays, subject.options, _statistics(case, saved), v, {n: subject.symbol(n) for n in arrays}
        )
    )
    if isinstance(mine, str):
        return {"order 2": Judgement("order 2", "order 2", "missing", lines=(f"not differentiated: {mine}",))}
    found = {}
    for n, t in case.leaves.items():
        right = np.zeros(t.shape) if truth[n] is None else truth[n].numpy()
        scale = max(float(np.max(np.abs(right), initial=0)), 1e-300)
        given = mine.get(n)
        off = float(np.max(np.abs((0 if given is None else np.asarray(given)) - right), initial=0))
        symbol, gate = f"d²{subject.symbol(n)}", 1e-8 * scale
        lines = () if off <= gate else (
            "right at order 1, wrong at order 2: what it was handed or computed outside (saved statistics) is a constant to it.",
            "look: compute the mean and rstd again from x, in the same operations",
        )  # fmt: skip
        found[f"order 2, {n}"] = Judgement(n, symbol, "right" if off <= gate else "wrong", off, off / scale, gate, lines=lines)
    return found
