"""What ``tn.derive`` and ``equals`` are asked with, before anything is recorded: of the right kind, or an error that says what is."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from ..engine import describe
from .errors import DerivationError

FORMS = ("auto", "closed", "staged")
_MOST = 2**24  # numbers of a shape


def check_arguments(
    wrt: Any = None, inputs: Any = None, shape: Any = None, order: Any = 1, lemmas: Any = (), seed: Any = 0, form: Any = "auto"
) -> None:
    """Raises ``DerivationError`` for the first that cannot be meant."""
    if not (wrt is None or isinstance(wrt, str)):
        raise DerivationError(f"derive: wrt={describe(wrt)}; it is the name of an input, such as 'x'.")
    if not _is_whole(order) or order not in (1, 2):
        raise DerivationError(f"derive: order={describe(order)}; it is 1 or 2.")
    if not (isinstance(form, str) and form in FORMS):
        raise DerivationError(f"derive: form={describe(form)}; it is 'auto', 'closed' or 'staged'.")
    if not isinstance(lemmas, (tuple, list)) or not all(isinstance(text, str) for text in lemmas):
        raise DerivationError(f'derive: lemmas={describe(lemmas)}; it is a list of texts, such as ["Σ_N(q) = 1"].')
    if inputs is not None and not isinstance(inputs, Mapping):
        raise DerivationError(f'derive: inputs={describe(inputs)}; name the axes of each, such as {{"x": ("B", "N")}}.')
    if not _is_whole(seed) or seed < 0:
        raise DerivationError(f"derive: seed={describe(seed)}; it is a whole number from 0 on.")
    if shape is not None and not (isinstance(shape, (tuple, list)) and shape and all(_is_whole(n) and n > 0 for n in shape)):
        raise DerivationError(f"derive: shape={describe(shape)}; it is a tuple of sizes, none below 1, such as (7, 11).")
    if shape is not None and prod(map(int, shape)) > _MOST:
        raise DerivationError(
            f"derive: shape={describe(shape)} has more than {_MOST:,} numbers; the formula holds for every shape."
        )


def pairing_of(pairing: Any) -> dict[str, str]:
    """Whose names are names. Raises ``DerivationError``."""
    if pairing is None:
        return {}
    if not isinstance(pairing, Mapping) or not all(isinstance(n, str) for pair in pairing.items() for n in pair):
        raise DerivationError(
            f'equals: pairing={describe(pairing)}; it gives names of inputs here by the names of theirs: {{"weight": "γ"}}.'
        )
    return dict(pairing)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
