"""What the letters in a verdict's sentences are, where not everybody writes them so."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..graph import Graph, axis_names
from .line import KNOWN

_MOST = 6  # letters that are explained


def legend(graph: Graph | None, lines: Sequence[str]) -> list[str]:
    """A line that says what is on the record under these names, and which axes are meant by B, N or H; none where all is plain."""
    if graph is None or not lines:
        return []
    text = "\n".join(line for line in lines if not line.startswith("line "))
    told: dict[str, str] = {}
    nodes = [n for n in graph.nodes if n.tensor.op is not None and n.label not in KNOWN and n.label != n.text and n.label != "y"]
    for node in reversed(nodes):  # what is said of one may name another, which is older
        if len(told) < _MOST and _occurs(node.label, "\n".join((text, *told.values()))) and f"{node.label} = " not in text:
            told[node.label] = node.text
    said = [f"{label} = {words}" for label, words in reversed(told.items())]
    ndim = max((t.ndim for t in graph.tensors), default=0)
    used = "".join(dict.fromkeys("".join(re.findall(r"(?:Σ|mean|max)_([A-Z]+)", text))))
    named = [(a, k) for k, a in enumerate(axis_names(min(ndim, 5))) if a in used]
    if named:
        letters, places = zip(*named)
        said.append(f"{', '.join(letters)}: ax{'i' if len(named) == 1 else 'e'}s {', '.join(map(str, places))}")
    if re.search(r"[ (_·]K[HWN,) ·]", text):
        said.append("K: the channels of a group")
    return [f"where {'; '.join(said)}"] if said else []


def _occurs(label: str, text: str) -> bool:
    return re.search(rf"(?<![\w‖²]){re.escape(label)}(?![\w‖²³\u0302])", text) is not None
