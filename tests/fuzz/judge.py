"""One call, made and judged: fine, or a finding of some kind."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

import tinygrad_norm as tn
from tests.fuzz import accepted, referee
from tests.fuzz.targets import NAMES, Call, Target

HERE = os.path.dirname(tn.__file__)
SPACE = {**NAMES, "Fraction": Fraction, "Decimal": Decimal}

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
BY_DESIGN |= {"nn.BatchRenorm2d", "F.spectral_norm", "nn.SpectralNorm"}
BY_DESIGN |= {f"{n}.forward" for n in BY_DESIGN if n.startswith("nn.")} | {
    n.replace("F.", "tn.norms.") for n in BY_DESIGN if n.startswith("F.")
}

#: Where PyTorch's gradient is not its forward's: it clamps the lengths outside the record. Differences judge alone.
HOLDS = {"F.cosine_similarity"}

#: Words by which an operation may call itself besides its own name.
OTHER_NAMES = {
    **{
        "absolute": "abs",
        "truedivide": "div",
        "divide": "div",
        "truediv": "div",
        "subtract": "sub",
        "multiply": "mul",
        "negative": "neg",
    },
    **{
        "power": "pow",
        "amax": "max",
        "amin": "min",
        "t": "transpose",
        "mt": "transpose",
        "iter": "unpack",
        "cat": "concatenate",
        "float": "item",
    },
    **{
        "clip": "clamp",
        "lt": "less",
        "le": "less",
        "gt": "greater",
        "ge": "greater",
        "eq": "equal",
        "ne": "equal",
        "adain": "adaptiveinstancenorm",
    },
    **{
        "clamp": "clip",
        "permute": "transpose",
        "swapaxes": "transpose",
        "view": "reshape",
        "int": "item",
        "bool": "truth",
        "contains": "in",
    },
}

#: What a module may call the operation that refused.
PUBLIC = {*tn.functional.__all__, *tn.nn.__all__, "power_iteration"}

#: How a message says what to do, or what would have been right: a second clause, or one of these words.
WAY_OUT = re.compile(
    r"[.;:] \w.*[.;?,] |[.;] \w|\?|must|should|needs? |takes? |expect|use |pass |give |call |between|one of|has to |can be ", re.I
)

SIGNATURE = re.compile(
    r"(?P<name>[\w.<>]+)\(\) (missing \d|takes |got an unexpected keyword|got multiple values|got some positional-only)"
)


class TooLong(BaseException):
    """The call used ten seconds of processor time."""


@dataclass
class Finding:
    """What is not fine about a call."""

    kind: str
    what: str
    call: str
    where: str = ""

    target: str = ""

    @property
    def group(self) -> tuple[str, str]:
        return (self.kind, self.where or self.target)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """No call hangs the run (processor time, so a busy machine changes nothing) or takes the machine's memory."""
    if sys.platform == "win32":
        yield
        return
    import resource

    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        with open("/proc/self/statm") as f:
            used = int(f.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**31, hard))
    except (OSError, ValueError):
        pass
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def evaluate(text: str, space: dict[str, Any] | None = None) -> Any:
    return eval(text, dict(SPACE) if space is None else space)


def inside(tb: Any) -> str:
    """The innermost line of the package a traceback went through."""
    lines = [f for f in traceback.extract_tb(tb) if f.filename.startswith(HERE)]
    return f"{os.path.relpath(lines[-1].filename, HERE)}:{lines[-1].name}" if lines else ""


def squeeze(s: str) -> str:
    return re.sub(r"[_\s`*]", "", s).lower()


def names_operation(message: str, call: Call) -> bool:
    low = squeeze(message)
    parts = [p for p in re.split(r"[.\s=]", call.target) if p and p not in ("tn", "np", "F", "nn", "forward", "linalg", "fft")]
    last = squeeze(parts[-1])
    bare = last[1:] if last[:1] in "ri" and call.target.startswith("Tensor.__") else last
    symbols = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "matmul": "@", "neg": "-"}
    wanted = {last, bare, OTHER_NAMES.get(last, last), OTHER_NAMES.get(bare, bare), symbols.get(bare, last)}
    if call.target.startswith("nn.") and len(parts) > 1:
        wanted.add(squeeze(parts[0]))
    if call.then is not None or call.target.endswith(".forward"):
        wanted |= {re.sub(r"\dd$", "", squeeze(p)) for p in parts}
    if call.target.startswith("nn.") and re.split(r"[:.( ]", message)[0] in PUBLIC:
        return True  # a module speaks as the function it stands for, or as the layer inside it
    return any(w in low for w in wanted) or (call.target.startswith("Graph") and "graph" in low)


def names_operand(message: str, call: Call, target: Target, values: list[Any]) -> bool:
    words = {p.name for p in target.params} | {k for k, _ in call.args if k}
    for v in referee.leaves(values):
        shape, dtype = getattr(v, "shape", None), getattr(v, "dtype", None)
        words |= {str(tuple(shape))} if shape is not None else set()
        words |= {str(dtype)} if dtype is not None else set()
    if any(referee.is_tensor(v) for v in referee.leaves(values)):
        words |= {"tensor", "Tensor"}
    for v in values:
        words |= {type(v).__name__, repr(v)[:30], str(v)[:30]} if not referee.is_tensor(v) else set()
    if call.then is not None or target.kind == "forward" or not any(True for _ in referee.leaves(values)):
        words |= {target.name.split(".")[1], "nothing"}
    return any(w and w in message for w in words) or bool(re.search(r"\(\d*,? ?[\d, ]*\)|\b\d+\b", message))


def judge_error(
    e: BaseException, call: Call, target: Target, values: list[Any], function: Any, kwargs: dict[str, Any], stage: str
) -> Finding | None:
    message, where = str(e), inside(e.__traceback__)
    name = type(e).__name__
    if isinstance(e, TooLong):
        return Finding("hang", "more than 10 s of processor time", call.text, where)
    if isinstance(e, tn.TinygradNormError):
        if HERE in message or re.search(r"tinygrad_norm/|<locals>", message):
            return Finding("message shows internals", f"{name}: {message}", call.text, where)
        if re.search(r"\b0x[0-9a-f]{6,}", message):
            return Finding("message shows an address", f"{name}: {message}", call.text, where)
        if "\n\n" in message or message.count("\n") > 3 or len(message) > 900:
            return Finding("message is more than a paragraph", f"{name}: {message[:300]}", call.text, where)
        if not names_operation(message, call):
            return Finding("message does not name the operation", f"{name}: {message}", call.text, where)
        if not names_operand(message, call, target, values):
            return Finding("message does not name the operand", f"{name}: {message}", call.text, where)
        if not WAY_OUT.search(message):
            return Finding("message without a way out", f"{name}: {message}", call.text, where)
        return None
    frames = traceback.extract_tb(e.__traceback__)
    if (frames and frames[-1].filename == "<string>") or "<lambda>" in message:
        return None  # the caller's own function failed, or was called with what it does not take: that is the caller's to see
    if isinstance(e, TypeError):
        said = SIGNATURE.search(message)
        # Python's own word on a wrong number of arguments or an unknown keyword, as for any function
        if said:
            who = squeeze(said["name"])
            parts = [squeeze(p) for p in re.split(r"[.\s]", call.target)]
            parts += [OTHER_NAMES.get(p, p) for p in parts]
            if any(p and p in who for p in parts) or (who.endswith((".init", "init", "forward")) and stage != "function"):
                return None
        if not where and ("positional argument" in message or "keyword argument" in message):
            return None
    if target.kind == "numpy" and (not where or _numpy_refuses(values, function, kwargs, e)):
        return None  # NumPy refuses its own arrays likewise
    if target.kind in ("operator",) and not where and isinstance(e, (TypeError, AttributeError)):
        return None if _python_refuses(call, message) else Finding(f"raw {name}", message, call.text, f"Python {call.target}")
    return Finding(f"raw {name}", referee.brief(message), call.text, where or f" {call.target}")


def _numpy_refuses(values: list[Any], function: Any, kwargs: dict[str, Any], e: BaseException) -> bool:
    count = len(values) - len(kwargs)
    try:
        function(
            *(referee.to_numpy(v, False) for v in values[:count]), **{k: referee.to_numpy(v, False) for k, v in kwargs.items()}
        )
    except Exception as again:
        return type(again) is type(e)
    return False


def _python_refuses(call: Call, message: str) -> bool:
    """Python's own word where a protocol is not offered at all, or is not met by the other operand."""
    return "unsupported operand" in message or "not supported between" in message or "format" in message


def judge_warnings(caught: list[warnings.WarningMessage], call: Call) -> Iterator[Finding]:
    for w in caught:
        text = str(w.message)
        if "\n" in text.strip():
            yield Finding("warning of several lines", f"{w.category.__name__}: {referee.brief(text)}", call.text)
        where = os.path.relpath(w.filename, HERE) if w.filename.startswith(HERE) else ""
        if where:
            yield Finding(
                "warning points into the package",
                f"{w.category.__name__}: {referee.brief(text)}",
                call.text,
                f"{where}:{w.lineno}",
            )


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
    for finding in report.findings:
        finding.target = call.target
    return report


def _make(call: Call) -> tuple[Any, list[Any], dict[str, Any]]:
    space = dict(SPACE)
    receiver = evaluate(call.receiver, space) if call.receiver else None
    args = [evaluate(t, space) for k, t in call.args if k is None]
    kwargs = {k: evaluate(t, space) for k, t in call.args if k}
    if call.receiver:
        if call.function.startswith("."):
            return getattr(receiver, call.function[1:]), [receiver, *args], kwargs
        return evaluate(call.function), [receiver, *args], kwargs
    return evaluate(call.function), args, kwargs


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


def _makes(call: Call) -> bool:
    """Can the module be built whose method is called?"""
    try:
        evaluate(call.receiver or call.function)
    except Exception:
        return False
    return True


def _judge(call: Call, target: Target) -> Report:
    try:
        function, args, kwargs = _make(call)
    except Exception as e:
        if target.kind in ("forward", "module method") and not _makes(call):
            found = judge_error(e, call, target, [], None, {}, "built")
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
            elif hasattr(result, "__enter__") and hasattr(result, "__exit__"):
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
            if _changed(v, old) and not any(n.startswith("running") or n in ("u", "v", "nu") for n in _names(call, target)):
                findings.append(
                    Finding("input mutated", f"{old.ravel()[:3]} became {referee.array_of(v).ravel()[:3]}", call.text)
                )
    if target.kind == "setter":
        findings += _kept(call, args)
    elif (
        "dtype" not in kwargs
        and target.name not in ("tn.tensor", "tn.Tensor")
        and target.kind in ("function", "method", "operator", "module", "forward")
        and not target.slow
    ):
        try:
            findings += _promoted(call, [*values, built if built is not None else function], result)
        except Exception as e:
            findings.append(Finding("a result that cannot be used", f"{type(e).__name__}: {e}", call.text))
    if target.name.startswith(("F.", "tn.")) and isinstance(result, (np.ndarray, np.generic)) and not target.slow:
        findings.append(Finding("an array, where tensors are handed out", type(result).__name__, call.text))
    outcome, said = "no referee", ""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            outcome, said = _confirm(call, target, function, args, kwargs, built, result, findings)
        except tn.TinygradNormError as e:
            findings.append(Finding("gradient cannot be taken", f"{type(e).__name__}: {e}", call.text))
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


def _changed(v: Any, old: np.ndarray) -> bool:
    now = referee.array_of(v)
    return now.shape != old.shape or (
        now.dtype.kind in "fciub" and not np.array_equal(now, old, equal_nan=now.dtype.kind in "fc")
    )


def _confirm(
    call: Call,
    target: Target,
    function: Any,
    args: list[Any],
    kwargs: dict[str, Any],
    built: Any,
    result: Any,
    findings: list[Finding],
) -> tuple[str, str]:
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
            if slope:
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
        if slope:
            findings.append(Finding("gradient", slope, call.text))
        return "slope only" if referee.first_float(result) is not None else "no referee", ""
    except referee.Refused as e:
        if not accepted.reason(call.target, str(e)):
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
        twin_args = [evaluate(t) for t in _split(call.function)]
        twin = referee.module_twin(name, function, twin_args, {})
        inputs = [*args, *kwargs.values()]
    else:
        twin = referee.module_twin(name, built, args, kwargs)
        inputs = then
    fresh = evaluate(call.function) if target.kind == "forward" else None
    del fresh
    theirs_in = [referee.to_torch(v, True, True) for v in inputs]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = twin(*theirs_in)
    except Exception as e:
        raise referee.refused(e) from None
    moderate = referee.is_moderate(inputs)
    gap = referee.differ(result, theirs, lambda: _narrow(twin, inputs), moderate, referee.coarsest(inputs))
    if gap and _is_random(call, result):
        return "random", ""
    if gap:
        findings.append(Finding("not the referee's " + gap.split(":")[0].split(",")[0].split(" ")[0], gap, call.text))
        return "differs", ""
    return "confirmed", ""


def _narrow(twin: Any, inputs: list[Any]) -> Any:
    """The twin once more in the inputs' own dtype: where float32 ends, PyTorch's ends too."""
    theirs = [referee.to_torch(v, False, True) for v in inputs]
    kind = next((t.dtype for t in theirs if t.is_floating_point()), None)
    return twin.to(kind)(*theirs)


def _is_random(call: Call, result: Any) -> bool:
    """Another call with the same arguments gives something else: there is nothing to compare."""
    function, args, kwargs = _make(call)
    again = function(*(args[1:] if call.function.startswith(".") else args), **kwargs)
    if call.then is not None:
        again = again(*(evaluate(t) for _, t in call.then))
    return any(_changed(m, np.array(referee.array_of(n))) for m, n in zip(referee.leaves(again), referee.leaves(result)))


def _split(text: str) -> list[str]:
    """The arguments of ``nn.Name(a, b)`` as texts."""
    import ast

    return [ast.unparse(a) for a in ast.parse(text, mode="eval").body.args]  # type: ignore[attr-defined]


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
        function, fresh, words = _make(call)
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
