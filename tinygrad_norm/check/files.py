"""Backward functions in a file of the user's, and the norm each belongs to."""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..norms import names as norms
from .binding import CheckInputError, is_backward, is_cotangent
from .guard import explain, run
from .paired import ends, is_layer, needs_forward

LIMIT = 60.0  # seconds for the file to be executed: it may import a framework
_SHORT = {
    "ln": "layer_norm",
    "rms": "rms_norm",
    "bn": "batch_norm",
    "gn": "group_norm",
    "in": "instance_norm",
    "wn": "weight_norm",
    "ws": "weight_standardization",
    "sn": "spectral_norm",
    "pn": "power_norm",
    "brn": "batch_renorm",
    "lrn": "local_response_norm",
    "cln": "conditional_layer_norm",
    "l2": "normalize",
    "l2norm": "normalize",
    "l2normalize": "normalize",
    "adain": "adaptive_instance_norm",
    "dyt": "dynamic_tanh",
    "cosine": "cosine_similarity",
    "xent": "cross_entropy",
    "ce": "cross_entropy",
}
_WHOLE = ("normalize", "film")  # words that also occur in other names
_SAYS_BACKWARD = {"backward", "backwards", "bwd", "vjp", "grad", "grads", "gradient", "gradients", "backprop"}
_SAYS_NOT = {"check", "test", "numerical", "numeric", "compare", "finite", "no", "zero", "clip", "forward", "fwd"}
_counter = itertools.count()


@dataclass(frozen=True)
class Found:
    """A backward in a file: what it is called there, the callable, the norm as far as it can be told, and its line.

    forward:  the function beside it whose cache it asks for: ``ln_forward`` of ``ln_backward``
    """

    name: str
    function: Callable[..., Any]
    norm: str | None
    line: int
    forward: Callable[..., Any] | None = None


def load(target: str) -> list[Found]:
    """The backward functions of ``path.py``, or the one of ``path.py:function`` or ``path.py:Class.method``.

    **Executes the file**, as ``import`` would: call it only on a file that the user named. What it prints is kept away, its
    folder is on the path while it runs, and neither it nor what it imports from its folder stays in ``sys.modules``.

    Without a function, those are found that ask for a cotangent first (dy, dout, grad_output, …) or are called backward, bwd,
    vjp or grad; classes with such a ``backward`` that needs no object; autograd functions of PyTorch and JAX. The norm is
    ``function.norm`` or the file's ``NORM`` where they are set, otherwise guessed from the function's, the class's and the
    file's name.
    Raises ``CheckInputError`` for a file that is missing, not Python, or raises; when nothing or no such function is in it.
    """
    path, wanted = _split(target)
    module = _execute(path)
    own = {n: v for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__ and callable(v)}
    if wanted is not None:
        found = [_named(module, wanted, own, path)]
    else:
        unique = {id(v): (n, v) for n, v in reversed(own.items())}  # of two names for one function the first
        found = sorted((f for n, v in unique.values() for f in _backwards(module, n, v, own)), key=lambda f: f.line)
    if not found:
        seen = ", ".join(own) or "no function at all"
        raise CheckInputError(
            f"{path}: no backward function found. It defines: {seen}. A backward asks for the cotangent first, "
            f"def ln_backward(dy, x, weight, bias, eps); or name it: {path}:FUNCTION."
        )
    return found


def _split(target: str) -> tuple[Path, str | None]:
    match = re.fullmatch(r"(.+):([^\W\d]\w*(?:\.[^\W\d]\w*)*)", target, re.DOTALL)
    if match is None or Path(target).exists():
        return Path(target), None
    return Path(match[1]), match[2]


# Executing it ---------------------------------------------------------------------------------------------------------


def _execute(path: Path) -> ModuleType:
    if path.suffix == ".ipynb":
        raise CheckInputError(f"{path}: is a notebook; export it as a script: jupyter nbconvert --to script {path.name}.")
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise CheckInputError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise CheckInputError(f"{path}: {error.strerror or error}.") from None
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f" (line {error.lineno})" if error.lineno else ""
        raise CheckInputError(f"{path}: is not Python: {error.msg}{line}.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise CheckInputError(f"{path}: is not Python: {error}.") from None
    module = ModuleType(f"_checked_{path.stem}_{next(_counter)}".replace(".", "_"))
    module.__file__ = str(path)
    with _as_imported(module, path):
        outcome = run(lambda: exec(code, module.__dict__), LIMIT)
    if outcome.late:
        raise CheckInputError(
            f"{path}: did not finish being executed within {LIMIT:g} s. Keep long work under: if __name__ == '__main__'."
        )
    if outcome.raised is not None:
        raise CheckInputError(f"{path}: {explain(outcome.raised, str(path))}.")
    return module


@contextmanager
def _as_imported(module: ModuleType, path: Path) -> Iterator[None]:
    """Its folder on the path, itself among the modules; afterwards neither, nor its neighbours: others have their own utils."""
    folder = path.resolve().parent
    before = set(sys.modules)
    sys.modules[module.__name__] = module  # dataclasses look themselves up there
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if name == module.__name__ or (file is not None and Path(file).resolve().parent == folder):
                del sys.modules[name]


# Finding them ---------------------------------------------------------------------------------------------------------


def _named(module: ModuleType, wanted: str, own: dict[str, Any], path: Path) -> Found:
    scope: Any = module
    parents: list[Any] = []
    for part in wanted.split("."):
        if not hasattr(scope, part):
            inside = own if scope is module else [n for n in vars(scope) if not n.startswith("__")]
            raise CheckInputError(
                f"{path}: there is no {wanted} in it. {'It' if scope is module else scope.__name__} has: {', '.join(inside) or 'nothing'}."
            )
        parents.append(scope)
        scope = getattr(scope, part)
    if not callable(scope):
        raise CheckInputError(f"{path}: {wanted} is a {type(scope).__name__}, not a function.")
    owner = parents[-1]
    if isinstance(owner, type) and wanted.rpartition(".")[2] == _back(owner) and is_layer(owner) and is_backward_method(owner):
        scope = owner
    elif isinstance(owner, type) and not _is_autograd(owner):
        scope = _without_object(owner, wanted.rpartition(".")[2], f"{path}: {wanted}")
    elif isinstance(owner, type):
        scope = owner  # the backward of an autograd function is asked for through its class
    elif isinstance(scope, type) and not _is_autograd(scope):
        if is_layer(scope) and is_backward_method(scope):
            return _found(module, wanted, scope)
        if not hasattr(scope, "backward"):
            raise CheckInputError(
                f"{path}: {wanted} is a class without a backward; name one of its methods: {path}:{wanted}.METHOD."
            )
        scope, wanted = _without_object(scope, "backward", f"{path}: {wanted}"), f"{wanted}.backward"
    return _found(module, wanted, scope)


def _backwards(module: ModuleType, name: str, value: Any, own: dict[str, Any]) -> list[Found]:
    if name.startswith("_") or _serves_another(value, own):
        return []
    if isinstance(value, type):
        if _is_autograd(value):
            return [_found(module, name, value)]
        method = inspect.getattr_static(value, "backward", None)
        if isinstance(method, (staticmethod, classmethod)) and is_backward(value.backward):  # type: ignore[attr-defined]
            return [_found(module, f"{name}.backward", value.backward)]  # type: ignore[attr-defined]
        layer = _back(value) in vars(value) and is_layer(value) and is_backward_method(value)
        return [_found(module, name, value)] if layer else []
    words = set(_words(name))
    if is_backward(value) or (words & _SAYS_BACKWARD and not words & _SAYS_NOT) or _is_custom_vjp(value):
        return [_found(module, name, value)]
    return []


def is_backward_method(value: type) -> bool:
    """Whether its way back asks for a cotangent after the object."""
    parameters = list(inspect.signature(getattr(value, _back(value))).parameters)
    return len(parameters) > 1 and parameters[0] == "self" and is_cotangent(parameters[1])


def _back(value: type) -> str:
    """What a class calls its way back."""
    return (ends(value) or ("", "backward"))[1]


def _serves_another(value: Any, own: dict[str, Any]) -> bool:
    """The fwd and bwd of a ``jax.custom_vjp`` are judged with it."""
    return any(_is_custom_vjp(v) and value in (getattr(v, "fwd", None), getattr(v, "bwd", None)) for v in own.values())


def _is_custom_vjp(value: Any) -> bool:
    return type(value).__name__ == "custom_vjp" and type(value).__module__.startswith("jax")


def _is_autograd(value: type) -> bool:
    return any(base.__module__ == "torch.autograd.function" and base.__name__ == "Function" for base in value.__mro__)


def _without_object(owner: type, method: str, shown: str) -> Any:
    """A method as a function: as it is if static, else of an object made without arguments."""
    if isinstance(inspect.getattr_static(owner, method), (staticmethod, classmethod)):
        return getattr(owner, method)
    if next(iter(inspect.signature(getattr(owner, method)).parameters), "") != "self":
        return getattr(owner, method)
    outcome = run(owner, LIMIT)
    if outcome.raised is not None or outcome.late:
        raise CheckInputError(
            f"{shown} needs an object, and {owner.__name__}() without arguments makes none. Make it a @staticmethod, or write a "
            "function that takes dy and the inputs."
        )
    return getattr(outcome.value, method)


def _found(module: ModuleType, name: str, function: Any) -> Found:
    code = getattr(inspect.unwrap(function) if not isinstance(function, type) else function, "__code__", None)
    line = code.co_firstlineno if code is not None else _class_line(function)
    forward = _partner(module, name) if needs_forward(function) else None
    return Found(name, function, _norm_of(module, name, function), line, forward)


def _partner(module: ModuleType, name: str) -> Callable[..., Any] | None:
    """The forward that goes by the same name."""
    for back, forth in (
        ("backward", "forward"),
        ("Backward", "Forward"),
        ("bwd", "fwd"),
        ("backprop", "forward"),
        ("back", "forward"),
    ):
        for other in (name.replace(back, forth), re.sub(f"_?{back}_?", "", name)) if back in name else ():
            found = getattr(module, other, None)
            if other != name and callable(found) and not is_backward(found):
                return found  # type: ignore[no-any-return]
    return None


def _class_line(function: Any) -> int:
    """A class is taken to begin at its first method; anything else that has no code, at line 1."""
    members = vars(function).values() if isinstance(function, type) else ()
    plain = [m.__func__ if isinstance(m, staticmethod) else m for m in members]
    return min((m.__code__.co_firstlineno for m in plain if hasattr(m, "__code__")), default=1)


# Which norm -----------------------------------------------------------------------------------------------------------


def _norm_of(module: ModuleType, name: str, function: Any) -> str | None:
    owner = getattr(module, name.partition(".")[0], None)
    for holder, attribute in ((function, "norm"), (owner, "norm"), (owner, "NORM"), (module, "NORM")):
        said = getattr(holder, attribute, None)
        if isinstance(said, str):
            if said not in norms():
                raise CheckInputError(
                    f"{module.__file__}: {attribute} = {said!r} is no norm known here. Known: {', '.join(norms())}."
                )
            return said
    klass, _, method = name.rpartition(".")
    tries = (method, klass, Path(str(module.__file__)).stem)
    return next((norm for norm in map(guess_norm, tries) if norm is not None), None)


def guess_norm(name: str) -> str | None:
    """The registered norm a name speaks of, the longest that fits: ``my_layernorm_bwd``, ``LayerNormBackward``, ``ln_bwd``."""
    words = _words(name)
    joined = "".join(words)
    fits = {n.replace("_", ""): n for n in norms()}
    long = [w for w in fits if w in joined and w not in _WHOLE]
    whole = [w for w in (*_WHOLE, *_SHORT) if w in words and (w != "in" or words[0] == "in")]
    if long:
        return fits[max(long, key=len)]
    if whole:
        word = max(whole, key=len)
        return _SHORT.get(word) or fits.get(word)
    return None


def _words(name: str) -> list[str]:
    """snake_case and CamelCase in words, small."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|\d+", name)
    return [p.casefold() for p in parts]
