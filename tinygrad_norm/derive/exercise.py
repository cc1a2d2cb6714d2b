"""An exercise: the line before a rewriting, and what is said to the one that a learner writes under it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import TinygradNormError, describe
from ..graph.table import number, to_json
from .blackboard import Board, same
from .errors import DerivationError
from .mistakes import what_is_wrong
from .other import off, tolerance
from .reading import read
from .recorded import function_of
from .tree import Node, Product, Sum, children, letters

if TYPE_CHECKING:
    from .derivation import Derivation, Step


@dataclass(frozen=True)
class Answer:
    """What is said to a line. Prints well; true as a bool where it is right and simplified.

    kind:         "right", "not simplified", "agrees" (in numbers; no proof was found) or "wrong"
    text:         the whole of it
    line:         yours as it was read
    simplified:   whether it costs no more than the next line, and is not the one that was given
    terms:        what is wrong, a sentence for each term
    residual:     yours less the right one, as a formula, where that is short
    assumptions:  what it is right under
    off:          the largest difference in numbers, relative
    """

    kind: str
    text: str
    line: str
    simplified: bool = False
    terms: tuple[str, ...] = ()
    residual: str | None = None
    assumptions: tuple[str, ...] = ()
    off: float = 0.0

    @property
    def right(self) -> bool:
        """Whether it is proved, under ``assumptions``."""
        return self.kind in ("right", "not simplified")

    @property
    def wrong(self) -> bool:
        return self.kind == "wrong"

    def __bool__(self) -> bool:
        """Whether the exercise is done."""
        return self.simplified and not self.wrong

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> str:
        names = ("kind", "text", "line", "simplified", "terms", "residual", "assumptions", "off")
        return to_json({"right": self.right, **{n: getattr(self, n) for n in names}})


class Exercise:
    """One rewriting of a derivation, asked for.

    step:    which, from 0, the first line; by default the last
    before:  the line to start from; ``after`` the derivation's next one, ``rule`` and ``reason`` of it
    """

    def __init__(self, d: Derivation, step: int | None = None) -> None:
        lines = [(k, s) for k, s in enumerate(d.steps) if s.kind == "rewrite"]
        last = len(lines) - 1
        if (
            isinstance(step, bool)
            or not isinstance(step, (int, np.integer, type(None)))
            or not 0 <= (last if step is None else step) <= last
        ):
            raise DerivationError(f"ask: step={describe(step)}; {d.gradient} of {d.title} has the steps 0 to {last}.")
        self.d, self.step, self.last = d, last if step is None else int(step), last
        at, self._next = lines[self.step]
        earlier = [s for s in d.steps[:at] if s.left == self._next.left and s.kind in ("rewrite", "chain")]
        fresh = [s for s in earlier[-1:] if s.expr != self._next.expr and self._next.left not in letters(d.plain(s.expr))]
        self._earlier: Step | None = fresh[0] if fresh else None
        self._later = [s for _, s in lines[self.step :] if s.left == self._next.left]
        self.board = Board(d, self._next.left)

    @property
    def rule(self) -> str:
        return self._next.rule

    @property
    def hint(self) -> str:
        """Which rule comes next, in words."""
        return f"{self.rule}: {self._next.reason}" if self._next.reason else self.rule

    @property
    def left(self) -> str:
        """What the line is for: dx."""
        return self._next.left

    @property
    def before(self) -> str:
        return self._line(self._earlier) if self._earlier else ""

    @property
    def after(self) -> str:
        return self._line(self._next)

    def _line(self, step: Step) -> str:
        return self.d.writer.equation(step.left, step.expr)

    @cached_property
    def trees(self) -> list[Node]:
        """The next line and those after it."""
        return [self.d.plain(s.expr) for s in self._later]

    @cached_property
    def definitions(self) -> list[str]:
        """The lines of the letters that stand in the line before or after."""
        shown = [self.trees[0], *([self.d.plain(self._earlier.expr)] if self._earlier else [])]
        used = {line.letter.name: line for tree in shown for line in self.board.needed(tree)}
        write = self.d.writer.hand
        return [write.equation(n, used[n].expression) for n in self.board.lines if n in used]

    def __str__(self) -> str:
        where = [f"  {line}" for line in self.definitions]
        start = ["The line to rewrite:", f"  {self.before}"] if self.before else []
        return "\n".join(
            [
                f"{self.d.title}: {self.left}, step {self.step} of {self.last}",
                *(["where", *where] if where else []),
                *start,
                f"What is the next line for {self.left}?" if start else f"What is {self.left}?",
            ]
        )

    # The answer ------------------------------------------------------------------------------------------------

    def answer(self, line: str) -> Answer:
        """What is said to a line, in the notation that is printed, or in ASCII: ``rstd*(g - mean(g) - xhat*mean(g*xhat))``.

        Raises ``ReadingError``, which points at the place, where it cannot be read.
        """
        if not isinstance(line, str):
            raise DerivationError(f"answer: expected a line of text, got {type(line).__name__}.")
        board, write = self.board, self.d.writer.hand
        tree = read(line, board.known, self.left)
        text = write.equation(self.left, tree)
        mine, expected = board.values(tree), board.values(self.trees[0])
        if mine is None:
            return Answer("wrong", f"wrong: {text} has no finite numbers on the record.", text, off=float("nan"))
        allowed = tolerance(self.d.record.output.dtype)
        differs = float("inf") if expected is None or mine.shape != expected.shape else off(mine, expected)
        kind, assumptions, residual, reason = self._judged(tree, differs, allowed)
        if kind == "wrong":
            return self._wrong(tree, text, differs, residual, reason)
        simplified, remark = self._simplified(tree)
        under = f" where {'; '.join(assumptions)}" if assumptions else ""
        if kind == "agrees":
            said = f"the same in numbers{reason}; no proof was found"
        else:
            said = f"right{under}" if simplified else f"right{under}, but {remark}"
        said = f"{said}; {remark}" if kind == "agrees" and not simplified else said
        return Answer(
            kind if simplified or kind == "agrees" else "not simplified",
            f"{said}.",
            text,
            simplified,
            (),
            None,
            assumptions,
            differs,
        )

    def _judged(self, tree: Node, differs: float, allowed: float) -> tuple[str, tuple[str, ...], str | None, str]:
        """kind, assumptions, residual and reason."""
        board = self.board
        numbers = [(board.values(tree, k), board.values(self.trees[0], k)) for k in range(len(board.records))]
        held = [same(a, b, allowed) for a, b in numbers if a is not None and b is not None]
        if board.target is not None:
            try:
                verdict = self.d.equals(function_of(board.formula(tree), board.parameters, board.given))
            except (TinygradNormError, ValueError, TypeError, ArithmeticError):
                verdict = None
            if verdict is not None and verdict.kind in ("proved", "equal under"):
                return "right", verdict.assumptions, None, ""
            if verdict is not None and verdict.kind == "not equal":
                return "wrong", (), verdict.residual, verdict.reason
        if self.d.ok and _key(tree) in map(_key, self.trees):  # what its rules have shown
            return "right", self.d.assumptions, None, ""
        if held and all(held):
            return "agrees", (), None, f" on {len(held)} records" if len(held) > 1 else " on one record"
        return "wrong", (), None, "they agree on the record, not at other sizes" if held and held[0] else ""

    def _simplified(self, tree: Node) -> tuple[bool, str]:
        if self._earlier is not None and _key(tree) == _key(self.d.plain(self._earlier.expr)):
            return False, "it is the line that you were given: nothing is rewritten yet"
        if _key(tree) in map(_key, self.trees):
            return True, ""
        mine, theirs = self.board.cost(tree), self.board.cost(self.trees[0])
        operations = "1 operation" if mine == 1 else f"{mine} operations"
        return mine <= theirs, f"not simplified as far as it goes: it takes {operations}, the next line {theirs}"

    def _wrong(self, tree: Node, text: str, differs: float, residual: str | None, reason: str) -> Answer:
        trees = list(dict.fromkeys((*self.trees[:1], *self.trees[:0:-1])))
        terms = what_is_wrong(self.board, tree, trees)
        known = {*self.board.letters, *self.board.plain.axes}
        said = "wrong: " + ("; ".join(terms) if terms else self._numbers(differs, reason)) + "."
        if residual and not (set(letters(self.trees[0])) - known):
            said += f"\n  {residual}"
        return Answer("wrong", said, text, False, terms, residual, (), differs)

    def _numbers(self, differs: float, reason: str) -> str:
        if not np.isfinite(differs):
            return f"it does not have the shape of {self.left}"
        return reason or f"it differs from {self.left} by {number(differs)} of the largest entry"


def _key(node: Node) -> Any:
    """The same for trees whose terms and factors are in another order."""
    parts = children(node)
    if not parts:
        return repr(node)
    keys = [_key(p) for p in parts]
    own = [getattr(node, n, None) for n in ("axes", "function", "sign")]
    return (type(node).__name__, repr(own), *(sorted(keys, key=repr) if isinstance(node, (Sum, Product)) else keys))
