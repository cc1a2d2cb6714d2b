"""Whether what a function asks of a dtype makes a difference: there are few dtypes, and in each of them its record must be the same.

The same but for casts, and for constants that are rounded to the dtype: ``h.to(x.dtype)`` is, ``2 if x.dtype == np.float16 else 1``
is not, nor is ``np.finfo(x.dtype).eps``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..engine import Tensor, TinygradNormError, history
from .questions import Heard, listen
from .watching import joined, watching

DTYPES = tuple(dict.fromkeys(np.dtype(c).name for c in "d" + np.typecodes["AllFloat"] + np.typecodes["AllInteger"] + "?"))
_MOST = 2  # tensors that are asked; of more, what they ask is said

Run = Callable[[Mapping[str, Any]], "tuple[Tensor, Sequence[Tensor]]"]
"""With these dtypes by name: what comes out, and the inputs."""


def said_of(heard: Heard, inputs: Mapping[str, Tensor], run: Run) -> list[str]:
    """What was asked, without what was asked of dtypes where that makes no difference.

    inputs:  as they were in float64, by name
    """
    of_dtypes = [text for text in heard.said if ": its dtype (" in text]
    if not of_dtypes:
        return heard.said
    names = list(inputs)
    asked = [names[k] for k in _which(heard, list(inputs.values()))]
    rest = [text for text in heard.said if text not in of_dtypes]
    return rest if is_same_in_all(run, names, asked, heard.said) else heard.said


def is_same_in_all(run: Run, names: Sequence[str], asked: Sequence[str], said: Iterable[str]) -> bool:
    """Whether the record is the same whatever the dtypes of these inputs are, and nothing else is asked in one of them.

    asked:  of which of the inputs
    said:   what was asked in float64
    """
    if len(asked) > _MOST:
        return False
    try:
        return _compared(run, names, asked, set(said))
    except Exception:  # what its own lines raise in another dtype
        return False


def _compared(run: Run, names: Sequence[str], asked: Sequence[str], said: set[str]) -> bool:
    first = _recorded(run, dict.fromkeys(asked, "float64"))
    if first is None or not set(first[1].said) <= said:
        return False
    for dtypes in product(DTYPES, repeat=len(asked)):
        other = _recorded(run, dict(zip(asked, dtypes)))
        if other is None:
            continue
        beyond = not {names[k] for k in _which(other[1], other[2])} <= set(asked)
        if beyond or not (_alike(first[0], other[0]) and set(other[1].said) <= said):
            return False
    return True


def _which(heard: Heard, inputs: Sequence[Tensor]) -> list[int]:
    """The inputs whose dtype was asked: all of them where it was that of what was computed."""
    if any(all(x is not t for t in inputs) for x in heard.dtypes):
        return list(range(len(inputs)))
    return [k for k, t in enumerate(inputs) if any(t is x for x in heard.dtypes)]


def _recorded(run: Run, dtypes: Mapping[str, Any]) -> tuple[list[Any], Heard, Sequence[Tensor]] | None:
    """The record in plain words; None where there is none in these dtypes."""
    try:
        with watching() as made, np.errstate(all="ignore"):
            (found, inputs), heard = listen(lambda: run(dtypes))
        with joined(made):
            return _plain(found, inputs), heard, inputs
    except TinygradNormError:
        return None


def _plain(found: Tensor, inputs: Sequence[Tensor]) -> list[Any]:
    known: dict[Tensor, Any] = {t: ("input", k) for k, t in enumerate(inputs)}
    lines: list[Any] = []
    of_reals = all(t.dtype.kind in "fc" for t in inputs)
    for t in history(found):
        if t in known:
            continue
        if (
            t.op is not None and t.op.name == "astype" and (t.dtype.kind in "fc" or not of_reals)
        ):  # what cuts reals is no rounding
            known[t] = known[t.inputs[0]]
            continue
        known[t] = ("line", len(lines))
        if t.op is None:
            lines.append(t.data)
        else:
            operands = [known[x] if isinstance(x, Tensor) else x for x in t.inputs]
            lines.append((t.op.name, operands, sorted((n, repr(v)) for n, v in t.params.items())))
    return [*lines, known[found]]


def _alike(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    for a, b in zip(one, other):
        if isinstance(a, np.ndarray) != isinstance(b, np.ndarray):
            return False
        if isinstance(a, np.ndarray):
            with np.errstate(all="ignore"):
                if a.shape != b.shape or not np.array_equal(a.astype(b.dtype) if b.dtype.kind in "fc" else a, b):
                    return False
        elif a != b:
            return False
    return True
