"""Callables of PyTorch and JAX as candidates: what is judged is the gradient their own library takes.

Neither library is imported unless the object comes from it, or the caller says so.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..engine import Tensor, grad, tensor
from ..engine.arrays import Array
from .answers import Brain, Names, WrongAnswer, gathered, to_array
from .binding import CheckInputError, bind_backward, bind_forward, is_backward, other_names, same
from .candidate import Candidate, Pairing
from .guard import explain, file_of, run

LIMIT = 60.0  # seconds for a second derivative
Inputs = Mapping[str, Array]


def as_candidate(obj: Any, framework: str | None = None, device: str | None = None, backward: bool = False) -> Candidate:
    """Anything whose backward can be judged, as a candidate for ``ask``.

    obj:        a function of arrays that computes gradients; or, recognized without being told: a ``torch.autograd.Function``
                class, a ``torch.nn.Module`` instance (judged as a copy, with the probe's parameters and options put in), a
                function of torch; a function of jax, a ``jax.custom_vjp`` or ``jax.jit`` object
    framework:  "torch" or "jax" for a plain function on that library's tensors. It computes the forward, unless its first
                parameter is named as a cotangent (dy, grad_output, …): then it is itself the backward
    device:     of PyTorch, such as "cuda": the tensors go there, the answer comes back
    backward:   of PyTorch: it is itself the backward, whatever its first parameter is called

    Tensors are on the CPU unless ``device`` says otherwise, in the arrays' dtype; for float64, JAX computes with x64 enabled.
    Raises ``CheckInputError`` for what is not callable, a class that should be an instance, and a library not installed.
    """
    if isinstance(obj, Candidate):
        return obj
    if framework not in (None, "torch", "jax"):
        raise CheckInputError(f'check: framework={framework!r}; it is "torch" or "jax".')
    if framework is not None:
        try:
            importlib.import_module(framework)
        except ImportError:
            raise CheckInputError(f"check: framework={framework!r}, but {framework} is not installed here.") from None
    obj = _class_of_apply(obj)
    found = framework or _home(obj)
    if found is None and isinstance(obj, type):
        raise CheckInputError(f"check: {obj.__name__} is a class; give its function, such as {obj.__name__}(…).backward.")
    if not callable(obj):
        raise CheckInputError(f"check: a candidate is a function, not {type(obj).__name__}.")
    if found is None:
        return Candidate(obj)
    return _torch(obj, device, backward) if found == "torch" else _jax(obj)


def order2_by_tensors(
    candidate: Callable[..., Any],
    dy: Array,
    inputs: Inputs,
    options: Mapping[str, Any],
    saved: Mapping[str, Any] | None,
    v: Inputs,
    symbols: Mapping[str, str] | None = None,
) -> Mapping[str, Array] | str:
    """The gradient of Σ ⟨v[name], gradient[name]⟩ of a candidate written in operators: it is called on recorded tensors.

    Inputs of a floating dtype are tensors that require gradients, dy is a constant one; saved statistics stay arrays, so that
    what was saved is a constant here as it is in training. Returns one gradient per such input, zeros where nothing
    depends on it; or a line why the candidate cannot run on tensors.
    """
    leaves = {n: tensor(a, requires_grad=np.asarray(a).dtype.kind == "f", name=n) for n, a in inputs.items()}

    def second() -> dict[str, Array]:
        names = Names(inputs, None, symbols)
        call = bind_backward(candidate, tensor(dy, name="dy"), leaves, options, saved, names.symbols)
        gradients = gathered(candidate(*call.args, **call.kwargs), names, call.taken)
        along = [(g * v[n]).sum() for n, g in gradients.items() if isinstance(g, Tensor) and g.requires_grad and n in v]
        wanted = {n: t for n, t in leaves.items() if t.requires_grad}
        if not along:
            return {n: np.zeros(t.shape, t.dtype) for n, t in wanted.items()}
        found = grad(sum(along[1:], along[0]), list(wanted.values()), allow_unused=True)
        return {n: np.zeros(t.shape, t.dtype) if g is None else g.numpy() for (n, t), g in zip(wanted.items(), found)}

    return _guarded(second, candidate)


def _guarded(call: Callable[[], dict[str, Array]], candidate: Any) -> Mapping[str, Array] | str:
    outcome = run(call, LIMIT)
    if outcome.late:
        return f"did not return within {LIMIT:g} s"
    if isinstance(outcome.raised, (WrongAnswer, CheckInputError)):
        return str(outcome.raised)
    if outcome.raised is not None:
        return explain(outcome.raised, file_of(candidate))
    found: dict[str, Array] = outcome.value
    return found


# Where an object comes from -----------------------------------------------------------------------------------------


def _class_of_apply(obj: Any) -> Any:
    """``MyFunction.apply`` is MyFunction."""
    owner = getattr(obj, "__self__", None)
    return owner if getattr(obj, "__name__", "") == "apply" and isinstance(owner, type) and _home(owner) == "torch" else obj


def _home(obj: Any) -> str | None:
    """ "torch" or "jax", if the object is one of theirs; asked of what is imported already, so nothing else is."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "autograd"):
        if isinstance(obj, type) and issubclass(obj, torch.nn.Module):
            raise CheckInputError(f"check: {obj.__name__} is a class of modules; give an instance, such as {obj.__name__}(8).")
        if isinstance(obj, type) and issubclass(obj, torch.autograd.Function):
            return "torch"
        if isinstance(obj, torch.nn.Module) or hasattr(obj, "_torchdynamo_orig_callable"):
            return "torch"
    rooms = (getattr(obj, "__module__", None), type(obj).__module__, getattr(obj, "__qualname__", None))
    roots = {str(room).partition(".")[0] for room in rooms}
    if torch is not None and ("torch" in roots or "_VariableFunctionsClass" in roots):
        return "torch"
    return "jax" if "jax" in sys.modules and roots & {"jax", "jaxlib"} else None


def speaks_torch(obj: Any) -> bool:
    """Whether a plain function may be meant for tensors of PyTorch: its file, or its caller, imported it."""
    return sys.modules.get("torch") is not None and callable(obj) and not isinstance(obj, type) and _home(obj) is None


def is_of_a_framework(obj: Any) -> bool:
    """Whether PyTorch or JAX made it, and differentiates it."""
    torch = sys.modules.get("torch")
    module = torch is not None and hasattr(torch, "autograd") and isinstance(obj, type) and issubclass(obj, torch.nn.Module)
    return module or _home(obj) is not None


# PyTorch --------------------------------------------------------------------------------------------------------------


def _torch(obj: Any, device: str | None = None, backward: bool = False) -> Candidate:
    import torch

    def put(array: Any, watched: bool = False) -> Any:
        if not isinstance(array, np.ndarray):
            return array
        t = torch.from_numpy(np.array(array, order="K")).to(device or "cpu")
        t = t.bfloat16() if isinstance(array, Brain) else t
        return t.requires_grad_() if watched and t.is_floating_point() else t

    def leaves(inputs: Inputs) -> dict[str, Any]:
        return {n: put(a, watched=not (buffers and n.startswith("running_"))) for n, a in inputs.items()}

    def pulled(dy: Array, xs: Mapping[str, Any], options: Mapping[str, Any], again: bool) -> dict[str, Any]:
        y = _torch_forward(obj, xs, options)
        if not isinstance(y, torch.Tensor) or not y.requires_grad:
            raise WrongAnswer("its output does not depend on its inputs, as PyTorch records it")
        watched = {n: t for n, t in xs.items() if t.requires_grad}
        found = torch.autograd.grad(y, list(watched.values()), put(dy).to(y.dtype), create_graph=again, allow_unused=True)
        return dict(zip(watched, found))

    def gradients(dy: Array, inputs: Inputs, options: Mapping[str, Any], saved: Mapping[str, Any], names: Names) -> Any:
        if not backward:
            return pulled(dy, leaves(inputs), options, again=False)
        kept = {n: put(a) for n, a in saved.items()}
        call = bind_backward(obj, put(dy), {n: put(a) for n, a in inputs.items()}, options, kept, names.symbols)
        return Pairing(None, obj(*call.args, **call.kwargs), call)

    def second(dy: Array, inputs: Inputs, options: Mapping[str, Any], v: Inputs) -> Mapping[str, Array] | str:
        def work() -> dict[str, Array]:
            xs = leaves(inputs)
            if backward:
                names = Names(inputs, None, None)
                call = bind_backward(obj, put(dy), xs, options, {}, names.symbols)
                found = gathered(obj(*call.args, **call.kwargs), names, call.taken)
            else:
                found = pulled(dy, xs, options, again=True)
            along = [(g * put(v[n])).sum() for n, g in found.items() if g is not None and n in v and g.requires_grad]
            watched = {n: t for n, t in xs.items() if t.requires_grad}
            twice = torch.autograd.grad(sum(along), list(watched.values()), allow_unused=True) if along else [None] * len(watched)
            return {n: np.zeros(inputs[n].shape, inputs[n].dtype) if g is None else to_array(g) for n, g in zip(watched, twice)}

        return _guarded(work, obj)

    backward = backward or (not isinstance(obj, (type, torch.nn.Module)) and is_backward(obj))
    buffers = isinstance(obj, torch.nn.Module) or str(getattr(obj, "__module__", "")).startswith("torch.")  # no gradients there
    return Candidate(obj, gradients, second)


def _torch_forward(obj: Any, xs: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    import torch

    if isinstance(obj, torch.nn.Module):
        y = _module_forward(obj, xs, options)
    elif isinstance(obj, type):
        plain = obj.setup_context is not torch.autograd.Function.setup_context  # type: ignore[attr-defined]
        hidden = 0 if plain else 1
        call = bind_forward(obj.forward, xs, options, hidden)  # type: ignore[attr-defined]
        whole = inspect.signature(obj.forward).bind(*[None] * hidden, *call.args, **call.kwargs)  # type: ignore[attr-defined]
        whole.apply_defaults()
        y = obj.apply(*whole.args[hidden:])  # type: ignore[attr-defined]
    else:
        call = bind_forward(obj, xs, options)
        y = obj(*call.args, **call.kwargs)
    return y[0] if isinstance(y, (tuple, list)) else y


def _module_forward(module: Any, xs: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """A copy of the module with the probe's tensors as its parameters and the probe's options as its attributes."""
    import torch

    first = next(iter(xs.values()))
    module = copy.deepcopy(module).to(device=first.device, dtype=first.dtype)
    inner = getattr(module, "_orig_mod", module)  # a compiled one calls it
    if hasattr(inner, "normalized_shape"):
        inner.normalized_shape = tuple(xs["weight"].shape if "weight" in xs else first.shape[-1:])
    if hasattr(inner, "num_features") and first.ndim > 1:
        inner.num_features = first.shape[1]
    for part in module.modules():
        for n, value in options.items():
            for word in (n, "variance_epsilon") if n == "eps" else (n,):
                if n == "training" or value is None or not hasattr(part, word):
                    continue
                old = getattr(part, word)
                if isinstance(old, (int, float)) or (n == "eps" and old is None):
                    setattr(part, word, value)
    if "training" in options:
        module.train(bool(options["training"]))
    own: dict[str, Any] = {}
    for key, _ in (*module.named_parameters(), *module.named_buffers()):
        for n in list(xs)[1:]:
            if n not in own.values() and same(key.rpartition(".")[2]) in other_names(n, None):
                own[key] = n
                break
    others = {n: t for n, t in xs.items() if n not in own.values()}
    call = bind_forward(inner.forward, others, options)
    put = {key: xs[n] for key, n in own.items()}
    if first.ndim > 1:  # statistics that run along have the channels' size
        for key, value in module.named_buffers():
            if key not in put and value.ndim == 1 and len(value) != first.shape[1]:
                put[key] = torch.full((first.shape[1],), float(key.endswith("var")), dtype=value.dtype, device=value.device)
    return torch.func.functional_call(module, put, call.args, dict(call.kwargs))


# JAX --------------------------------------------------------------------------------------------------------------


def _jax(obj: Any) -> Candidate:
    import jax

    def precise(dy: Array) -> Any:
        room = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
        return room.enable_x64(dy.dtype == np.float64)

    def put(array: Any) -> Any:
        return jax.numpy.asarray(array) if isinstance(array, np.ndarray) else array

    def pulled(dy: Any, xs: Mapping[str, Any], fixed: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        taken: set[str] = set()

        def forward(values: Mapping[str, Any]) -> Any:
            every = {**values, **fixed}
            call = bind_forward(obj, every, options)
            taken.update(call.taken)
            y = obj(*call.args, **call.kwargs)
            return y[0] if isinstance(y, (tuple, list)) else y

        y, pullback = jax.vjp(forward, dict(xs))
        found = pullback(dy.astype(y.dtype))[0]
        return {n: g for n, g in found.items() if n in taken}

    def back(dy: Any, xs: Mapping[str, Any], options: Mapping[str, Any], saved: Mapping[str, Any], names: Names) -> Any:
        call = bind_backward(obj, dy, xs, options, saved, names.symbols)
        return obj(*call.args, **call.kwargs), call.taken

    def split(inputs: Inputs) -> tuple[dict[str, Any], dict[str, Any]]:
        return tuple({n: put(a) for n, a in inputs.items() if (a.dtype.kind == "f") is k} for k in (True, False))  # type: ignore[return-value]

    def gradients(dy: Array, inputs: Inputs, options: Mapping[str, Any], saved: Mapping[str, Any], names: Names) -> Any:
        with precise(dy):
            xs, fixed = split(inputs)
            if not backward:
                return pulled(put(dy), xs, fixed, options)
            every = {n: put(a) for n, a in inputs.items()}
            return back(put(dy), every, options, {n: put(a) for n, a in saved.items()}, names)[0]

    def second(dy: Array, inputs: Inputs, options: Mapping[str, Any], v: Inputs) -> Mapping[str, Array] | str:
        def along(xs: Mapping[str, Any], fixed: Mapping[str, Any]) -> Any:
            if backward:
                names = Names(inputs, None, None)
                returned, taken = back(put(dy), {**xs, **fixed}, options, {}, names)
                found = gathered(returned, names, taken)
            else:
                found = pulled(put(dy), xs, fixed, options)
            return sum(((g * put(v[n])).sum() for n, g in found.items() if g is not None and n in v), put(np.zeros((), dy.dtype)))

        def work() -> dict[str, Array]:
            with precise(dy):
                return {n: np.asarray(g) for n, g in jax.grad(along)(*split(inputs)).items()}

        return _guarded(work, obj)

    backward = is_backward(obj)
    return Candidate(obj, gradients, second)
