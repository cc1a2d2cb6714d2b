"""``tn.kernel``: what is asked for, derived and scheduled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..derive.asking import derive
from ..derive.branches import every_branch
from ..derive.errors import DerivationError, NotSymbolicError
from ..derive.recording import gradients_of
from ..engine import Tensor, describe, grad, tensor
from ..norms import Norm, check_settings, get
from .errors import KernelError
from .fused import Kernel
from .held import holding
from .indexed import by_index
from .lowered import asked, lowering
from .program import Program, program_of


def kernel(
    norm: str | Norm | Callable[..., Tensor],
    *,
    inputs: Mapping[str, Any] | None = None,
    wrt: Sequence[str] | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Any,
) -> Kernel:
    """A fused forward and backward over arrays, made from the derived formula.

    norm:     a registered name, a ``Norm``, or any forward that ``tn.derive`` takes
    inputs:   for a forward of your own: the names of each input's axes, ``{"x": ("B", "N"), "w": ("N",)}``
    wrt:      the inputs whose gradients are wanted, by name; by default all that have one
    shape:    an input's shape, where the number of its axes matters: ``(8, 6, 5, 5)`` for a norm of images
    options:  the norm's own; numbers such as ``eps`` can be given at each call, too

    Raises ``KernelError`` where there is no formula over named axes, naming the operation.
    """
    settings: dict[str, Any] = dict(options)
    if isinstance(norm, (str, Norm)):
        found = get(norm, "kernel")
        usual = {k: v for k, v in found.derived_with.items() if k != "lemmas"}
        norm = replace(found, derived_with=usual)  # a kernel is for any numbers, also where a lemma does not hold
        settings = check_settings(found, {**usual, **options}, "kernel")
        options = {**usual, **options}
    smoothing = None
    if settings.get("soft") is False:  # class indices: derived as the probabilities that they are
        smoothing, options = float(settings.get("label_smoothing", 0.0)), {**options, "soft": True, "label_smoothing": 0.0}
    shapes = [shape]
    if shape is not None and not (isinstance(shape, (tuple, list)) and all(isinstance(n, int) for n in shape)):
        raise KernelError(f"kernel: shape={describe(shape)}; it is a tuple of sizes, such as (4, 8).")
    if wrt is not None and not (isinstance(wrt, (tuple, list)) and all(isinstance(n, str) for n in wrt)):
        raise KernelError(f'kernel: wrt={describe(wrt)}; it is a tuple of names, such as ("input", "weight").')
    if isinstance(norm, (str, Norm)) and shape is not None:
        shapes = [_apart(shape), shape]  # sizes that can be told apart, if the norm takes them
    failure: Exception | None = None
    for candidate in shapes:
        try:
            program = _program(norm, inputs, candidate, options)
        except (DerivationError, NotSymbolicError, KernelError) as error:
            failure = failure or error
            continue
        if smoothing is not None:
            program = by_index(program, "probabilities", smoothing, settings.get("ignore_index"))
        if wrt is not None and (unknown := [n for n in wrt if n not in program.gradients]):
            raise KernelError(f"kernel: {program.title} has no gradient by {unknown[0]}; it has {', '.join(program.gradients)}.")
        constants = [a for a in program.inputs if a.role == "constant"]
        reference = None if constants else _reference(norm, program, settings, wrt)
        return Kernel(program, reference, wrt)
    assert failure is not None
    told = str(failure).removeprefix("kernel: ").removeprefix("derive: ")
    name = norm.name if isinstance(norm, Norm) else getattr(norm, "__name__", "the forward")
    raise KernelError(f"kernel: {told}" if told.startswith(name) else f"kernel: {name}: {told}") from None


def _apart(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (7, 6, 13, 17, 19, 23, 29)[: len(shape)] if len(shape) > 2 else (7, 11)[: len(shape)]


def _program(norm: Any, inputs: Any, shape: Any, options: Mapping[str, Any]) -> Program:
    with holding(), lowering(), every_branch():
        how: dict[str, Any] = {"shape": shape, **options}
        names = gradients_of(norm, inputs=inputs, **how)
        found: dict[str, Any] = {}
        failure: Exception | None = None
        for name in names:
            try:
                found[name] = derive(norm, name, inputs=inputs, **how)
            except (DerivationError, NotSymbolicError) as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return asked(program_of(found))


def _reference(norm: Any, program: Program, settings: Mapping[str, Any], wrt: Sequence[str] | None) -> Callable[..., Any]:
    """The record, for numbers that the formula is not for."""
    wanted = [n for n in program.gradients if wrt is None or n in wrt]
    record_names = list(program.record_names)

    def ask(arrays: Sequence[Any], numbers: Mapping[str, float], dy: Any = None) -> Any:
        of = {n: tensor(a, requires_grad=np.asarray(a).dtype.kind == "f", name=n) for n, a in zip(record_names, arrays)}
        how = {**settings, **numbers}
        with np.errstate(all="ignore"):
            y = get(norm).apply(of, backward="recorded", **how) if isinstance(norm, (str, Norm)) else norm(**of, **how)
            if dy is None:
                return y.numpy()
            return tuple(g.numpy() for g in grad(y, [of[n] for n in wanted], tensor(dy)))

    return ask
