"""One call, made and judged: fine, or a finding of some kind."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_norm as tn
from tests.fuzz import referee
from tests.fuzz.confirm import changed, confirm, split
from tests.fuzz.finding import Finding, TooLong, bounded, evaluate, inside, make
from tests.fuzz.messages import judge_error, judge_warnings
from tests.fuzz.targets import Call, Target


@dataclass
class Report:
    """What came of one call: its findings, and who confirmed the result."""

    findings: list[Finding]
    outcome: str
    accepted: str = ""  # what the referee said when it refused
    refused: str = ""  # what we said when the referee answered


def judge(call: Call, target: Target) -> Report:
    """Make the call and look at all that can be looked at."""
    with contextlib.redirect_stdout(io.StringIO()), bounded():
        try:
            report = _judge(call, target)
        except TooLong as e:
            report = Report([Finding("hang", "more than 10 s of processor time", call.text, inside(e.__traceback__))], "error")
        finally:
            tn.set_grad_enabled(True)  # which a call may have changed, as it may anybody's
    for finding in report.findings:
        finding.target = call.target
    return report


def _enter(context: Any, decorates: bool) -> str:
    """As people use one: once, again, one inside the other, and as a decorator. What stayed behind, or ""."""
    before = (tn.tensor(1.0) * 2).scope
    with context:
        pass
    with context, context:
        pass
    after = tn.tensor(1.0, requires_grad=True) * 2
    if after.scope != before or not after.requires_grad:
        return f"scope {after.scope}, not {before}; recorded: {after.requires_grad}"
    if decorates:
        context(lambda: None)()
    return "" if isinstance(getattr(context, "name", ""), str) else f"its name is {context.name!r}"


def _not_built(call: Call) -> Exception | None:
    """Why the module cannot be built whose method is called."""
    try:
        evaluate(call.receiver or call.function)
    except Exception as error:
        return error
    return None


def _faulty_argument(text: str) -> bool:
    """Is there an argument in ``nn.Name(a, b)`` that cannot be made by itself?"""
    try:
        for argument in split(text):
            evaluate(argument)
    except tn.TinygradNormError:
        return True
    return False


def _judge(call: Call, target: Target) -> Report:
    try:
        function, args, kwargs = make(call)
    except Exception as e:
        not_built = _not_built(call) if target.kind in ("forward", "module method") else None
        if not_built is not None:
            if isinstance(not_built, tn.TinygradNormError) and _faulty_argument(call.receiver or call.function):
                return Report([], "argument")
            found = judge_error(not_built, call, target, [], None, {}, "built")
            return Report([found] if found else [], "error")
        if isinstance(e, tn.TinygradNormError):
            return Report([], "argument")  # one of the arguments cannot be made at all
        raise AssertionError(f"an argument of {call.text} cannot be made") from e
    values = [*args, *kwargs.values()]
    if target.kind == "numpy" and not any(referee.is_tensor(v) for v in referee.leaves(values)):
        return Report([], "no tensor")
    before = [np.array(referee.array_of(v)) for v in referee.leaves(values) if referee.is_tensor(v) or isinstance(v, np.ndarray)]
    held = [v for v in referee.leaves(values) if referee.is_tensor(v) or isinstance(v, np.ndarray)]
    passed = args[1:] if call.function.startswith(".") else args
    findings: list[Finding] = []
    stage, built, left = "function", None, ""
    try:
        then = [evaluate(t) for _, t in call.then or ()]
    except tn.TinygradNormError:
        return Report([], "argument")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*passed, **kwargs)
            if call.then is not None:
                stage, built = "forward", result
                values = [*values, *then]
                result = built(*then)
            elif hasattr(result, "__enter__") and not isinstance(result, os.PathLike):
                stage = "context"
                left = _enter(result, target.name.startswith("tn."))
        except (Exception, TooLong) as e:
            findings += judge_warnings(caught, call)
            found = judge_error(e, call, target, values, function, kwargs, stage)
            refused = "" if call.then is not None else _answered(target, function, args, kwargs)
            return Report(
                [*findings, *([found] if found else [])], "error", refused=f"{type(e).__name__}: {e}" if refused else ""
            )
    findings += judge_warnings(caught, call)
    if left:
        findings.append(Finding("a context stays after it was left", left, call.text))
    for v in referee.leaves(result):
        if referee.is_tensor(v) and (not isinstance(v.name, str | None) or type(v.requires_grad) is not bool):
            findings.append(
                Finding(
                    "attribute keeps what does not fit",
                    f"name {referee.brief(repr(v.name))}, requires_grad {v.requires_grad!r}"[:200],
                    call.text,
                )
            )
    if not call.target.endswith(("_", "__setitem__", " =")) and not call.target.startswith("Tensor.__i") and "out" not in kwargs:
        for v, old in zip(held, before):
            if changed(v, old) and not any(n.startswith("running") or n in ("u", "v", "nu") for n in _names(call, target)):
                findings.append(
                    Finding("input mutated", f"{old.ravel()[:3]} became {referee.array_of(v).ravel()[:3]}", call.text)
                )
    if target.kind == "setter":
        findings += _kept(call, args)
    elif (
        "dtype" not in kwargs
        and target.name not in ("tn.tensor", "tn.Tensor", "Tensor.half", "Tensor.float", "Tensor.double")
        and target.kind in ("function", "method", "operator", "module", "forward")
        and not target.slow
    ):
        try:
            findings += _promoted(call, [*values, built if built is not None else function], result)
        except Exception as e:
            findings.append(Finding("a result that cannot be used", f"{type(e).__name__}: {e}", call.text))
    arrays = target.name.startswith("tn.data.")  # which hands out arrays
    if target.name.startswith(("F.", "tn.")) and not arrays and isinstance(result, (np.ndarray, np.generic)) and not target.slow:
        findings.append(Finding("an array, where tensors are handed out", type(result).__name__, call.text))
    outcome, said = "no referee", ""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            outcome, said = confirm(call, target, function, args, kwargs, built, result, findings)
        except tn.TinygradNormError as e:
            findings.append(Finding("gradient cannot be taken", f"{type(e).__name__}: {e}", call.text))
        except MemoryError:  # the referee has no room; ours had
            outcome = "no referee"
        except (Exception, TooLong) as e:
            findings.append(
                Finding(f"raw {type(e).__name__} in backward", referee.brief(str(e)), call.text, inside(e.__traceback__))
            )
    return Report(findings, outcome, said)


def _kept(call: Call, args: list[Any]) -> Iterator[Finding]:
    """What an attribute holds after it took what was given."""
    x, name = args[0], args[1]
    value = getattr(x, name)
    wrong = {
        "grad": lambda: value is not None and (not referee.is_tensor(value) or value.shape != x.shape or value.dtype != x.dtype),
        "data": lambda: not isinstance(value, np.ndarray) or value.dtype.kind not in "fciub",
        "name": lambda: value is not None and not isinstance(value, str),
        "requires_grad": lambda: type(value) is not bool or (value and x.dtype.kind != "f"),
    }.get(name)
    if wrong and wrong():
        yield Finding("attribute keeps what does not fit", f"{name} is {referee.brief(repr(value))}", call.text)


def _promoted(call: Call, values: list[Any], result: Any) -> Iterator[Finding]:
    """float32 in, float32 out: a result in another float dtype than the only one that came in."""
    arrays = [v for v in values if hasattr(v, "dtype") and (referee.is_tensor(v) or isinstance(v, (np.ndarray, np.generic)))]
    arrays += [w for v in values if isinstance(v, (list, tuple)) for w in referee.leaves(v)]
    arrays += [p for v in values if isinstance(v, tn.nn.Module) for p in (*v.parameters(), *v.buffers())]
    dtypes = {v.dtype for v in arrays if hasattr(v, "dtype")}
    if any(
        isinstance(v, (list, tuple, range))
        and list(referee.leaves(v))
        and not any(referee.is_tensor(w) for w in referee.leaves(v))
        for v in values
    ):
        return  # a list becomes an array of NumPy's own dtype
    if call.target.endswith(".where") and not any(hasattr(v, "dtype") for v in values[1:3]):
        return  # the condition's dtype is not the result's
    if (
        len(dtypes) != 1
        or next(iter(dtypes)).kind != "f"
        or any("float" in t and "astype" not in t and "inf" not in t and "nan" not in t for _, t in call.args)
    ):
        return
    want = next(iter(dtypes)).newbyteorder("=")
    for v in referee.leaves(result):
        if referee.is_tensor(v) and v.dtype.kind == "f" and v.dtype != want:
            yield Finding("dtype changed", f"{want} in, {v.dtype} out", call.text)
            return


def _answered(target: Target, function: Any, args: list[Any], kwargs: dict[str, Any]) -> bool:
    """Does the referee give a value where we raise?"""
    if target.kind in ("forward", "numpy", "module") or "backward" in kwargs:
        return False
    try:
        return bool(list(referee.leaves(referee.ask(target.name, target.kind, function, args, kwargs, True))))
    except Exception:
        return False


def _names(call: Call, target: Target) -> list[str]:
    return [k for k, _ in call.args if k] + [p.name for p in target.params[: sum(k is None for k, _ in call.args)]]
