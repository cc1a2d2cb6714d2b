"""An operation as a value: what it is called, what it computes, and one pullback per input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

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
    order of the positions ``wanted``. For what can only be done once, such as computing a checkpointed function again."""

    def __getitem__(self, position: Any) -> Any:
        return lambda g, out, *inputs, **params: self.rule(g, out, *inputs, wanted=(position,), **params)[0]


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
    its own meaning as a method ``apply_op(op, inputs, params)``.
    """

    __slots__ = ("constant", "elementwise", "everywhere", "forward", "kernel", "name", "pullbacks", "smooth", "text")

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
        self.name, self.text, self.forward, self.pullbacks = name, text, forward, pullbacks
        self.elementwise, self.smooth, self.kernel = elementwise, smooth, kernel
        rules = pullbacks if isinstance(pullbacks, tuple) else (pullbacks[0],)
        self.constant = bool(rules) and all(rule is None for rule in rules)  # nothing flows back at all
        self.everywhere = bool(rules) and all(rule is not None for rule in rules)  # something flows to every input

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        for value in inputs:
            if hasattr(value, "apply_op"):
                return value.apply_op(self, inputs, params)
        return self.forward(*inputs, **params)

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.text}>"

    def __copy__(self) -> Op:  # a constant, in whatever is copied
        return self

    def __deepcopy__(self, memo: Any) -> Op:
        return self
