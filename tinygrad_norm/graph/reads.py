"""What the way back reads of the way forward: the values that must be kept until then.

One more thing that can flow through a pullback: a ``Spy``, an array that remembers which tensors its numbers depend on.
Each rule is run over spies, and what its share of the cotangent depends on is what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..engine import Op, Reading, Tensor, between
from ..engine.arrays import Array
from .notebook import bundle
from .record import Record


class Numbers(NamedTuple):
    """How much is kept, of how much was computed: array entries, and bytes. A view of another tensor's array counts nothing."""

    kept: int
    computed: int
    kept_bytes: int
    computed_bytes: int


@dataclass(frozen=True)
class Reads:
    """What each pullback that runs reads. Ids are those of ``graph``, which is never folded.

    edges:  for input ``position`` of node ``target``, as ``(target, position)``, the ids of the tensors whose values its
            pullback reads; shapes do not count. An input that nothing flows back to has no pullback
    """

    graph: Record
    edges: Mapping[tuple[int, int], tuple[int, ...]]

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """The ids of all that some pullback reads."""
        return tuple(sorted({i for read in self.edges.values() for i in read}))

    @cached_property
    def memory(self) -> tuple[int, ...]:
        """For each tensor, the one in whose array its numbers stand: itself, or what it is a view of."""
        found: list[int] = []
        for i, t in enumerate(self.graph.tensors):
            viewed = (x for x in t.inputs if type(x) is Tensor and np.may_share_memory(t._data, x._data))
            x = next(viewed, None)
            found.append(i if x is None else found[self.graph.ids[x]])
        return tuple(found)

    @cached_property
    def cached(self) -> tuple[int, ...]:
        """What must be kept although it was computed: the rest of ``kept`` is given, or a view of what is given."""
        return tuple(sorted({j for i in self.kept if self.graph.tensors[j := self.memory[i]].op is not None}))

    @cached_property
    def given(self) -> tuple[int, ...]:
        """The leaves that are read, themselves or as a view. Whoever made them keeps them anyway."""
        return tuple(sorted({j for i in self.kept if self.graph.tensors[j := self.memory[i]].op is None}))

    @cached_property
    def computed(self) -> tuple[int, ...]:
        """All that was computed into an array of its own."""
        return tuple(i for i, t in enumerate(self.graph.tensors) if t.op is not None and self.memory[i] == i)

    @property
    def numbers(self) -> Numbers:
        arrays = [[self.graph.tensors[i]._data for i in ids] for ids in (self.cached, self.computed)]
        kept, computed = (sum(a.size for a in some) for some in arrays)
        return Numbers(kept, computed, *(sum(a.nbytes for a in some) for some in arrays))

    @cached_property
    def readers(self) -> dict[int, tuple[int, ...]]:
        """For each kept id, the ids of the tensors whose gradient is computed from it."""
        found: dict[int, set[int]] = {i: set() for i in self.kept}
        for (target, position), read in self.edges.items():
            source = self.graph.ids[self.graph.tensors[target].inputs[position]]
            for i in read:
                found[i].add(source)
        return {i: tuple(sorted(s)) for i, s in found.items()}

    @property
    def note(self) -> str:
        """``kept for the way back: c, rstd, x̂: 3 of 9 computed tensors, 72 of 180 numbers``."""
        n = self.numbers
        tensors = f"{len(self.cached)} of {len(self.computed)} computed tensors, {n.kept:,} of {n.computed:,} numbers"
        kept = (
            f"kept for the way back: {self._names(self.cached)}: "
            if self.cached
            else "nothing computed is kept for the way back: "
        )
        return kept + tensors + (f"; read of what is given: {self._names(self.given)}" if self.given else "")

    def __str__(self) -> str:
        return self.note

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle("what is read", self.__str__, "reads", self)

    def _names(self, ids: tuple[int, ...], most: int = 8) -> str:
        names = [self.graph.nodes[i].label for i in ids]
        more = len(names) - most
        return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def reads(graph: Record) -> Reads:
    """For each pullback of a graph that a backward pass to all its leaves runs, the values that it reads.

    It is the rules that are asked; an op's array kernel computes what its rules say. A rule that will not run over spies,
    because it is not written in operators and ops alone, is taken to read all that it is given.
    Raises as a backward pass does: ``InPlaceError`` for a leaf with new data, ``MissingPullbackError`` for an op without rules.
    """
    whole = graph.whole
    leaves = {t for t in whole.tensors if t.op is None and t.requires_grad}
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    reached = {whole.output}
    with np.errstate(all="ignore"):
        for node, positions in reversed(between({whole.output}, leaves).items()):
            if node in reached:
                for position in positions:
                    found[whole.ids[node], position] = tuple(sorted(_read(node, position, whole.ids)))
                    reached.add(node.inputs[position])
    return Reads(whole, dict(sorted(found.items())))


def _read(node: Tensor, position: int, ids: Mapping[Tensor, int]) -> frozenset[int]:
    everything = frozenset(ids[t] for t in (node, *node.inputs) if type(t) is Tensor)
    taken: set[int] = set()
    spies = Reading(lambda t: Spy(t._data, frozenset({ids[t]}), taken))
    g = Spy(np.broadcast_to(np.ones((), node.dtype), node.shape), frozenset(), taken)
    try:
        share = spies.pull(node, position, g, spies.value(node), spies.operands(node))
    except Exception:  # it takes more than operators and ops: there is no telling
        return everything
    return frozenset(taken) | (share.sources if isinstance(share, Spy) else frozenset())


class Spy(NDArrayOperatorsMixin):
    """An array, and the ids of the tensors that its numbers depend on.

    taken: where ids go once the numbers leave for where nobody sees what becomes of them: ``float(x)``, ``np.sum(x)``
    """

    def __init__(self, value: Any, sources: frozenset[int], taken: set[int]) -> None:
        self.value, self.sources, self.taken = np.asarray(value), sources, taken

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    def _made(self, value: Any, inputs: tuple[Any, ...]) -> Spy:
        return Spy(value, frozenset().union(*(x.sources for x in inputs if isinstance(x, Spy))), self.taken)

    def apply_op(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Spy:
        """An op over spies: its value, depending on all that its inputs depend on."""
        return self._made(op.forward(*map(_plain, inputs), **params), inputs)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """All operators come here, and NumPy's functions of numbers."""
        if any(isinstance(o, Spy) for o in kwargs.get("out", ())):  # x += 1: a rule that writes into what it reads
            raise TypeError(f"np.{ufunc.__name__}: a spy is not written into.")
        made = getattr(ufunc, method)(*map(_plain, inputs), **kwargs)
        if ufunc is np.power and not isinstance(inputs[1], Spy) and np.all(inputs[1] == 0):
            inputs = ()  # x⁰ is 1, whatever x is
        return self._made(made, inputs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        self.taken |= self.sources
        return np.array(self.value, dtype=dtype)

    def __getattr__(self, name: str) -> Any:
        """Whatever else an array can do."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__array__(), name)

    def __bool__(self) -> bool:
        return bool(self.__array__())

    def __float__(self) -> float:
        return float(self.__array__())

    def __getitem__(self, index: Any) -> Spy:
        return self._made(self.value[_plain(index)], (self, index))

    __hash__ = None  # type: ignore[assignment]


def _plain(x: Any) -> Any:
    return x.value if isinstance(x, Spy) else x._data if isinstance(x, Tensor) else x
