"""Is an error one of the project's own, and does its message name operation, operand and way out?"""

from __future__ import annotations

import os
import re
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import tinygrad_norm as tn
from tests.fuzz import referee
from tests.fuzz.finding import HERE, Finding, TooLong, inside
from tests.fuzz.targets import Call, Target

#: Words by which an operation may call itself besides its own name.
OTHER_NAMES = dict(
    pair.split("=")
    for pair in [
        "absolute=abs",
        "truedivide=div",
        "divide=div",
        "truediv=div",
        "subtract=sub",
        "multiply=mul",
        "negative=neg",
        "power=pow",
        "floordiv=floor_divide",
        "mod=remainder",
        "amax=max",
        "amin=min",
        "t=transpose",
        "mt=transpose",
        "iter=unpack",
        "cat=concatenate",
        "float=item",
        "int=item",
        "bool=truth",
        "contains=in",
        "lt=less",
        "le=less",
        "gt=greater",
        "ge=greater",
        "eq=equal",
        "ne=equal",
        "clip=clamp",
        "clamp=clip",
        "permute=transpose",
        "swapaxes=transpose",
        "view=reshape",
        "adain=adaptiveinstancenorm",
        "std=var",
        "todot=.dot",
        "tosvg=.svg",
        "takealongaxis=takealongdim",
    ]
)

#: What a module may call the operation that refused.
PUBLIC = {*tn.functional.__all__, *tn.nn.__all__, "power_iteration"}

#: NumPy, with a tensor where it takes none, asks it for a number, its length, …: who asks, nobody tells the tensor.
ASKED_BY_NUMPY = re.compile(
    r"(bool|index|iter|len|float|int|complex|split|np\.\w+|(less|greater|equal|maximum|minimum|add|sub|neg|mul)\w*): "
)

#: How a message says what to do, or what would have been right: a second clause, or one of these words.
WAY_OUT = re.compile(
    r"[.;:] \w.*[.;?,] |[.;] \w|\?|must|should|needs? |takes? |expect|use |pass |give |call |between|one of|has to |can be |neither|a word",
    re.I,
)

#: What takes functions that compute.
DERIVES = {f"tn.{name}" for name in ("vjp", "jvp", "hvp", "jacobian", "hessian", "checkpoint", "check_grads")}

SIGNATURE = re.compile(
    r"(?P<name>[\w.<>]+)\(\) (missing \d|takes |got an unexpected keyword|got multiple values|got some positional-only)"
)


def squeeze(s: str) -> str:
    return re.sub(r"[_\s`*]", "", s).lower()


def names_operation(message: str, call: Call) -> bool:
    low = squeeze(message)
    if call.target.startswith("np.") and ASKED_BY_NUMPY.match(message):
        return True
    if re.search(rf"(\b(tn|F|nn)\.|[(,] ?){re.escape(re.split('[:( ]', message)[0])}\b(?!\()", call.text, re.I):
        return True  # a function that was handed in speaks for itself
    if any(f"nn.{re.split('[:( ]', message)[0]}(" in t for _, t in call.args):
        return True  # so does a module
    if "lambda" in call.text and call.target in DERIVES:
        return True  # so does one written there
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
    start = squeeze(re.split(r"[:( ]", message)[0])
    if len(start) > 3 and start != "tensor" and start in last:
        return True  # `hook` of `register_forward_hook`
    return any(w in low for w in wanted) or (call.target.startswith("Graph") and "graph" in low)


def names_operand(message: str, call: Call, target: Target, values: list[Any]) -> bool:
    if call.target.startswith("np.") and ASKED_BY_NUMPY.match(message):
        return True
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
    return any(w and w in message for w in words) or bool(re.search(r"\(\d*,? ?[\d, ]*\)|\b\d+\b|\(\w+\): ", message))


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
            if re.search(rf"\b(tn|F|nn)\.{re.escape(said['name'])}\b(?!\()", call.text):
                return None  # a function that was handed in takes something else
            if re.search(rf"\bnn\.{re.escape(said['name'].removesuffix('.forward'))}\(", call.text):
                return None  # a module that was handed in
            parts = [squeeze(p) for p in re.split(r"[.\s]", call.target)]
            parts += [OTHER_NAMES.get(p, p) for p in parts]
            if any(p and p in who for p in parts) or (who.endswith((".init", "init", "forward")) and stage != "function"):
                return None
        builtin = re.match(r"(\w+)(\(\))? (expected|argument)", message)
        if builtin and re.search(rf"[(,. ]{builtin[1]}\d*[,)]", call.text):
            return None  # what was handed in is one of Python's own
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
        if issubclass(w.category, RuntimeWarning) and "encountered in" in text and "\n" not in text:
            continue  # NumPy's line on an IEEE result, log 0 = −∞: to point it at the caller costs as much as the operation
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
