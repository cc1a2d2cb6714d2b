"""What a candidate returns, in whatever form, read as gradients and intermediates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array
from .as_array import AsArray
from .binding import other_names, same

_USUAL = {"input": "x", "weight": "γ", "bias": "β"}


class Brain(np.ndarray):
    """Single-precision numbers that bfloat16 holds: they travel as these, and are tensors of bfloat16 where there are such."""


def to_bfloat16(a: Array) -> Array:
    """Rounded to 8 bits, to even."""
    bits: Array = np.ascontiguousarray(a, np.float32).view(np.uint32).astype(np.int64)
    found: Array = (
        ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32).reshape(np.shape(a)).view(Brain)
    )
    return found


class WrongAnswer(Exception):
    """Something came back that gradients cannot be read from; the text says what."""


class Names:
    """What the inputs and their gradients may be called."""

    def __init__(self, inputs: Mapping[str, Array], wanted: Sequence[str] | None, symbols: Mapping[str, str] | None) -> None:
        self.inputs = tuple(inputs)
        self.shapes = {n: tuple(np.shape(a)) for n, a in inputs.items()}
        self.wanted = [n for n, a in inputs.items() if np.asarray(a).dtype.kind == "f"] if wanted is None else list(wanted)
        self.symbols = {n: (symbols or _USUAL).get(n, n) for n in inputs}
        self.gradients: dict[str, str] = {}
        self.plain: dict[str, str] = {}
        by_rank = sorted(
            ((rank, word, n) for n in inputs for rank, word in enumerate(other_names(n, self.symbols[n]))), key=lambda t: t[0]
        )
        for _, word, n in by_rank:
            self.plain.setdefault(word, n)

    def have_shapes(self, some: Sequence[str], values: Sequence[Any]) -> bool:
        """Whether these are the shapes of those inputs."""
        return all(np.shape(v) == self.shapes[n] for n, v in zip(some, values))

    def label(self, name: str) -> str:
        return f"d{self.shown(name)}"

    def shown(self, name: str) -> str:
        return self.symbols.get(name, name)

    def listed(self) -> str:
        return ", ".join(map(self.shown, self.wanted))

    def gradient_of(self, key: str) -> str | None:
        """The input whose gradient is called so: dx, grad_x, x_grad, dL_dx."""
        bare = re.sub(r"^(dl_?d_?|grad_|d_|∂|d)|_(grad|bar)$", "", same(key))
        return self.plain.get(bare) if bare and bare != same(key) else None

    def named(self, key: str) -> str | None:
        return self.plain.get(same(key))


@dataclass
class Reader:
    """Reads what a candidate returns, as far as it comes."""

    names: Names
    inputs: Mapping[str, Array]
    given: Mapping[str, Array]
    taken: frozenset[str] = frozenset()
    steps: list[tuple[str, Array]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        self.gradients: dict[str, Array | None] = dict.fromkeys(self.names.wanted)
        self.misshapen: dict[str, Array] = {}
        self.raw: dict[str, Any] = {}
        self.alone = False

    def read(self, returned: Any) -> None:
        self.alone = not isinstance(returned, (tuple, list, Mapping, Iterator))
        if isinstance(returned, Iterator) and not hasattr(returned, "shape"):
            self._yielded(returned)
            return
        raw, others = sort_out(returned, self.names, self.taken)
        for key, value in others:
            self._step(key, value)
        for n, value in raw.items():
            self._gradient(n, value)

    def _yielded(self, steps: Iterator[Any]) -> None:
        kept: dict[str, Any] = {}
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                rest = end.value
                break
            if not (isinstance(step, (tuple, list)) and len(step) == 2 and isinstance(step[0], str)):
                raise WrongAnswer(f"yielded {_describe(step)}; a step is a pair (name, array)")
            name = self.names.gradient_of(step[0])
            if name is None:
                kept[step[0]] = step[1]
                self._step(*step)
            else:
                self._gradient(name, step[1])
        if rest is not None:
            self.read(rest)
        elif all(g is None for g in self.gradients.values()):
            by_input = {n: v for k, v in kept.items() if (n := self.names.named(k)) in self.gradients}
            self.steps = [(k, v) for k, v in self.steps if self.names.named(k) not in by_input]
            for n, value in by_input.items():
                self._gradient(str(n), value)
            if not by_input:
                raise WrongAnswer(f"yielded no gradient: name one of its steps d{self.names.shown(self.names.wanted[0])}")

    def _step(self, name: str, value: Any) -> None:
        try:
            array = np.array(to_array(value))
        except Exception:
            self.notes.append(f"its step {name} is {_describe(value)}, not numbers")
            return
        if array.dtype.kind in "fiub":
            self.steps.append((name, array))
        else:
            self.notes.append(f"its step {name} has dtype {array.dtype}, not real numbers")

    def _gradient(self, name: str, value: Any) -> None:
        if value is None or name not in self.gradients:
            return
        self.raw[name] = value
        x, label, shown = self.inputs[name], self.names.label(name), self.names.shown(name)
        try:
            array = to_array(value)
        except Exception:
            self._wrong(f"returned {_describe(value)} for {label}, not an array")
            return
        if isinstance(value, (list, tuple)):
            self.notes.append(f"returned {label} as a {type(value).__name__} instead of an array")
        if array.dtype.kind == "c" and not np.any(array.imag):
            self.notes.append(f"{label} has dtype {array.dtype}, with nothing imaginary in it")
            array = array.real
        if array.dtype.kind not in "fiub":
            self._wrong(f"{label} has dtype {array.dtype}, not real numbers")
            return
        if array.dtype != x.dtype:
            self.notes.append(f"{label} has dtype {array.dtype} for {x.dtype} {shown}")
        if array.shape != x.shape:
            self._wrong(f"{label} has shape {array.shape}, {shown} has {x.shape}")
            self.misshapen[name] = np.array(array if array.dtype.kind == "f" else array.astype(x.dtype))
            if [k for k in array.shape if k != 1] != [k for k in x.shape if k != 1]:
                return
        array = np.array(array if array.dtype.kind == "f" else array.astype(x.dtype)).reshape(x.shape)
        array = array * array.dtype.type(self.scale) if self.scale != 1 else array
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            first = tuple(int(i) for i in bad[0])
            self.notes.append(f"{label} has {len(bad)} entries that are not finite, the first {array[first]} at {first}")
        self.gradients[name] = array

    def _wrong(self, text: str) -> None:
        self.error = text if self.error is None else f"{self.error}; {text}"


def sort_out(returned: Any, names: Names, taken: frozenset[str]) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """The gradients by input, as they came, and the intermediates; ``WrongAnswer`` where that cannot be told."""
    if returned is None:
        raise WrongAnswer(f"returned None: a backward returns the gradients of {names.listed()}")
    if hasattr(returned, "_asdict"):
        fields = returned._asdict()
        returned = fields if any(names.gradient_of(k) for k in fields) else tuple(returned)
    if isinstance(returned, Mapping):
        return _by_name({str(k): v for k, v in returned.items()}, names)
    if not isinstance(returned, (tuple, list)):
        return {names.wanted[0]: returned}, []
    if isinstance(returned, list) and not _is_arrays(returned) and (len(names.wanted) == 1 or _is_numbers(returned)):
        return {names.wanted[0]: returned}, []
    values = list(returned)
    while len(values) > len(names.inputs) and values[-1] is None:  # autograd functions return None for options
        values.pop()
    mine = [n for n in names.wanted if n in taken]
    learned = [n for n in names.wanted if not n.startswith("running_")]
    if len(values) == len(names.wanted) + 1 and _is_loss(values[0]):
        values = values[1:]
    for order in (names.wanted, names.inputs, mine, learned):
        if len(values) == len(order):
            return dict(zip(order, values)), []
    by_shape = [some for some in combinations(names.wanted, len(values)) if names.have_shapes(some, values)] if values else []
    if len(by_shape) == 1:
        return dict(zip(by_shape[0], values)), []
    n = len(values)
    raise WrongAnswer(
        f"returned {n} gradient{'s' * (n != 1)} for {len(names.wanted)} inputs ({names.listed()}); None stands for one not given"
    )


def gathered(returned: Any, names: Names, taken: frozenset[str]) -> dict[str, Any]:
    """The gradients by input of an answer that is known to be readable, as they came, steps and all."""
    if isinstance(returned, Iterator) and not hasattr(returned, "shape"):
        steps = {}
        while True:
            try:
                name, value = next(returned)
            except StopIteration as end:
                if end.value is not None:
                    return gathered(end.value, names, taken)
                break
            steps[name] = value
        returned = steps
    return sort_out(returned, names, taken)[0]


def _by_name(returned: Mapping[str, Any], names: Names) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    of: dict[str, str | None] = {key: names.gradient_of(key) for key in returned}
    if not any(n in names.wanted for n in of.values()):
        of = {key: names.named(key) for key in returned}
    of = {key: n or (key if key in names.inputs and len(key) > 1 and key not in of.values() else None) for key, n in of.items()}
    gradients = {n: returned[key] for key, n in of.items() if n is not None}
    if not any(n in names.wanted for n in gradients):
        said = ", ".join(list(returned)[:8]) or "nothing"
        raise WrongAnswer(f"returned a dict without a gradient ({said}): call one of them d{names.shown(names.wanted[0])}")
    return gradients, [(key, returned[key]) for key, n in of.items() if n is None]


def _is_arrays(values: Sequence[Any]) -> bool:
    return bool(values) and all(v is None or getattr(v, "ndim", 0) or hasattr(v, "detach") for v in values)


def _is_loss(value: Any) -> bool:
    """One number, as a loss layer returns it before its gradient."""
    try:
        return value is not None and np.size(to_array(value)) == 1 and np.ndim(to_array(value)) == 0
    except Exception:
        return False


def _is_numbers(values: Sequence[Any]) -> bool:
    try:
        return np.asarray(values).dtype.kind in "fiub"
    except (ValueError, TypeError, RuntimeError):
        return False


def to_array(value: Any) -> Array:
    """Any framework's array as NumPy's, sharing memory where it may; lists and numbers too. Raises what they raise."""
    value = value.tensor if isinstance(value, AsArray) else value
    if isinstance(value, Tensor):
        return value.numpy()
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value
        return np.asarray(value.numpy())
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}" + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else f" {str(value)[:40]!r}")
