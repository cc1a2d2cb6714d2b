"""An operation as a value: what it is called, what it computes, and one pullback per input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .errors import DTypeError, OptionError, ShapeError, TinygradNormError, describe

Pullback = Callable[..., Any]
"""``(g, out, *inputs, **params) -> cotangent of one input``, written with operators and ops only.

Because nothing in it says what ``g`` is, the same line can be read over NumPy arrays (numbers),
over recorded tensors (the gradient as one more graph) and over symbols (the gradient as a formula).
It may return its result in the broadcast shape; the engine sums it to the input's shape.
"""


class Every(Sequence[Pullback]):
    """One rule for any number of inputs."""

    def __init__(self, rule: Pullback) -> None:
        self.rule = rule

    def __getitem__(self, position: Any) -> Any:
        return partial(self.rule, position=position)

    def __len__(self) -> int:
        return sys.maxsize


class Together(Every):
    """One rule that gives the shares of several inputs at once: ``rule(g, out, *inputs, wanted, **params)``, a list in the
    order of the positions ``wanted``. For what can only be done once, such as computing a checkpointed function again; g comes in
    full."""

    def __getitem__(self, position: Any) -> Any:
        return lambda g, out, *inputs, **params: self.rule(g, out, *inputs, wanted=(position,), **params)[0]


NONE: dict[str, Any] = {}  # the params of what has none: one for all, and nobody writes into it
_OPERANDS = (np.ndarray, np.generic, int, float, complex)


class Op:
    """One primitive, or one analytic node: there is no difference to the engine.

    name:        what pictures and messages call it
    text:        how it prints, a format string over its inputs and params: ``"{0} + {1}"``
    forward:     its value over NumPy arrays
    pullbacks:   one rule per input; ``None`` where nothing flows (a condition, an index). Empty: no
                 rule is known, and going backward through it is an error. ``Every(rule)`` serves any
                 number of inputs with one rule, told which input by the keyword ``position``;
                 ``Together(rule)`` serves all that are wanted in one call.
    elementwise: broadcasting its inputs is all that ties their shapes to the output's
    smooth:      complex step may go through it (no comparison, no modulus inside)
    kernel:      optional, arrays only: ``(wanted, g, out, *inputs, **params)`` returns what the rules
                 at the positions ``wanted`` would, in that order, faster. The rules stay the truth:
                 tests hold a kernel to them.

    Calling an op computes: over arrays it runs ``forward``; anything else (a tensor, a symbol) brings
    its own meaning as a method ``apply_op(op, inputs, params)``. Raises ``DTypeError`` for what is none of these, and for
    rules that cannot be called.
    """

    __slots__ = (
        "_count",
        "constant",
        "elementwise",
        "everywhere",
        "faster",
        "forward",
        "kernel",
        "name",
        "pullbacks",
        "smooth",
        "text",
    )

    def __init__(
        self,
        name: str,
        text: str,
        forward: Callable[..., Any],
        pullbacks: Sequence[Pullback | None] = (),
        *,
        elementwise: bool = False,
        smooth: bool = True,
        kernel: Callable[..., Any] | None = None,
    ) -> None:
        if not isinstance(name, str) or not isinstance(text, str):
            raise DTypeError(
                f"Op: name={describe(name)}, text={describe(text)}; both are text, such as Op('add', '{{0}} + {{1}}', …)."
            )
        if not isinstance(pullbacks, (Every, tuple, list)):
            raise DTypeError(
                f"Op: pullbacks={describe(pullbacks)}; give a tuple of functions, one rule per input, or Every(rule)."
            )
        pullbacks = pullbacks if isinstance(pullbacks, Every) else tuple(pullbacks)
        rules = (pullbacks[0],) if isinstance(pullbacks, Every) else pullbacks
        for f in (forward, forward if kernel is None else kernel, *[rule for rule in rules if rule is not None]):
            if not callable(f):
                raise DTypeError(f"Op: forward, kernel and pullbacks of {name} are functions of arrays, not {describe(f)}.")
        self.name, self.text, self.forward, self.pullbacks = name, text, forward, pullbacks
        self.elementwise, self.smooth, self.kernel = elementwise, smooth, kernel
        self.faster = kernel is not None or type(pullbacks) is Together  # over arrays something else than its rules one by one
        self._count = forward.nin if isinstance(forward, np.ufunc) else 0
        self.constant = bool(rules) and all(rule is None for rule in rules)  # nothing flows back at all
        self.everywhere = bool(rules) and all(rule is not None for rule in rules)  # something flows to every input

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        if self._count and len(inputs) != self._count:  # NumPy would write into the next one
            raise DTypeError(f"{self.name}: {len(inputs)} operands; it takes {self._count}.")
        for value in inputs:
            if type(value) is not np.ndarray and hasattr(type(value), "apply_op"):
                return value.apply_op(self, inputs, params or NONE)
        try:
            return self.forward(*inputs, **params)
        except TinygradNormError:
            raise
        except Exception as error:
            if (misuse := self.misuse(inputs, params, error)) is not None:
                raise misuse from None
            if not self.elementwise or not isinstance(error, (TypeError, ValueError, OverflowError)):
                raise
            what, kind = " and ".join(map(describe, inputs)), ShapeError if isinstance(error, ValueError) else DTypeError
            raise kind(f"{self.name}: {what}: {error}. Sizes must be equal or 1, dtypes those of numbers.") from None

    def misuse(self, inputs: tuple[Any, ...], params: dict[str, Any], error: Exception) -> TinygradNormError | None:
        """What is wrong with the call as such, if that is why it failed: an operand that is none, a number of them, an option
        that is not there."""
        for x in inputs:
            if not isinstance(x, _OPERANDS) and not hasattr(type(x), "apply_op"):
                return DTypeError(
                    f"{self.name}: an operand is {describe(x)} ({type(x).__name__}), which is neither a tensor, an array nor a number. Wrap it: tn.tensor(...)."
                )
        if isinstance(error, TypeError) and (unknown := [k for k in params if f"'{k}'" in str(error)]):
            return OptionError(f"{self.name}: it has no option {unknown[0]}; leave it out.")
        if isinstance(error, TypeError) and "positional argument" in str(error):
            return DTypeError(f"{self.name}: {len(inputs)} operands; it takes {len(self.pullbacks)}.")
        return None

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.text}>"

    def __copy__(self) -> Op:  # a constant, in whatever is copied
        return self

    def __deepcopy__(self, memo: Any) -> Op:
        return self
