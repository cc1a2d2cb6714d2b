"""What a candidate is held against: a registered norm, or a forward of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import GradientError, ShapeError, Tensor, describe, grad, tensor
from ..engine.arrays import Array
from ..graph import Graph
from ..norms import InputError, Norm, check_settings, get, is_a_choice
from .case import Case
from .mistakes import own_mistakes

SAVED = {
    "μ": ("mean", "mu"),
    "σ²": ("var", "variance"),
    "rstd": ("rstd", "inv_std"),
    "x̂": ("xhat", "x_hat"),
    "c": ("c", "centered"),
    "ms": ("ms", "mean_square"),
    "‖x‖": ("norm", "length"),
    "p": ("probs",),
}
"""What is on the record, and what a forward pass that saves it calls it."""


class Subject:
    """What a candidate is held against: a registered norm, or a forward of the user's own."""

    def __init__(self, norm: Any, options: Mapping[str, Any], inputs: Any) -> None:
        self.registered = isinstance(norm, (str, Norm))
        self.axes: dict[str, tuple[str, ...]] | None = None
        self.plain: tuple[str, ...] = ()  # of γ = 1 and β = 0, those that a candidate does not know
        if self.registered:
            self.norm: Norm = get(norm)
            self.options = check_settings(self.norm, options, "check")
            self.title, self.by_design = self.norm.title, self.norm.by_design
            shown = {n: v for n, v in self.options.items() if v is not None and (n == "eps" or v != self.norm.options[n])}
        else:
            if not callable(norm) or inputs is None:
                raise InputError("check: to judge against a forward of your own, give the function and its inputs=…")
            arrays = _by_argument(norm, inputs, options)
            if all(are_axes(a) for a in arrays.values()):
                self.axes = {n: tuple(a) for n, a in arrays.items()}
                arrays = {n: np.ones((2,) * len(a)) for n, a in self.axes.items()}
            self.arrays = {n: np.asarray(a.numpy() if isinstance(a, Tensor) else a) for n, a in arrays.items()}
            if all(a.dtype.kind in "iub" for a in self.arrays.values()):  # nothing else to differentiate by: they are numbers
                self.arrays = {n: a.astype(np.float64) for n, a in self.arrays.items()}
            self.forward, self.options = norm, dict(options)
            self.title, self.by_design = getattr(norm, "__name__", "the forward"), {}
            shown = dict(options)
        self.shown_options = "  ".join(f"{'ε' if n == 'eps' else n} = {v}" for n, v in shown.items())

    def symbol(self, name: str) -> str:
        return self.norm.symbol(name) if self.registered else name

    def among(self, wrt: str | Sequence[str] | None) -> tuple[str, ...] | None:
        """Inputs by name or symbol, as names."""
        if wrt is None:
            return None
        known = list(self.norm.parameters(self.norm.shape, **self.options)) if self.registered else list(self.arrays)[1:]
        names = ["input" if self.registered else next(iter(self.arrays)), *known]
        of = {word: n for n in names for word in (n, self.symbol(n))}
        asked = [wrt] if isinstance(wrt, str) else list(wrt) if isinstance(wrt, Sequence) else []
        if not asked or any(not isinstance(w, str) or w not in of for w in asked):
            raise InputError(f"check: wrt={describe(wrt)}; the inputs of {self.title} are {', '.join(names)}.")
        return tuple(of[w] for w in asked)

    def published(self, case: Case) -> dict[str, Array]:
        """What the paper gives, for the inputs where that is by design not the gradient."""
        if not self.by_design:
            return {}
        y = self.norm.apply(case.inputs, backward="analytic", **self.options)
        found = grad(y, [case.leaves[n] for n in self.by_design], case.dy)
        return {n: g.numpy() for n, g in zip(self.by_design, found)}

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
        cotangent = rounded(np.random.default_rng(y.size).normal(size=y.shape)) if dy is None else np.asarray(dy, np.float64)
        if cotangent.shape != y.shape:
            raise ShapeError(f"check: cotangent of shape {cotangent.shape} for output {describe(y)}; the shapes must be equal.")
        if not np.all(np.isfinite(cotangent)):
            raise InputError("check: the cotangent has entries that are not finite; gradients can only be judged at numbers.")
        leaves = {n: t for n, t in inputs.items() if t.requires_grad}
        own = own_mistakes(self.norm, inputs, cotangent, self.options) if self.registered else []
        eps = float(self.options.get("eps") or 0.0)
        what: dict[str, Any] = {"norm": self.norm} if self.registered else {"forward": self.forward, "axes": self.axes}
        return Case(Graph(y), leaves, cotangent, eps, own, inputs, options=self.options, **what)


def statistics(case: Case, saved: Mapping[str, str] | None, flat: bool = False) -> dict[str, Array]:
    """What a forward pass would have saved, under its usual names, or the user's.

    flat:  without axes of one, as fused kernels save them, and what is of the input's size in its shape
    """
    named = {t.name: t.numpy() for t in case.graph.tensors if t.name is not None and t.op is not None}
    output = {"output": case.graph.output.numpy()}
    if saved is not None:
        if not isinstance(saved, Mapping) or not all(isinstance(n, str) for pair in saved.items() for n in pair):
            raise InputError(f'check: saved={describe(saved)}; it names statistics by argument, such as {{"r": "rstd"}}.')
        if unknown := [label for label in saved.values() if label not in named]:
            raise InputError(f"check: nothing on the record is called {', '.join(unknown)}; there are {', '.join(named)}.")
        found = {argument: named[label] for argument, label in saved.items()}
    else:
        found = {argument: named[label] for label, arguments in SAVED.items() if label in named for argument in arguments}
        with np.errstate(all="ignore"):
            if "rstd" in named:
                found |= {"rms" if "ms" in named else "std": 1 / named["rstd"]}
            if "1/‖v‖" in named:
                found |= {"norm": 1 / named["1/‖v‖"], "inv_norm": named["1/‖v‖"]}
            if "‖x‖" in named:
                found |= {"inv_norm": 1 / named["‖x‖"]}
        found |= output if case.graph.output.size > 1 and "target" not in case.inputs else {}
        found |= case.besides
    if flat:
        x = next(iter(case.leaves.values()))
        found = {n: a.reshape([k for k in a.shape if k != 1]) if a.size < case.dy.size else a for n, a in found.items()}
        found = {n: a.reshape(x.shape) if a.size == x.size else a for n, a in found.items()}  # not by groups
    return found


def _by_argument(forward: Callable[..., Any], inputs: Any, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inputs of a forward of the user's own, in the order of its arguments."""
    parameters = [p for n, p in inspect.signature(forward).parameters.items() if n not in options]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    given = inputs if isinstance(inputs, Mapping) else dict(zip(names, as_sequence(inputs)))
    needed = [p.name for p in parameters if p.name in names and p.default is p.empty]
    if (len(given) != len(inputs) if isinstance(inputs, (list, tuple)) else set(given) - set(names)) or set(needed) - set(given):
        raise InputError(f"check: the forward takes {', '.join(names)}; inputs= gives {', '.join(given) or 'none'}.")
    return {n: given[n] for n in names if n in given}


def are_axes(value: Any) -> bool:
    """Names of axes, as ``derive`` takes them: ("B", "N")."""
    return isinstance(value, (tuple, list)) and all(isinstance(a, str) for a in value)


def as_sequence(inputs: Any) -> Sequence[Any]:
    return inputs if isinstance(inputs, (list, tuple)) else [inputs]


def rounded(a: Array) -> Array:
    """Numbers of half precision, so that the same problem can be put in any dtype."""
    if a.dtype.kind != "f" or np.max(np.abs(a), initial=0) > 6e4:
        return a
    return np.asarray(a).astype(np.float16).astype(np.float64)
