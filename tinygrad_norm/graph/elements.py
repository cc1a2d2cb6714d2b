"""A graph at its finest level: every number is a node, every local derivative a number on an arrow.

Which arrows there are: into an entry of an elementwise op lead those of the entries that broadcasting brought there.
Into one of any other op leads an arrow from each entry on which its pullback puts something, at the recorded numbers or
at others: random positive ones, their negatives, and these with one entry after the other the largest (a max hands on to
its winner only). So a derivative that just happens to be 0 has its arrow, ``×0``, and one that must be 0 has none. Where
nothing flows back at all, what an entry depends on is not known: ``no gradient``, from every entry.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np

from ..engine import ARRAYS, GradientError, InPlaceError, Tensor, TinygradNormError, describe
from ..engine.arrays import Array
from .record import Edge, Node, Record
from .table import ascii_text
from .terms import ATOM, POWER, Term
from .words import NO_GRADIENT, pad, width

MOST = 100  # numbers in a picture
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Elements(Record):
    """Another graph number by number. Nodes and edges are those of the picture; gradients are the graph's own.

    whole:   the graph as recorded
    places:  for each node, the id of its tensor's node in ``whole``, and which entry of that it is, counted from 0

    Raises ``GradientError`` for more than 100 numbers, or for none.
    """

    def __init__(self, whole: Record) -> None:
        super().__init__(whole.output)
        self._whole = whole
        sizes = [t.size for t in whole.tensors]
        if sum(sizes) > MOST:
            raise GradientError(
                f"elements: {sum(sizes):,} numbers in {len(sizes):,} tensors are more than the {MOST} that can be told apart. "
                "Give it a smaller input, such as --shape 1,3."
            )
        if not self.output.size:
            raise GradientError(f"elements: {describe(self.output)} holds no number. Give it an input that is not empty.")
        self.places = [(i, at) for i, t in enumerate(whole.tensors) for at in np.ndindex(t.shape)]
        self._first = np.cumsum([0, *sizes]).tolist()

    @property
    def whole(self) -> Record:
        return self._whole

    def entries(self, tensor: Tensor) -> list[Node]:
        """The nodes of one recorded tensor, in C order."""
        i = self.whole.node(tensor).id
        return self.nodes[self._first[i] : self._first[i + 1]]

    @cached_property
    def nodes(self) -> list[Node]:
        _, whole_words = self.whole._texts
        words = [entry_word(whole_words[self.whole.tensors[i]], at, self.whole.tensors[i].shape) for i, at in self.places]
        made = []
        for k, (i, at) in enumerate(self.places):
            old, label = self.whole.nodes[i], str(words[k])
            value = Tensor(np.array(old.tensor._data[at]), name=label)
            text = self._formula(k, words) if old.op else ""
            made.append(Node(k, label, words[k].whole(POWER), old.op, text, (), old.dtype, old.scope, old.role, value))
        return made

    def _formula(self, k: int, words: list[Term]) -> str:
        """With the entries' names where the op is elementwise; else its tensor's formula."""
        i, _ = self.places[k]
        t = self.whole.tensors[i]
        assert t.op is not None
        if not t.op.elementwise:
            return self.whole.nodes[i].text
        operands = [words[self._entry(x, _aligned(x, t)[k - self._first[i]])] if isinstance(x, Tensor) else x for x in t.inputs]
        return str(t.op(*operands, **t.params))

    def _entry(self, x: Tensor, j: int) -> int:
        return int(self._first[self.whole.ids[x]] + j)

    @cached_property
    def _arrows(self) -> list[tuple[Edge, float]]:
        found = []
        for i, t in enumerate(self.whole.tensors):
            tables = [(p, x, *_local(t, p)) for p, x in enumerate(t.inputs) if isinstance(x, Tensor)]
            for k in range(t.size):
                for position, x, there, slopes in tables:
                    for j in np.flatnonzero(there[k]).tolist():
                        slope = 0.0 if slopes is None else float(slopes[k, j])
                        rule = NO_GRADIENT if slopes is None else f"×{number_text(slope)}"
                        found.append((Edge(self._entry(x, j), self._first[i] + k, position, rule, False), slope))
        return found

    @cached_property
    def edges(self) -> list[Edge]:
        """From each entry to each that depends on it. Nothing is summed: every share has its own arrow."""
        return [edge for edge, _ in self._arrows]

    @cached_property
    def derivatives(self) -> list[float]:
        """For each edge the local derivative, as the engine's own rule computes it; 0 where there is no gradient."""
        return [slope for _, slope in self._arrows]

    @cached_property
    def ids(self) -> dict[Tensor, int]:
        """By the nodes' own tensors, one number each."""
        return {n.tensor: n.id for n in self.nodes}

    @cached_property
    def main_input(self) -> Tensor:
        """The last number of the graph's main input, as the last node is the last number of the output."""
        numbers = self.entries(self.whole.main_input)
        return numbers[-1].tensor if numbers else self.nodes[0].tensor

    def node(self, tensor: Tensor) -> Node:
        """The node of a number, or of a tensor that holds just one; ``GradientError`` for any other."""
        if tensor not in self.whole.ids:
            return super().node(tensor)
        if tensor.size != 1:
            raise GradientError(
                f"elements: {describe(tensor)} is {tensor.size} nodes here. Ask .entries(x) for them, or .whole.node(x)."
            )
        return self.entries(tensor)[0]

    def gradients(self, grad_output: Any = None) -> dict[int, Array]:
        """By node: the gradient of that number, a scalar. It is the sum over its arrows: derivative × gradient of the target."""
        found = self.whole.gradients(grad_output)
        return {k: np.array(found[i][at]) for k, (i, at) in enumerate(self.places) if i in found}

    def shares(self, grad_output: Any = None) -> dict[int, Array]:
        """What each arrow hands back: its number times the gradient at its head."""
        found = self.gradients(grad_output)
        return {
            k: np.array(slope * found[e.target])
            for k, (e, slope) in enumerate(self._arrows)
            if e.target in found and self.passes(k)
        }

    def passes(self, k: int) -> bool:
        whole, _ = self.places[self.edges[k].source]
        return self.whole.tensors[whole].requires_grad and self.edges[k].rule != NO_GRADIENT

    def count_routes(self, source: Tensor) -> int:
        raise of_whole_tensors("count_routes")

    @property
    def note(self) -> str:
        """``12 tensors as 28 numbers``."""
        count, all_of_them = len(self.places), len(self.whole.tensors)
        return f"{all_of_them} tensors as {count} number{'s' if count > 1 else ''}"

    def __repr__(self) -> str:
        return f"<graph of {self.whole.nodes[-1].label}: {self.note}, {len(self.edges)} edges>"

    def listing(self, columns: int = 80, ascii: bool = False) -> str:
        """One line per number: its name, formula and value, and where it comes from, each with the local derivative.

        Sources go on in the next line where ``columns`` end. ``ascii`` spells everything out.
        """
        spell = ascii_text if ascii else str
        came: list[list[str]] = [[] for _ in self.nodes]
        for e in self.edges:
            came[e.target].append(spell(self.nodes[e.source].operand + ("" if e.rule == "×1" else f" {e.rule}")))
        rows = []
        for n in self.nodes:
            what = n.role if n.op is None else "" if n.text == n.label else f"= {n.text}"
            rows.append((spell(n.label), spell(what), spell(number_text(n.tensor.numpy()))))
        long = [max(width(row[c]) for row in rows) for c in range(3)]
        arrow = spell("← ")
        left = sum(long) + 6 + width(arrow)
        lines = []
        for (label, what, value), sources in zip(rows, came):
            told = f"{pad(label, long[0])}  {pad(what, long[1])}  {' ' * (long[2] - width(value))}{value}"
            first, *more = _wrapped(sources, max(20, columns - left))
            lines += [f"{told}  {arrow}{first}" if first else told, *(" " * left + part for part in more)]
        return "\n".join(lines)


def elements(record: Record) -> Elements:
    """A record number by number: at most 100 of them, else ``GradientError``. Of a folded one, its whole."""
    return record if isinstance(record, Elements) else Elements(record.whole)


def of_whole_tensors(asked: str) -> GradientError:
    return GradientError(f"{asked}: routes are told of whole tensors, and here every node is one number. Ask .whole.{asked}(x).")


def _wrapped(parts: list[str], columns: int) -> list[str]:
    """Parts with commas between, in lines of so many columns; one empty line for none."""
    lines = [""]
    for k, part in enumerate(parts):
        part += "," if k < len(parts) - 1 else ""
        if lines[-1] and width(lines[-1]) + 1 + width(part) > columns:
            lines.append(part)
        else:
            lines[-1] = f"{lines[-1]} {part}".lstrip()
    return lines


# Words --------------------------------------------------------------------------------------------------


def subscript(at: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Which entry, as textbooks write it, from 1: ``₁₂``, and ``₁₀,₂`` beside axes of ten and more. Axes of size 1 are left out."""
    kept = [(k + 1, n) for k, n in zip(at, shape) if n > 1]
    between = "," if any(n > 9 for _, n in kept) else ""
    return between.join(str(k) for k, _ in kept).translate(_SUBSCRIPT)


def entry_word(word: Term, at: tuple[int, ...], shape: tuple[int, ...]) -> Term:
    """What formulas call an entry of what they call ``word``: ``c₁₂``, ``σ₁²``, ``(x̂·γ)₁``; the same where there is only one."""
    mark = subscript(at, shape)
    if not mark:
        return word
    operand = word.whole(POWER)
    stem = operand.rstrip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹") or operand
    power = operand[len(stem) :]
    stem = stem if _is_one(stem) else f"({stem})"
    return Term(stem + mark + power, POWER if power else ATOM)


def _is_one(text: str) -> bool:
    """Whether a subscript can follow it: one word without subscripts of its own, or something in brackets."""
    depth, one = 0, not text.endswith(tuple("₀₁₂₃₄₅₆₇₈₉"))
    for c in text:
        depth += (c in "([") - (c in ")]")
        one = one and (depth > 0 or (depth == 0 and (c in ")]_" or c.isalnum() or unicodedata.combining(c) > 0)))
    return one and depth == 0


def number_text(value: Any, digits: int = 3) -> str:
    """So many digits and a proper minus; ``1`` is exactly 1, and what is merely close to it is ``1.00``."""
    value = float(value) + 0.0  # never −0
    text = f"{value:.{digits}g}"
    return (f"{value:#.{digits}g}" if text in ("1", "-1") and abs(value) != 1 else text).replace("-", "−")


# Numbers ------------------------------------------------------------------------------------------------


def _local(t: Tensor, position: int) -> tuple[Array, Array | None]:
    """Which entries of an output depend on which of an input, a row for each of the output's; and the derivatives.

    None for these where nothing flows: no rule, or an input that is not floating point.
    """
    x, op = t.inputs[position], t.op
    assert op is not None
    if x.op is None and x.written > t.birth:
        raise InPlaceError(
            f"elements: {describe(x)} was given new data after {op.name} recorded it; the derivatives would be those of other "
            "numbers. Compute the output again, then draw."
        )
    flows = bool(op.pullbacks) and op.pullbacks[position] is not None and x.dtype.kind == "f"
    slopes = _checked(t, position) if flows else None
    if op.elementwise:
        return np.arange(x.size) == _aligned(x, t)[:, None], slopes
    if slopes is None:
        return np.ones((t.size, x.size), bool), None
    there = np.isfinite(slopes) & (slopes != 0)
    for operands in _elsewhere(t):
        if there.all():
            break
        with np.errstate(all="ignore"), suppress(TinygradNormError, ValueError, ArithmeticError):
            other = _slopes(t, position, np.asarray(op.forward(*operands, **t.params)), operands)
            there |= np.isfinite(other) & (other != 0)
    return there, slopes


def _checked(t: Tensor, position: int) -> Array:
    """The derivatives at the recorded numbers; ``GradientError`` where the rule is no multiplication by numbers at all."""
    out, operands = ARRAYS.value(t), ARRAYS.operands(t)
    with np.errstate(all="ignore"):  # 1/0 is a number on an arrow like any other
        slopes = _slopes(t, position, out, operands)
        g = np.random.default_rng(0).standard_normal(out.shape).astype(out.dtype)
        share = np.broadcast_to(ARRAYS.pull(t, position, g, out, operands), operands[position].shape).ravel()
        gap, size = np.abs(g.ravel() @ slopes - share), np.abs(g.ravel()) @ np.abs(slopes)
    if np.isfinite(size).all() and np.any(gap > np.sqrt(np.finfo(slopes.dtype).eps) * (size + 1)):
        assert t.op is not None
        raise GradientError(
            f"elements: the rule of {t.op.name} for its input {position + 1} is no derivative: what it hands on is not a sum of "
            "numbers times what comes in, so no number can stand on an arrow. Draw whole tensors instead."
        )
    return slopes


def _aligned(x: Tensor, t: Tensor) -> Array:
    """For each entry of an elementwise op's output, the input's entry that broadcasting brings there."""
    return np.broadcast_to(np.arange(x.size).reshape(x.shape), t.shape).ravel()


def _slopes(t: Tensor, position: int, out: Array, operands: tuple[Any, ...]) -> Array:
    """d(output)/d(input), a row for each entry of the output: the pullback of a cotangent that is 1 there."""
    x = operands[position]
    rows = np.empty((out.size, x.size), x.dtype)
    for k in range(out.size):
        g = np.zeros(out.shape, out.dtype)
        g.reshape(-1)[k] = 1
        rows[k] = np.broadcast_to(ARRAYS.pull(t, position, g, out, operands), x.shape).ravel()
    return rows


def _elsewhere(t: Tensor) -> Iterator[tuple[Any, ...]]:
    """The op's inputs at other numbers; what is not floating point stays as it is."""
    rng = np.random.default_rng(0)
    recorded = ARRAYS.operands(t)
    floating = [k for k, x in enumerate(recorded) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    positive = {k: rng.uniform(0.25, 1.75, recorded[k].shape).astype(recorded[k].dtype) for k in floating}
    for sign in (1, -1):
        values = {k: np.asarray(sign * x) for k, x in positive.items()}
        yield tuple(values.get(k, x) for k, x in enumerate(recorded))
        for k, x in values.items():
            for j in range(x.size):
                raised = x.copy()
                raised.reshape(-1)[j] = 2
                yield tuple(raised if i == k else values.get(i, y) for i, y in enumerate(recorded))
