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
    nodes = [
        n
        for n in graph.nodes
        if n.tensor.op is not None
        and n.label not in KNOWN
        and n.label != n.text
        and n.label != "y"
        and f"channel {n.label} " not in text
        and not re.search(r"(?<![A-Za-z])t\d+\b", n.text)
    ]
    for node in reversed(nodes):  # what is said of one may name another, which is older
        if len(told) < _MOST and _occurs(node.label, "\n".join((text, *told.values()))) and f"{node.label} = " not in text:
            told[node.label] = node.text
    said = [f"{label} = {words}" for label, words in reversed(told.items())]
    ndim = max((t.ndim for t in graph.tensors if t.op is None), default=0)
    alone = re.findall(r"(?<![A-Za-z_])[A-Z](?![A-Za-z_])", re.sub(r"route [A-Z]|ax[ei]s? [\d, ]+\([^)]*\)", "", _words(lines)))
    used = "".join(dict.fromkeys("".join((*re.findall(r"(?:Σ|mean|max)_([A-Z]+)", text), *alone))))
    count = re.search(r"\bN/\(N|\bN − 1|\bN counts", text) is not None
    used = used.replace("N", "") if count else used
    used = "".join(a for a in used if not re.search(rf"(?<![A-Za-z_]){a} = \d", text))  # it says so itself
    named = [(a, k) for k, a in enumerate(axis_names(min(ndim, 5))) if a in used]
    if named:
        letters, places = zip(*named)
        said.append(f"{', '.join(letters)}: ax{'i' if len(named) == 1 else 'e'}s {', '.join(map(str, places))}")
    if count and "N = " not in text:
        said.append("N: how many numbers a mean is over")
    if "G" in used:
        said.append("G: the number of groups")
    if re.search(r"[ (_·]K[HWN,) ·]", text):
        said.append("K: the channels of a group")
    return [f"where {'; '.join(said)}"] if said else []


def _words(lines: Sequence[str]) -> str:
    """The sentences, and what is said of a line of source without that line."""
    return "\n".join(line.split("`: ")[-1] if line.startswith("line ") else line for line in lines)


def _occurs(label: str, text: str) -> bool:
    return re.search(rf"(?<![\w‖²]){re.escape(label)}(?![\w‖²³\u0302])", text) is not None
