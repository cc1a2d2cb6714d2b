"""Which boxes of a folded graph are open: as deep as was asked, these and not those, or the most that fits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from ..engine import GradientError, describe
from ..engine.shapes import number
from .boxes import Box
from .folding import Folded, lineage
from .record import Record
from .tree import Tree

MOST = 25  # nodes in a picture before it is folded unasked


def fold(
    graph: Record, depth: int | None = None, open: str | Iterable[str] = (), keep: str | Iterable[str] = (), most: int = MOST
) -> Record:
    """The graph with the calls of its modules and functions, and its scopes, as boxes.

    depth:  0: all that was computed is one box; 1: the outermost boxes; 2: those in them; …; None: folded from the inside
            until it fits in a picture of 25 nodes, and the graph itself if that fits
    open:   boxes that are open whatever the depth, by path (``blocks.3.attn``) or name; so are those around them
    keep:   boxes that stay closed, by path or name

    Raises ``GradientError`` for a box that there is not.
    """
    graph = graph.whole
    wanted, closed = _paths("open", open), _paths("keep", keep)
    tree = Tree(graph)
    if depth is None and not wanted and not closed and len(graph.tensors) <= most and not tree.has_modules:
        return graph
    asked = {b for name in wanted for b in _named(tree, name)}
    kept = {b for name in closed for b in _named(tree, name)}
    asked = {around for b in asked for around in lineage(b)} - kept
    if depth is None:
        return _fitting(tree, asked, kept, most)
    depth = number("fold", "depth", depth, 0, whole=True)
    if depth == 0 and not asked:
        return Folded(_as_one(tree))
    return Folded(tree, _opened(tree, lambda b, level: b in asked or level < depth, kept))


def _paths(what: str, paths: Any) -> list[Any]:
    if isinstance(paths, (str, list, tuple, set, frozenset)):
        return [paths] if isinstance(paths, str) else list(paths)
    raise GradientError(f'fold: {what}={describe(paths)}; it is a path, or several, such as ["blocks.3.attn"].')


def _named(tree: Tree, name: Any) -> list[Box]:
    found = tree.named(name) if isinstance(name, str) else []
    if not found:
        known = ", ".join(list(tree.boxes)[:20]) or "none: only calls of modules and functions, and tn.scope, make boxes"
        raise GradientError(f"fold: there is no box {describe(name)}. Boxes: {known}{', …' if len(tree.boxes) > 20 else ''}.")
    return found


def _opened(tree: Tree, wanted: Callable[[Box, int], bool], kept: Collection[Box]) -> set[Box]:
    """The boxes that are open: those wanted, asked for with how deep they are, as far as those around them are open, too."""
    found: set[Box] = set()

    def walk(box: Box, level: int) -> None:
        for b in box.boxes:
            if b not in kept and wanted(b, level):
                found.add(b)
                walk(b, level + 1)

    walk(tree.root, 1)
    return found


def _fitting(tree: Tree, asked: Collection[Box], kept: Collection[Box], most: int) -> Folded:
    """The most open that fits; where nothing does, all is closed that was not asked for."""
    folded = Folded(tree)
    for folded in _closing(tree, asked, kept):
        if len(folded.units) <= most:
            break
    return folded


def _closing(tree: Tree, asked: Collection[Box], kept: Collection[Box]) -> Iterator[Folded]:
    """Closed from the inside, a level of boxes after the other. Leaves are inside what uses them where they would be more than the boxes."""
    before: set[Box] | None = None
    for height in range(tree.root.height + 2):
        least = height if height <= tree.root.height else 10**6
        opened = _opened(tree, lambda b, level: b.rank > least or b in asked, kept)  # noqa: B023
        if opened != before:
            folded = Folded(tree, opened, True, False, asked, kept)
            boxes = sum(u.box is not None for u in folded.units)
            leaves = sum(u.box is None and tree.record.tensors[u.id].op is None for u in folded.units)
            yield folded if leaves <= boxes else Folded(tree, opened, True, True, asked, kept)
        before = opened


def closing(folded: Folded) -> Iterator[Folded]:
    """The same with more and more closed, from the inside; what was asked for stays open."""
    yield from _closing(folded.tree, folded.asked, folded.kept)


def _as_one(tree: Tree) -> Tree:
    """All that was computed as one box."""
    one: Tree = object.__new__(Tree)
    one.__dict__.update(vars(tree))
    root = tree.root
    name = root.name or "all"
    inside = Box(name, root.kind, "all", root.parts, root.scope, 1, root.stretches)
    one.root = Box("", "", "", (inside,), (), 1, root.stretches)
    one.twin = {}
    one.place = {}
    return one
