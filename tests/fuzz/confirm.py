"""Who confirms a result: the referee of the same name, or differences of the call itself."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

import numpy as np

import tinygrad_norm as tn
from tests.fuzz import accepted, referee
from tests.fuzz.finding import Finding, evaluate, make
from tests.fuzz.targets import Call, Target

#: Gradients that are not their forward's, and say so: a statistic is held, or the paper's backward is an approximation.
BY_DESIGN = {
    "nn.PowerNorm",
    "F.power_norm",
    "F.ada_norm",
    "nn.AdaNorm",
    "F.detach_norm",
    "nn.DetachNorm",
    "F.batch_renorm",
    "nn.BatchRenorm1d",
}
BY_DESIGN |= {"nn.BatchRenorm2d", "F.spectral_norm", "nn.SpectralNorm", "F.revin", "nn.RevIN"}
BY_DESIGN |= {f"{n}.forward" for n in BY_DESIGN if n.startswith("nn.")} | {
    n.replace("F.", "tn.norms.") for n in BY_DESIGN if n.startswith("F.")
}

#: Where PyTorch's gradient is not its forward's: it clamps the lengths outside the record. Differences judge alone.
HOLDS = {"F.cosine_similarity"}


def changed(v: Any, old: np.ndarray) -> bool:
    now = referee.array_of(v)
    return now.shape != old.shape or (
        now.dtype.kind in "fciub" and not np.array_equal(now, old, equal_nan=now.dtype.kind in "fc")
    )


def confirm(
    call: Call,
    target: Target,
    function: Any,
    args: list[Any],
    kwargs: dict[str, Any],
    built: Any,
    result: Any,
    findings: list[Finding],
) -> tuple[str, str]:
    if target.name.startswith("Tensor.") and target.name[-2:] != "__" and target.name.endswith("_") and "grad" not in target.name:
        _, args, kwargs = make(call)  # the tensors as they were before the call changed one in place
    values = [*args, *kwargs.values()]
    then = [evaluate(t) for _, t in call.then] if call.then is not None else []
    tensors = [v for v in referee.leaves(values) if referee.is_tensor(v)]
    moderate = referee.is_moderate(values)
    spaced = target.name.startswith("np.")
    try:
        if target.kind in ("module", "forward"):
            return _confirm_module(call, target, args, kwargs, built, function, result, findings, then)
        wide = referee.ask(target.name, target.kind, function, args, kwargs, True)
        if wide is None or isinstance(wide, str) or not list(referee.leaves(wide)):
            raise referee.NoReferee
        gap = referee.differ(
            result,
            wide,
            lambda: referee.ask(target.name, target.kind, function, args, kwargs, False),
            moderate,
            referee.coarsest(values),
            _ties(tensors),
            0 if "arg" in target.name else 1,
        )
        if gap and _is_random(call, result):
            return "random", ""
        if gap:
            findings.append(Finding("not the referee's " + gap.split(":")[0].split(",")[0].split(" ")[0], gap, call.text))
            return "differs", ""
        if call.target in BY_DESIGN:
            return "confirmed", ""
        if moderate and referee.torch is not None and not spaced and call.target not in HOLDS:
            # what was handed over is not kept by ``ask``: hand it over once more and keep it
            handed: list[Any] = []
            real = referee.to_torch

            def keep(v: Any, wide: bool, tensorlike: bool = False) -> Any:
                t = real(v, wide, tensorlike)
                if referee.is_tensor(v):
                    handed.append(t)
                return t

            referee.to_torch = keep
            try:
                theirs = referee.ask(target.name, target.kind, function, args, kwargs, True)
            finally:
                referee.to_torch = real
            slope = referee.gradients_differ(result, tensors, theirs, [t for t in handed if t.requires_grad])
            if slope and (
                _ties(tensors)
                or ("off by" in slope and _slope(call, result, tensors, args, kwargs) is None and _all_double(tensors))
            ):
                slope = None  # at a kink any of several is right; where differences side with us the referee is wrong
            if slope:
                findings.append(Finding("gradient", slope, call.text))
        elif moderate:
            slope = referee.gradients_differ(result, tensors, None, []) or _slope(call, result, tensors, args, kwargs)
            if slope and not _ties(tensors):
                findings.append(Finding("gradient", slope, call.text))
        return "confirmed", ""
    except referee.NoReferee:
        if (
            call.target in BY_DESIGN
            or target.slow
            or target.kind in ("property", "setter", "graph", "module method")
            or not moderate
        ):
            return "no referee", ""
        slope = referee.gradients_differ(result, tensors, None, []) or _slope(call, result, tensors, args, kwargs)
        if slope and not (call.target.endswith("topk") and _ties(tensors)):
            findings.append(Finding("gradient", slope, call.text))
        return "slope only" if referee.first_float(result) is not None else "no referee", ""
    except referee.Refused as e:
        if referee.torch is not None and not accepted.reason(call.target, str(e)):  # NumPy takes other arguments by design
            findings.append(
                Finding("accepted though the referee refuses", str(e), call.text, f"{call.target}: {_kind_of(str(e))}")
            )
        return "accepted", str(e)


def _kind_of(said: str) -> str:
    """What the referee minds, without the type that it was handed."""
    return re.sub(r"(,? (but )?(got|not|found)\b.*|\(position \d+\).*|'numpy\.\w+'.*)$", "", said)[:60]


def _confirm_module(
    call: Call,
    target: Target,
    args: list[Any],
    kwargs: dict[str, Any],
    built: Any,
    function: Any,
    result: Any,
    findings: list[Finding],
    then: list[Any],
) -> tuple[str, str]:
    name = target.name.split(".")[1]
    if "Conv" in name and any(v.size == 0 for v in referee.leaves([*args, *then]) if referee.is_tensor(v)):
        raise referee.NoReferee  # the sum over no channels is the bias; PyTorch gives nothing
    if target.kind == "forward":
        twin_args = [evaluate(t) for t in split(call.function)]
        twin = referee.module_twin(name, function, twin_args, {})
        inputs, words = args, kwargs
    else:
        twin = referee.module_twin(name, built, args, kwargs)
        inputs, words = then, {}
    fresh = evaluate(call.function) if target.kind == "forward" else None
    del fresh
    theirs_in = [referee.to_torch(v, True, True) for v in inputs]
    theirs_by_name = {k: referee.to_torch(v, True, not isinstance(v, bool)) for k, v in words.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = twin(*theirs_in, **theirs_by_name)
    except Exception as e:
        raise referee.refused(e) from None
    every = [*inputs, *words.values()]
    moderate = referee.is_moderate(every)
    gap = referee.differ(result, theirs, lambda: _narrow(twin, inputs, words), moderate, referee.coarsest(every))
    if gap and _is_random(call, result):
        return "random", ""
    if gap:
        findings.append(Finding("not the referee's " + gap.split(":")[0].split(",")[0].split(" ")[0], gap, call.text))
        return "differs", ""
    return "confirmed", ""


def _narrow(twin: Any, inputs: list[Any], words: dict[str, Any]) -> Any:
    """The twin once more in the inputs' own dtype: where float32 ends, PyTorch's ends too."""
    theirs = [referee.to_torch(v, False, True) for v in inputs]
    kind = next((t.dtype for t in theirs if t.is_floating_point()), None)
    return twin.to(kind)(*theirs, **{k: referee.to_torch(v, False, not isinstance(v, bool)) for k, v in words.items()})


def _is_random(call: Call, result: Any) -> bool:
    """Another call with the same arguments gives something else: there is nothing to compare."""
    for _ in range(8):  # a few channels may be dropped alike by chance
        function, args, kwargs = make(call)
        again = function(*(args[1:] if call.function.startswith(".") else args), **kwargs)
        if call.then is not None:
            again = again(*(evaluate(t) for _, t in call.then))
        if any(changed(m, np.array(referee.array_of(n))) for m, n in zip(referee.leaves(again), referee.leaves(result))):
            return True
    return False


def split(text: str) -> list[str]:
    """The arguments of ``nn.Name(a, b)`` as texts."""
    made = ast.parse(text, mode="eval").body
    return [ast.unparse(a) for a in made.args] if isinstance(made, ast.Call) else []


def _ties(tensors: list[Any]) -> bool:
    return any(len(np.unique(x.data)) < x.size for x in tensors)


def _all_double(tensors: list[Any]) -> bool:
    return all(x.dtype == np.float64 for x in tensors if x.dtype.kind == "f")


def _slope(call: Call, result: Any, tensors: list[Any], args: list[Any], kwargs: dict[str, Any]) -> str | None:
    """By differences: the same call with moved inputs."""
    if call.then is not None or call.target.startswith(
        ("tn.grad", "tn.vjp", "tn.jvp", "tn.hvp", "tn.hessian", "tn.jacobian", "Tensor.backward")
    ):
        return None
    if any(w in call.text for w in ("detach", "iter(", "running", "rmax")):
        return None

    def run(moved: dict[int, np.ndarray]) -> Any:
        function, fresh, words = make(call)
        count = iter(range(len(tensors)))

        def swap(v: Any) -> Any:
            if referee.is_tensor(v):
                k = next(count)
                return tn.tensor(moved[k], requires_grad=True) if k in moved else v
            if isinstance(v, (list, tuple)) and type(v) in (list, tuple):
                return type(v)(swap(w) for w in v)
            return v

        fresh = [swap(v) for v in fresh]
        words = {k: swap(v) for k, v in words.items()}
        if call.function.startswith("."):
            return getattr(fresh[0], call.function[1:])(*fresh[1:], **words)
        return function(*fresh, **words)

    return referee.slope_differs(run, result, tensors)
