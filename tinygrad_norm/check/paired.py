"""Candidates that come with a forward of their own: ``(dout, cache)`` beside ``(x, gamma, beta, bn_param) -> out, cache``, and
objects with ``forward``, ``backward`` and ``dgamma``."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..engine.arrays import Array
from .answers import Names, to_array
from .as_array import AsArray
from .binding import EXACTLY, Bound, CheckInputError, bind_backward, bind_forward, bind_sizes, is_cotangent, other_names, same
from .candidate import Candidate, Pairing

_SETTINGS = ("param", "params", "config", "cfg", "conf")  # what assignments call the dict of options
_HOLDERS = ("params", "parameters", "grads", "gradients")  # in which objects keep what they learn: dicts, or lists in order
_BACK = (
    *("backward", "backprop", "back_prop", "backpropagate", "backward_pass", "backprop_pass", "bprop", "bwd", "bw", "back"),
    *("grads", "grad", "gradients", "gradient", "compute_gradients", "compute_grads", "vjp", "pullback"),
)
_FORTH = ("forward", "fprop", "forward_pass", "forward_prop", "fwd", "fw", "__call__", "apply", "call", "run", "normalize")


def with_forward(backward: Any, forward: Callable[..., Any]) -> Candidate:
    """``backward(dout, cache)``, handed what ``forward`` returned besides the output; or what of it its parameters ask for."""

    def paired(
        dy: Array, inputs: Mapping[str, Array], options: Mapping[str, Any], saved: Mapping[str, Any], names: Names
    ) -> Pairing:
        returned = _call_forward(forward, inputs, options)
        output, rest = _split(returned)
        known = list(_recognised(returned, saved).values()) if isinstance(returned, tuple) else []
        if known and all(any(v is a for v in known) and np.shape(a) != np.shape(dy) for a in returned):
            output, rest = None, returned  # statistics are all that it gives

        def call(rest: Any) -> Pairing:
            bound = _bind_to_cache(backward, dy, inputs, options, saved, names.symbols, rest)
            found = backward(*bound.args, **bound.kwargs)
            return Pairing(None if output is None else to_array(output), found, bound, output)

        if rest is None:
            return call(rest)
        try:
            return call(rest)
        except Exception:  # what is wrong with it is said as it is first met
            with contextlib.suppress(Exception):
                return call(returned)  # some save the output with the rest
            raise

    candidate = Candidate(backward, paired=paired)
    candidate.beside = (forward,)
    return candidate


def of_object(thing: Any) -> Candidate:
    """An object, or a class that makes one, with ``forward(x)`` and ``backward(dy)``; it keeps its parameters and their gradients."""
    forth, back = ends(thing) or ("forward", "backward")
    made: dict[tuple[int, ...], tuple[Any, list[_Slot], tuple[str, ...]]] = {}
    given: dict[tuple[int, ...], dict[str, Array]] = {}

    def paired(
        dy: Array, inputs: Mapping[str, Array], options: Mapping[str, Any], saved: Mapping[str, Any], names: Names
    ) -> Pairing:
        first = next(iter(inputs))
        shape = inputs[first].shape
        learned = {n: a for n, a in inputs.items() if n not in (first, "target")}
        if shape in made and isinstance(thing, type) and _differ(given[shape], learned):
            held = {slot.name for slot in made[shape][1]}
            if not set(learned) <= held:  # only its constructor has them
                del made[shape]
        if shape not in made:
            given[shape] = {n: a.copy() if isinstance(a, np.ndarray) else a for n, a in learned.items()}
            new = _new(thing, inputs, options) if isinstance(thing, type) else copy.deepcopy(thing)
            slots = _slots(new, inputs, options)  # before its first forward: that may keep what it is given
            made[shape] = new, slots, tuple(_unused(new, slots, options))
        layer, slots, unused = made[shape]
        _put(layer, slots, {**options, **inputs})
        held = {slot.name for slot in slots}
        others = {n: a for n, a in inputs.items() if n == first or n not in held}
        output, rest = _split(_call_forward(getattr(layer, forth), others, options))
        backward = getattr(layer, back)
        bound = _bind_to_cache(backward, dy, inputs, options, saved, names.symbols, rest)
        bound = replace(bound, notes=(*bound.notes, *unused))
        answer = backward(*bound.args, **bound.kwargs)
        if candidate.twice:
            answer = backward(*bound.args, **bound.kwargs)
        kept = _gradients_in(layer, names)
        if kept and not isinstance(answer, Mapping) and not (isinstance(answer, (tuple, list)) and len(answer) > 1):
            answer = {first: answer[0] if isinstance(answer, (tuple, list)) else answer} | kept
            answer = {f"d_{n}": a for n, a in answer.items()}
        return Pairing(to_array(output), answer, bound, output)

    function = thing if isinstance(thing, type) else getattr(thing, back)
    candidate = Candidate(function, paired=paired)
    candidate.kept = lambda: [vars(layer) for layer, *_ in made.values() if hasattr(layer, "__dict__")]
    return candidate


def is_layer(thing: Any) -> bool:
    """Whether it goes forward and backward by itself, with nothing but a cotangent."""
    named = ends(thing)
    if named is None:
        return False
    try:
        parameters = list(inspect.signature(getattr(thing, named[1])).parameters.values())
    except (TypeError, ValueError):
        return False
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name != "self"]
    return len([p for p in plain if p.default is p.empty]) <= 2  # a loss may take 1 for granted, or nothing


def ends(thing: Any) -> tuple[str, str] | None:
    """What an object, or a class, calls its way forward and its way back; None where it has not both."""
    kind = thing if isinstance(thing, type) else type(thing)
    own = {n for k in kind.__mro__[:-1] for n, v in vars(k).items() if callable(v) or isinstance(v, (staticmethod, classmethod))}
    own |= {n for n in ("forward", "backward") if callable(getattr(thing, n, None))}  # of an object they may be attributes
    back = next((n for n in _BACK if n in own), None) or next(
        (n for n in sorted(own) if not n.startswith("_") and n not in _FORTH and _asks_for_a_cotangent(getattr(kind, n))), None
    )
    forth = next((n for n in _FORTH if n in own), None)
    if back is None or forth is None or (forth == "__call__" and _asks_for_a_cotangent(kind.__call__)):
        return None
    return forth, back


def _asks_for_a_cotangent(method: Any) -> bool:
    named = [p.name for p in _parameters(method) if p.name != "self"]
    return bool(named) and is_cotangent(named[0])


def needs_forward(backward: Any) -> bool:
    """Whether a function asks for a cotangent and one thing that is no input: a cache."""
    try:
        names = [p.name for p in inspect.signature(backward).parameters.values() if p.default is p.empty]
    except (TypeError, ValueError):
        return False
    return len(names) == 2 and same(names[1]) in (
        "cache",
        "ctx",
        "saved",
        "memory",
        "context",
        "state",
        "tape",
        "residuals",
        "res",
    )


def _call_forward(forward: Callable[..., Any], inputs: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    extra = {"momentum": 0.1, "mode": "train", "is_training": True, "train": True}
    extra = {n: v for n, v in extra.items() if n not in options}
    parameters = _parameters(forward)
    for p in parameters:
        if same(p.name).rpartition("_")[2] in _SETTINGS:
            extra[p.name] = {**options, "mode": "train" if options.get("training", True) else "test", "momentum": 0.9}
    call = bind_forward(forward, inputs, {**options, **extra})
    return forward(*call.args, **call.kwargs)


def _split(returned: Any) -> tuple[Any, Any]:
    """The output, and what comes with it."""
    if isinstance(returned, (tuple, list)) and returned:
        rest = returned[1:]
        return returned[0], rest[0] if len(rest) == 1 else tuple(rest) or None
    return returned, None


def _bind_to_cache(
    backward: Any,
    dy: Array,
    inputs: Mapping[str, Any],
    options: Mapping[str, Any],
    saved: Mapping[str, Any],
    symbols: Mapping[str, str],
    rest: Any,
) -> Bound:
    parameters = [p for p in _parameters(backward) if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.default is p.empty]
    if len(parameters) == 2 and rest is not None and same(parameters[1].name) not in {same(n) for n in inputs}:
        first, second = (p.name for p in parameters)
        if is_cotangent(second) and not is_cotangent(first):
            return Bound((rest, dy), {}, frozenset({"dy", *inputs}), (), told=f"{first} = its forward's cache, {second} = dy")
        return Bound((dy, rest), {}, frozenset({"dy", *inputs}), (), told=f"{first} = dy, {second} = its forward's cache")
    if len(parameters) == 1 and not np.ndim(dy) and rest is not None and not is_cotangent(parameters[0].name):
        return Bound((rest,), {}, frozenset(inputs), (), told=f"{parameters[0].name} = its forward's cache")  # of a loss: dy is 1
    if len(parameters) == 1:
        return Bound((dy,), {}, frozenset({"dy", *inputs}), (), told="")
    return bind_backward(backward, dy, inputs, options, {**saved, **_recognised(rest, saved)}, symbols, _flat(rest), rest)


def _flat(rest: Any) -> tuple[Any, ...]:
    return (
        ()
        if rest is None
        else tuple(rest.values())
        if isinstance(rest, Mapping)
        else tuple(rest)
        if isinstance(rest, (tuple, list))
        else (rest,)
    )


def _recognised(rest: Any, saved: Mapping[str, Any]) -> dict[str, Any]:
    """What the forward saved, under our names: by its own name in a dict, else by its value."""
    found: dict[str, Any] = {str(k): v for k, v in rest.items()} if isinstance(rest, Mapping) else {}
    arrays = [v for v in _flat(rest) if isinstance(v, np.ndarray) and v.size > 1]
    for name, known in saved.items():
        same_size = [v for v in arrays if isinstance(known, np.ndarray) and v.size == known.size]
        for value in (v for v in same_size if np.allclose(v.reshape(known.shape), known, rtol=1e-6, atol=0)):
            found.setdefault(name, value)
    return found


# Objects --------------------------------------------------------------------------------------------------------------


def _new(thing: type, inputs: Mapping[str, Array], options: Mapping[str, Any]) -> Any:
    """An object of a class: with its parameters by their names, with nothing, with a size, or with sizes and settings by theirs."""
    shape = inputs[next(iter(inputs))].shape
    sizes = [a.shape for n, a in list(inputs.items())[1:] if a.ndim == 1][:1] or [shape[-1:]]
    learned = {n: a for n, a in inputs.items() if n not in ("input", "target")}
    try:
        call = bind_forward(thing, {n: np.array(a) for n, a in learned.items()}, options) if learned else None
        if call is not None and not call.guessed and call.taken & set(learned):
            return thing(*call.args, **call.kwargs)
    except (CheckInputError, TypeError):
        pass
    tries: Iterable[tuple[Any, ...]] = ((), (sizes[0][0],), (sizes[0],), (shape,))
    for arguments in tries:
        try:
            return thing(*arguments)
        except TypeError:
            continue
    if named := bind_sizes(thing, options, sizes[0][0]):
        with contextlib.suppress(TypeError):
            return thing(**named)
    raise CheckInputError(
        f"{thing.__name__} could not be made: not without arguments, nor with {sizes[0][0]}. Give an object of it"
    )


@dataclass(frozen=True)
class _Slot:
    """Where an object keeps an input or an option of ours: its attribute, or an entry of its dict or list ``holder``."""

    holder: str
    key: Any
    name: str
    shape: tuple[int, ...] | None


def _slots(layer: Any, inputs: Mapping[str, Array], options: Mapping[str, Any]) -> list[_Slot]:
    """What the object holds of its own."""
    own: dict[str, Any] = getattr(layer, "__dict__", {})
    places = {"": own} | {k: v for k, v in own.items() if k in _HOLDERS[:2] and isinstance(v, dict)}
    found = []
    for name in (*list(inputs)[1:], *options):
        words = set(other_names(name, None)) | ({"epsilon"} if name == "eps" else set())
        for holder, place in places.items():
            for key in [k for k in place if isinstance(k, str) and _called(k, name, words) and not callable(place[k])]:
                if name in inputs and (
                    place[key] is None  # it has not been given any yet
                    or isinstance(place[key], (int, str))
                    or name.startswith("running_")
                    or (key in ("mean", "var", "m", "v", "g") and name != "weight")
                ):
                    continue
                found.append(_Slot(holder, key, name, np.shape(place[key]) if name in inputs else None))
    learned = [n for n in list(inputs)[1:] if inputs[n].dtype.kind == "f" and not n.startswith("running_")]
    for holder in _HOLDERS[:2]:
        rows = own.get(holder)
        if isinstance(rows, list) and len(rows) == len(learned):
            found += [_Slot(holder, k, n, np.shape(rows[k])) for k, n in enumerate(learned) if np.ndim(rows[k])]
    return found


def _unused(layer: Any, slots: Sequence[_Slot], options: Mapping[str, Any]) -> Iterator[str]:
    """Settings of its own in whose place the norm's are put."""
    for slot in slots:
        value = (vars(layer)[slot.holder] if slot.holder else vars(layer))[slot.key]
        if slot.name in options and isinstance(value, (bool, int, float)) and value != options[slot.name]:
            yield f"its own {slot.key} = {value} is not used: it is given {options[slot.name]}"


def _called(key: str, name: str, words: Collection[str]) -> bool:
    return EXACTLY[key] == name if key in EXACTLY else same(key) in words


def _differ(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Of arrays their numbers count; what is recorded is the same only as itself."""
    arrays = {n for n, v in b.items() if isinstance(v, np.ndarray) and isinstance(a.get(n), np.ndarray)}
    return any(n not in a or not (np.array_equal(a[n], v) if n in arrays else a[n] is v) for n, v in b.items())


def _put(layer: Any, slots: Sequence[_Slot], values: Mapping[str, Any]) -> None:
    """The probe's parameters and options in place of the object's own."""
    for slot in slots:
        value = values[slot.name]
        if slot.shape is not None:
            value = value.copy() if isinstance(value, (np.ndarray, AsArray)) else np.array(value)
            value = value.reshape(slot.shape) if slot.shape and np.prod(slot.shape) == value.size else value
        (vars(layer)[slot.holder] if slot.holder else vars(layer))[slot.key] = value


def _gradients_in(layer: Any, names: Names) -> dict[str, Any]:
    """dgamma, grad_weight, grads["gamma"], the list grads in order, by input."""
    found: dict[str, Any] = {}
    first = names.wanted[0]
    in_order: dict[str, Any] = {}
    for key, value in list(getattr(layer, "__dict__", {}).items()):
        if key in _HOLDERS[2:] and isinstance(value, list) and len(value) == len(names.wanted) - 1:
            in_order |= {n: v for n, v in zip(names.wanted[1:], value) if np.ndim(v)}
            continue
        if key in _HOLDERS[2:] and isinstance(value, Mapping):
            for k, v in value.items():
                name = names.gradient_of(str(k)) or names.named(str(k))
                if name is not None and name != first:
                    found[name] = v
            continue
        name = names.gradient_of(key)
        if name is not None and name != first and value is not None:
            found[name] = value
    return in_order | found


def _parameters(function: Any) -> Sequence[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
