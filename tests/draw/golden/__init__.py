"""Pictures as they should be, byte for byte. After a change that is meant, write them anew and look at what git shows:

python -m tests.draw.golden
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tinygrad_norm.engine import scope
from tinygrad_norm.graph import Folded, Graph, graph
from tinygrad_norm.norms import batch_norm, group_norm, layer_norm, rms_norm, softmax

from ..samples import UGLY_NAMES, leaf, modules, square, transformer_block

PLACE = Path(__file__).parent


def ugly_names() -> Graph:
    """Each name on a leaf, on what is made from it, and on the scope around it."""
    y = leaf("x", 3)
    for name in UGLY_NAMES:
        with scope(name):
            y = (y * leaf(name, 3)).named(name)
    return graph(y)


GRAPHS: dict[str, Callable[[], Graph]] = {
    "layer_norm": lambda: graph(layer_norm(leaf("x", 8, 64), 64, leaf("γ", 64), leaf("β", 64))),
    "rms_norm": lambda: graph(rms_norm(leaf("x", 8, 64), 64, leaf("γ", 64))),
    "batch_norm": lambda: graph(batch_norm(leaf("x", 8, 5), None, None, leaf("γ", 5), leaf("β", 5), training=True)),
    "softmax": lambda: graph(softmax(leaf("x", 8, 64), -1)),
    "group_norm": lambda: graph(group_norm(leaf("x", 2, 6, 4, 4), 3, leaf("γ", 6), leaf("β", 6))),
    "square": square,
    "transformer_block": lambda: transformer_block().fold(),
    "modules": lambda: modules().fold(3),
    "ugly_names": ugly_names,
}


def _as_it_is(g: Graph) -> dict[str, bool]:
    return {} if isinstance(g, Folded) else {"fold": False}


FORMS: dict[str, Callable[[Graph], str]] = {  # one line for each kind of file
    "dot": lambda g: g.to_dot(**_as_it_is(g)),
    "svg": lambda g: g.to_svg(**_as_it_is(g)),
}


def pictures() -> Iterator[tuple[Path, bytes]]:
    """Each golden file, and what belongs in it."""
    for name, make in GRAPHS.items():
        for suffix, write in FORMS.items():
            yield PLACE / f"{name}.{suffix}", write(make()).encode()
