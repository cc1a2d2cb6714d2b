"""What a derivation's formula is held against: a function of tensors, or another derivation, as something to run on any record."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import Tensor, TinygradNormError, describe, grad, history, no_grad, pull_back, tensor
from ..engine.arrays import Array
from .arguments import pairing_of
from .assumption import not_of_kind
from .calls import call, gives, own_parameters
from .errors import DerivationError
from .record import Record, cotangent_of, second_of

if TYPE_CHECKING:
    from .derivation import Derivation

Leaves = Mapping[Tensor, "Tensor | None"]
"""Their leaves, and which of mine each is; None for the cotangent."""


class Incomparable(DerivationError):
    """Two formulas that are about different things."""


class Other:
    """The other formula: ``on(record)`` is its value on a record's inputs, recorded, and which of its leaves is which input.

    pairing:  the names of my inputs by those of theirs; names that are not in it stand for themselves
    """

    def __init__(self, d: Derivation, other: Any, pairing: Mapping[str, str] | None) -> None:
        self.d, self.pairing = d, pairing_of(pairing)
        self.is_function = not isinstance(other, type(d))
        if self.is_function and not callable(other):
            raise DerivationError(f"equals: expected a derivation or a function of tensors, got {type(other).__name__}.")
        self._other = other
        self._redrawn: Record | None = None
        self.forward: tuple[Tensor, Leaves] | None = None
        self.assumed: list[str] = []  # of theirs alone
        if not self.is_function:
            own, their = d.record.numbers, other.record.numbers
            different = [n for n in own if their.get(n, own[n]) != own[n]]
            self.assumed = [n for n in not_of_kind(other.record.notes, "branches", "asked") if n not in d.record.notes]
            self.assumed += [f"{n} is the same number in both (it is {own[n]:g} here, {their[n]:g} there)" for n in different]
        known = _known(d.record)
        twice = [n for n in self.pairing.values() if list(self.pairing.values()).count(n) > 1]
        if twice:
            raise DerivationError(
                f"equals: pairing={self.pairing!r}: {twice[0]!r} is paired with two of theirs; each has one partner."
            )
        for theirs, mine in self.pairing.items():
            if not self.is_function and theirs not in _known(other.record):
                told = ", ".join(dict.fromkeys(n for n in _known(other.record) if n))
                raise DerivationError(
                    f"equals: pairing={{{describe(theirs)}: {describe(mine)}}}: the other derivation has no input {describe(theirs)}; it has {told}."
                )
            if mine not in known:
                told = ", ".join(dict.fromkeys(n for n in known if n))
                raise DerivationError(
                    f"equals: pairing={{{describe(theirs)}: {describe(mine)}}}: there is no input {describe(mine)}; there are {told}."
                )

    def on(self, record: Record) -> tuple[Tensor, Leaves]:
        with np.errstate(all="ignore"):
            return self._call(record) if self.is_function else self._derive(record)

    def held(self, record: Record) -> Array | None:
        """A function's value where nothing is recorded, of tensors without names; None of a derivation."""
        if not self.is_function:
            return None
        with np.errstate(all="ignore"), no_grad():
            return self._call(record, False)[0].data

    def _call(self, record: Record, recorded: bool = True) -> tuple[Tensor, Leaves]:
        """A function of tensors named as the inputs are (by name or by symbol; the main one also x), and dy."""
        function: Callable[..., Any] = self._other
        known = _known(record)
        if "dy" in record.inputs:
            raise DerivationError("equals: an input is called dy, as the cotangent is; call it otherwise.")
        there = [n for n in dict.fromkeys(known) if n and n.isidentifier()]
        wanted = own_parameters(function, there)
        names = {n: self.pairing.get(n, n) for n in wanted}
        beyond = [n for n in self.pairing if n not in wanted and not any(p.kind is p.VAR_KEYWORD for p in wanted.values())]
        if beyond:
            raise DerivationError(
                f"equals: pairing= names {', '.join(map(describe, beyond))}, which the function does not take; it takes {', '.join(wanted)}."
            )
        taken = [n for n in wanted if list(names.values()).count(names[n]) > 1]
        if taken:
            raise DerivationError(f"equals: {' and '.join(taken)} would both be {names[taken[0]]!r}; each has one partner.")
        unknown = [n for n in wanted if names[n] not in known and wanted[n].default is inspect.Parameter.empty]
        unknown = [n for n in unknown if wanted[n].kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)]
        if unknown:
            raise DerivationError(f"equals: the function asks for {', '.join(unknown)}; there are {', '.join(there)}.")
        leaves, mine = {}, {}
        base = _known(self.d.record)
        if any(p.kind is p.VAR_KEYWORD for p in wanted.values()):  # which takes whatever else there is
            named = [known[names[n]] for n in wanted if names[n] in known]
            names |= {n: n for n in [*record.inputs, "dy"] if all(known[n] is not t for t in named)}
        for n in names:
            if names[n] in known:
                given = known[names[n]]
                leaves[n] = tensor(
                    given.data, requires_grad=recorded and given.dtype.kind == "f", name=given.name if recorded else None
                )
                own = base[names[n]]
                mine[leaves[n]] = None if _is_cotangent(names[n], self.d.record) else own
        found = call(function, leaves, wanted)
        if isinstance(found, Tensor) and any(found is leaf for leaf in leaves.values()):
            found = found * 1.0
        if not isinstance(found, Tensor) or (recorded and found.op is None):
            raise DerivationError(
                "equals: the function must compute one tensor from its inputs, in recorded operations; "
                f"this one gives {gives(found)}."
            )
        return found, mine

    def _derive(self, record: Record) -> tuple[Tensor, Leaves]:
        """The other derivation's gradient, recorded on my numbers: its formula is that of this record."""
        other: Derivation = self._other
        known, base = ({**_known(r), **r.inputs} for r in (record, self.d.record))
        on, pairs = {}, {}
        for n, t in other.record.inputs.items():
            for name in (self.pairing.get(n), self.pairing.get(t.name or ""), n, t.name):
                if name in known and known[name] is not record.dy:
                    on[n], pairs[n] = known[name].data, base[name]
                    break
        twice = [n for n in pairs if sum(own is pairs[n] for own in pairs.values()) > 1]
        if twice:
            raise DerivationError(f"equals: {' and '.join(twice)} would both be {pairs[twice[0]].name!r}; each has one partner.")
        self._have_the_same_axes({n: own for n, own in pairs.items() if own.dtype.kind == "f"})
        assert other.record.make is not None
        made = other.record.make(on=on, numbers={n: v for n, v in record.numbers.items() if n in other.record.numbers})
        x = made.inputs[other.of]
        if record.order == 2 or other.record.order == 2:
            if record.order != other.record.order:
                raise Incomparable("one is of order 1, the other of order 2")
            made = replace(made, dy=tensor(record.dy.data, requires_grad=True, name="dy"))
            made = second_of(made, other.of)
            if made.output.shape != record.output.shape:
                raise Incomparable("the outputs have different shapes")
        elif made.output.shape != record.output.shape:
            raise Incomparable(f"one output is of shape {made.output.shape}, the other {record.output.shape}")
        seed = tensor(cotangent_of(record).astype(made.output.dtype), requires_grad=True, name="dy" if record.order == 1 else "v")
        (found,) = grad(made.output, x, seed, create_graph=True)
        reached = set(history(found))
        alone = [n for n, t in made.inputs.items() if n not in pairs and t in reached and t.requires_grad]
        if alone:
            taken = {id(own) for own in pairs.values()}
            there = [n for n in record.inputs if id(base[n]) not in taken]
            here = f"Here are {', '.join(there)}: say" if there else "Say"
            example = f"{alone[0]!r}: {there[0] if there else '…'!r}"
            raise DerivationError(
                f"equals: the other derivation's {', '.join(alone)} has no partner. {here} which it is, pairing={{{example}}}."
            )
        if found.op is None:
            found = (seed if found is seed else found.detach()) * tensor(1.0, requires_grad=True)
        mine: dict[Tensor, Tensor | None] = {made.inputs[n]: own for n, own in pairs.items()}
        mine[seed] = None
        if record.order == 2:
            mine[made.dy] = self.d.record.dy
        self.forward = made.output, mine
        return found, mine

    def _have_the_same_axes(self, pairs: Mapping[str, Tensor]) -> None:
        """That one letter can stand for both: what varies along an axis there does so here."""
        here, there = self.d.letters.axes.dims, self._other.letters.axes.dims
        names: dict[Any, Any] = {}
        for n, own in pairs.items():
            t = self._other.record.inputs[n]
            if t not in there or own not in here:
                continue
            axes = [(a, b) for a, b in zip(there[t], here[own]) if a and b]
            if len(there[t]) != len(here[own]) or any(names.setdefault(a, b) != b for a, b in axes):
                told = ["(" + ", ".join("·".join(map(str, dim)) or "1" for dim in dims) + ")" for dims in (here[own], there[t])]
                raise Incomparable(f"{own.name or n} has the axes {told[0]} here and {told[1]} there")

    # Other numbers ------------------------------------------------------------------------------------------

    def redrawn(self) -> Record | None:
        """My forward on other numbers at the same sizes."""
        if self._redrawn is None:
            record = self.d.record
            rng = np.random.default_rng(1)
            on = {}
            for n, t in record.inputs.items():
                keep = t.dtype.kind != "f"
                signs = 1.0 if np.all(t.data > 0) else rng.choice([-1.0, 1.0], size=t.shape)
                on[n] = t.data if keep else (rng.permutation(t.data.ravel()).reshape(t.shape) * signs * 1.25).astype(t.dtype)
            assert record.make is not None
            try:
                made = record.make(on=on, numbers=record.numbers)
                self._redrawn = second_of(made, self.d.of) if record.order == 2 else made
            except (TinygradNormError, ValueError):
                return None
        return self._redrawn

    def moves(self, constant: Tensor) -> bool:
        """Whether a constant of my record is another one when the inputs are: a statistic that is held."""
        fresh = self.redrawn()
        if fresh is None:
            return True
        mine, theirs = history(self.d.record.output), history(fresh.output)
        k = next(i for i, t in enumerate(mine) if t is constant)
        return len(theirs) <= k or not np.array_equal(theirs[k].data, constant.data)


def _known(record: Record) -> dict[str, Tensor]:
    known = {**record.inputs, "dy": record.dy}
    for t in record.inputs.values():
        known.setdefault(t.name or "", t)
    known.setdefault("x", next(iter(record.inputs.values())))
    if record.order == 2:
        known["v"] = tensor(cotangent_of(record), requires_grad=True, name="v")
    return known


def _is_cotangent(name: str, record: Record) -> bool:
    return name == ("dy" if record.order == 1 else "v") and name not in record.inputs


def gradient_on(record: Record, of: str) -> tuple[Array, float]:
    """The gradient's numbers on a record, and what is next to nothing beside the cotangents it is made of."""
    x = record.inputs[of]
    with np.errstate(all="ignore"):
        found = pull_back({record.output: cotangent_of(record)}, [x], keep=True)
    largest = max((float(np.max(np.abs(g), initial=0)) for g in found.values()), default=0.0)
    floor = (
        8 * float(np.finfo(x.dtype).eps) ** 0.425 * largest if np.isfinite(largest) else 0.0
    )  # times the tolerance: 8 roundings
    return (np.broadcast_to(found[x], x.shape) if x in found else np.zeros(x.shape)), floor


def off(a: Any, b: Any, floor: float = 0.0) -> float:
    """The largest difference, relative to the largest entry of b, or to ``floor`` where that is larger; NaN where a number is."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
        return float("nan")
    largest = max(float(np.max(np.abs(b), initial=0)), floor)
    return float(np.max(np.abs(a - b), initial=0)) / (largest or 1.0)


def tolerance(dtype: Any) -> float:
    """What differences on a record of this dtype may be called rounding: 1e-9 in float64, 1e-4 in float32."""
    return float(float(np.finfo(dtype).eps) ** 0.575)
