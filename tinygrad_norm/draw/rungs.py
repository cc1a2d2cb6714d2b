"""What a ladder shows, rung by rung: a forward value, its gradient, and who reads what. Shared by picture and text."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from ..graph import Edge, Folded, Node, Record
from ..graph.reads import Reads, reads
from ..graph.table import ascii_text, table
from .palette import DrawingError
from .terminal import _cut
from .text import cards, clean, shorten

MOST = 40
LONGEST = 26  # shares that fit on one line
SHARES = 4  # lines of them


@dataclass(frozen=True)
class Rung:
    """A forward value and, where something flows back to it, its gradient.

    role:    the node's, or that of the leaf it is a view of
    state:   "given" (a leaf, or a view of one), "kept" (computed, and read on the way back) or "dropped" (computed, and not)
    made:    its formula, where that is not its label
    remark:  what else there is to say
    back:    the name of its gradient, or None; ``shares`` is what that is the sum of
    """

    node: Node
    label: str
    shape: str
    whole: str
    role: str
    state: str
    made: str
    remark: str
    back: str | None
    shares: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(line for line in (self.made, self.remark) if line)


@dataclass(frozen=True)
class Rungs:
    """All rungs from top to bottom, and who is tied to whom, by their places in ``rows``.

    forward:   (from, to) for each value that another is made of
    backward:  (from, to) for each gradient that another is made of
    read:      for each value that is read on the way back, the rungs whose gradient is computed from it
    """

    graph: Record
    reads: Reads
    rows: tuple[Rung, ...]
    forward: tuple[tuple[int, int], ...]
    backward: tuple[tuple[int, int], ...]
    read: dict[int, tuple[int, ...]]

    @property
    def notes(self) -> list[str]:
        """What is kept; where boxes stand for several operations, how many."""
        boxes = isinstance(self.graph, Folded) and any(n.op == "fold" for n in self.graph.nodes)
        folded = [f"{clean(self.graph.note)}."] if boxes and isinstance(self.graph, Folded) else []
        return [f"{clean(self.reads.note)}.", *folded]


def rungs_of(graph: Record) -> Rungs:
    """Computed values in birth order, each leaf above what uses it first.

    ``DrawingError`` for more than 40 nodes; raises as ``reads`` does.
    """
    if len(graph.nodes) > MOST:
        raise DrawingError(
            f"ladder: {len(graph.nodes)} nodes are more rungs than the {MOST} that can be looked at. Fold it: graph.fold(1), "
            "save(..., fold=1) or --fold 1; or take the graph of a part."
        )
    asked = reads(graph)
    box = graph.box if isinstance(graph, Folded) else {i: i for i in range(len(graph.nodes))}
    source = {key: box[asked.graph.ids[asked.graph.tensors[key[0]].inputs[key[1]]]] for key in asked.edges}
    runs = {
        (box[target], source[target, position]) for target, position in asked.edges if box[target] != source[target, position]
    }
    flows = {box[asked.graph.ids[graph.output]], *source.values()}

    first: dict[int, int] = {}
    for e in graph.edges:  # edges come in their targets' order
        first.setdefault(e.source, e.target)
    order = sorted(graph.nodes, key=lambda n: (n.id, 1, 0) if n.op is not None else (first.get(n.id, n.id), 0, n.id))
    place = {n.id: row for row, n in enumerate(order)}
    shares: dict[int, list[str]] = {}
    for e in graph.edges:
        if (e.target, e.source) in runs and e.rule != "no gradient":
            shares.setdefault(e.source, []).append(_share(graph, e))
    made = cards(graph)
    rows = []
    for n in order:
        card = made[n.id]
        formula = card.lines[0] if len(card.lines) > 1 else ""
        role, state, remark = _state(graph, asked, n)
        last = n.id == box[asked.graph.ids[graph.output]]
        back = shorten(_d(n)) if n.id in flows else None
        said = ("the seed: given",) if last else _sum(shares.get(n.id, []))
        rows.append(Rung(n, card.label, card.lines[-1], card.whole, role, state, formula, shorten(remark), back, said))

    read: dict[int, set[int]] = {}
    for key, ids in asked.edges.items():
        for i in ids:
            owner = asked.memory[i]
            if isinstance(graph, Folded) and asked.graph.tensors[owner].op is None:
                i = owner  # a view of what is given, somewhere in a box, is read from there
            read.setdefault(place[box[i]], set()).add(place[source[key]])
    return Rungs(
        graph,
        asked,
        tuple(rows),
        tuple(sorted({(place[e.source], place[e.target]) for e in graph.edges})),
        tuple(sorted((place[a], place[b]) for a, b in runs)),
        {row: tuple(sorted(who)) for row, who in sorted(read.items())},
    )


def _state(graph: Record, asked: Reads, n: Node) -> tuple[str, str, str]:
    """Its role in the picture, its state, and what there is to say to that. A view of what is given costs nothing."""
    members = graph.members[n.id] if isinstance(graph, Folded) else (n.id,)
    names, memory = asked.graph.nodes, asked.memory
    if all(names[memory[i]].op is None for i in members):
        origin = names[memory[members[-1]]]
        return origin.role, "given", origin.role if n.op is None else f"a view of {clean(origin.label)}"
    found = {*asked.kept, *asked.cached}
    kept = [i for i in members if i in found and names[memory[i]].op is not None]
    state = "kept" if kept else "dropped"
    if len(members) > 1:
        return n.role, state, f"keeps {', '.join(clean(names[i].label) for i in kept)}" if kept else ""
    origin = names[memory[members[0]]]
    return n.role, state, "" if origin.id == members[0] else f"a view of {clean(origin.label)}"


def _d(n: Node) -> str:
    """What its gradient is called: dx̂, d(c²); that of a box is that of what leaves it."""
    if n.op == "fold":
        text = clean(n.text)
        return f"d({text})" if " " in text else f"d{text}"
    label = clean(n.label)
    formula = n.op is not None and n.tensor.name is None and n.label == n.text
    return f"d({label})" if formula else f"d{label}"


def _share(graph: Record, e: Edge) -> str:
    """What one edge hands back: ``dx̂ ×rstd``, ``Σ(dx̂ ×c)``, ``dy @ W2ᵀ``, ``dy [softmax]`` where the rule is no factor."""
    target = graph.nodes[e.target]
    d, rule = _d(target), clean(e.rule)
    if rule == "×1":
        share = d
    elif not rule:
        share = f"{d} [{clean(target.label if target.op == 'fold' else target.op or '')}]"
    else:
        share = f"{rule} {d}" if rule.endswith("@") else f"{d} {rule}"
    return f"Σ({share})" if e.summed and share != d else f"Σ {share}" if e.summed else share


def _sum(shares: list[str]) -> tuple[str, ...]:
    """``= a + b`` in as many lines as it takes, up to four."""
    lines: list[list[str]] = []
    for k, share in enumerate(shares):
        term = f"+ {share}" if k else f"= {share}"
        if lines and len(" ".join(lines[-1])) + len(term) < LONGEST:
            lines[-1].append(term)
        else:
            lines.append([term])
    if len(lines) > SHARES:
        lines[SHARES - 1 :] = [[f"+ {sum(map(len, lines[SHARES - 1 :]))} more"]]
    return tuple(map(" ".join, lines))


def ladder_text(graph: Record, width: int = 80, ascii: bool = False) -> str:
    """The ladder as text: each value, whether it is kept, and the gradients computed from it. At most ``width`` columns wide.

    Raises as ``ladder`` does. ``ascii`` spells everything out.
    """
    rungs = rungs_of(graph)
    spell = ascii_text if ascii else str
    rows = []
    for k, r in enumerate(rungs.rows):
        formula = f"{r.label} = {r.made}" if r.made else r.label
        kept = {"given": "given", "dropped": "no"}.get(r.state, "yes")
        remark = f", {r.remark}" if r.node.op is not None and r.remark else ""
        who = ", ".join(rungs.rows[j].back or "" for j in rungs.read.get(k, ()))
        rows.append((_cut(spell(formula), 36, ascii), spell(r.shape), spell(kept + remark), who))
    text = table(("forward", "shape", "kept?", "read by"), rows, ascii=ascii)
    notes = [part for note in rungs.notes for part in textwrap.wrap(spell(note), width)]
    return "\n".join(_cut(line, width, ascii) for line in (*text.splitlines(), "", *notes))
