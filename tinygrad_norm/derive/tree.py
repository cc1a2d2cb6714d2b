"""A formula as a plain tree: what other rooms read and alter. No SymPy here.

``dx = rstd·(g − mean(g) − x̂·mean(g·x̂))`` is a ``Product`` of a ``Letter`` and a ``Sum`` of three; letters carry the named
axes they vary along, so that a tree needs no index. A subtraction is a term with the factor −1, a division a power −1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from fractions import Fraction

Path = tuple[int, ...]
"""Where in a tree: the child taken at each step down."""


@dataclass(frozen=True)
class Number:
    """An integer, a fraction, or a float."""

    value: int | Fraction | float


@dataclass(frozen=True)
class Letter:
    """An array by its name.

    axes:  the named axes it varies along, outermost first
    kind:  "input", "parameter", "constant", "statistic" (what the forward computes) or "cotangent"
    """

    name: str
    axes: tuple[str, ...] = ()
    kind: str = "input"


@dataclass(frozen=True)
class Size:
    """How long an axis is."""

    axis: str


@dataclass(frozen=True)
class Sum:
    """a + b + …"""

    terms: tuple[Node, ...]


@dataclass(frozen=True)
class Product:
    """a·b·…; a number stands first."""

    factors: tuple[Node, ...]


@dataclass(frozen=True)
class Power:
    """base ** exponent."""

    base: Node
    exponent: Node


@dataclass(frozen=True)
class Total:
    """Σ over named axes, or their mean; ``function`` "max" is the largest entry along them."""

    inside: Node
    axes: tuple[str, ...]
    function: str = "sum"


@dataclass(frozen=True)
class Call:
    """exp, log, tanh, sin, cos, erf, abs, sign, max (of two), min, sigmoid, softplus; along ``axes`` softmax, log_softmax, logsumexp."""

    function: str
    arguments: tuple[Node, ...]
    axes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Indicator:
    """``[x > 0]``: 1 where it holds, 0 elsewhere. sign: one of > ≥ = ≠."""

    left: Node
    sign: str
    right: Node


Node = Number | Letter | Size | Sum | Product | Power | Total | Call | Indicator

ONE, ZERO, MINUS = Number(1), Number(0), Number(-1)


def sum_of(*terms: Node) -> Node:
    """A sum without zeros; sums within it are its own terms."""
    flat = [t for term in terms for t in (term.terms if isinstance(term, Sum) else (term,)) if t != ZERO]
    return Sum(tuple(flat)) if len(flat) > 1 else flat[0] if flat else ZERO


def product_of(*factors: Node) -> Node:
    """A product without ones; products within it are its own factors, numbers become one and stand first."""
    flat = [f for factor in factors for f in (factor.factors if isinstance(factor, Product) else (factor,))]
    number: int | Fraction | float = 1
    for f in flat:
        if isinstance(f, Number):
            number = number * f.value
    rest: list[Node] = [f for f in flat if not isinstance(f, Number)]
    if number == 0:
        return ZERO
    rest = [Number(number), *rest] if number != 1 else rest
    return Product(tuple(rest)) if len(rest) > 1 else rest[0] if rest else ONE


def children(node: Node) -> tuple[Node, ...]:
    """What a node is made of."""
    if isinstance(node, Sum):
        return node.terms
    if isinstance(node, Product):
        return node.factors
    if isinstance(node, Power):
        return (node.base, node.exponent)
    if isinstance(node, Total):
        return (node.inside,)
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, Indicator):
        return (node.left, node.right)
    return ()


def made_of(node: Node, parts: tuple[Node, ...]) -> Node:
    """The same kind of node, made of other parts."""
    if isinstance(node, Sum):
        return sum_of(*parts)
    if isinstance(node, Product):
        return product_of(*parts)
    if isinstance(node, Power):
        return Power(*parts)
    if isinstance(node, Total):
        return changed(node, inside=parts[0])
    if isinstance(node, Call):
        return changed(node, arguments=parts)
    if isinstance(node, Indicator):
        return Indicator(parts[0], node.sign, parts[1])
    return node


def walk(node: Node) -> Iterator[Node]:
    """Every node of a tree, a node before its parts."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack += reversed(children(node))


def places(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every node and where it stands: for an alteration at one place only."""
    yield path, node
    for k, part in enumerate(children(node)):
        yield from places(part, (*path, k))


def put(node: Node, path: Path, new: Node | None) -> Node:
    """The tree with another node at a place; None drops the term or the factor that stands there."""
    if not path:
        return ZERO if new is None else new
    parts = list(children(node))
    if new is None and len(path) == 1 and isinstance(node, (Sum, Product)):
        del parts[path[0]]
    else:
        parts[path[0]] = put(parts[path[0]], path[1:], new)
    return made_of(node, tuple(parts))


def replace(node: Node, change: Mapping[Node, Node] | Callable[[Node], Node | None]) -> Node:
    """The tree with nodes changed wherever they stand, the innermost first; a function gives None for those that stay."""
    get = change.get if isinstance(change, Mapping) else change
    parts = children(node)
    new = tuple(replace(p, change) for p in parts)
    node = node if new == parts else made_of(node, new)
    found = get(node)
    return node if found is None else found


def varies(node: Node) -> frozenset[str]:
    """The axes a node varies along."""
    if isinstance(node, Letter):
        return frozenset(node.axes)
    inside: frozenset[str] = frozenset().union(*map(varies, children(node)))
    return (
        inside - frozenset(node.axes)
        if isinstance(node, Total) or (isinstance(node, Call) and node.function == "logsumexp")
        else inside
    )


def letters(node: Node) -> dict[str, Letter]:
    """The letters of a tree by name, in the order they stand."""
    return {n.name: n for n in walk(node) if isinstance(n, Letter)}
