"""Names of scopes: where a module stands in the one that was called first, ``blocks.3.attn.q``.

The tree is walked once, in the order of ``named_modules``, and again when what it said is no longer so: a path comes with
the links it leads along (an attribute, an entry of a list or a dict), and each is looked at before the path is used. So
nothing has to be told when a module is put elsewhere, and a call costs a look-up instead of a walk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from ..engine.state import Entered

Links = tuple[tuple[Any, Any, Any], ...]
"""From the outside in: a namespace, a list or a dict; an index or a key; and what was there."""


class Called(Entered):
    """The scope of one call of a module: its path; for the outermost, and for one that is no part of it, its class."""

    __slots__ = ("given", "kind")
    kind: str
    given: dict[int | str, int]  # of the outermost, the births of the leaves that it was called with


class _Calls(threading.local):
    root: Any = None  # the outermost module that is being called in this thread
    walked = False  # whether its tree has been walked during this call


calls = _Calls()


def inside(name: str, holder: Any, key: Any, links: Links = ()) -> Iterator[tuple[str, Any, Links]]:
    """What an attribute holds, by the key that ``state_dict`` has for it: itself, or what is in its lists and dicts."""
    value = holder[key]
    links = (*links, (holder, key, value))
    if isinstance(value, dict):
        for k in value:
            yield from inside(f"{name}.{k}", value, k, links)
    elif isinstance(value, (list, tuple)):
        for i in range(len(value)):
            yield from inside(f"{name}.{i}", value, i, links)
    else:
        yield name, value, links


def path_of(module: Any) -> str:
    """How the scope of a module is called: its path in the outermost; where it is no part of that, its class."""
    root = calls.root
    found = getattr(root, "_paths", {}).get(id(module))
    if found is not None and _holds(found[1]):
        return found[0]  # type: ignore[no-any-return]
    if not calls.walked:
        calls.walked, root._paths = True, _walk(root)
        return path_of(module)
    return type(module).__name__


def _holds(links: Links) -> bool:
    try:
        for holder, key, value in links:
            if holder[key] is not value:
                return False
    except (LookupError, TypeError):
        return False
    return True


def _walk(root: Any) -> dict[int, tuple[str, Links]]:
    """The first path to each module of a tree."""
    found: dict[int, tuple[str, Links]] = {id(root): (type(root).__name__, ())}
    waiting = [("", root, ())]
    while waiting:
        prefix, module, links = waiting.pop()
        parts = []
        for name, part, more in module._linked_parts():
            if id(part) not in found:
                parts.append((f"{prefix}{name}.", part, links + more))
                found[id(part)] = (prefix + name, links + more)
        waiting += reversed(parts)
    return found
