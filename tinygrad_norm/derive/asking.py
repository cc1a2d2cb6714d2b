"""``tn.derive``, before any algebra is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engine import Tensor
    from ..norms import Norm
    from .derivation import Derivation


def derive(
    norm: str | Norm | Callable[..., Tensor],
    wrt: str | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    shape: tuple[int, ...] | None = None,
    order: int = 1,
    backward: str = "recorded",
    lemmas: Sequence[str] = (),
    seed: int = 0,
    form: str = "auto",
    **options: Any,
) -> Derivation:
    """The gradient's formula, derived from the record line by line, every line checked in numbers.

    norm:      a registered name, a ``Norm``, or any forward recorded from elementwise operations, sums and means
    wrt:       the input, by its name or its symbol; by default the first
    inputs:    for a forward of your own: the names of each input's axes, ``{"x": ("B", "N"), "w": ("N",)}``, or arrays
    shape:     of the input that is drawn. The formula holds for every shape; sizes should differ, so that they can be told apart
    order:     2 differentiates the gradient once more: Σ v·dx, for a random v
    backward:  "analytic" reads the hand-derived node's own rule instead of the record
    lemmas:    what else is known of a sum, as ``"Σ_N(q) = 1"``: of an input it is made true of the numbers, else it is checked
               against them; it is not proved
    form:      "closed" for one line, "staged" for a line for each gradient on the way; "auto" takes what costs less, then the shorter
    options:   the norm's own, such as ``eps``

    Raises ``NotSymbolicError`` for an operation that has no formula over named axes (a product of matrices, a cumulative sum over an
    axis, an index), naming it and the line that recorded it; ``DerivationError`` for a question that cannot be answered.
    """
    from .deriving import derive_now

    return derive_now(norm, wrt, inputs, shape, order, backward, lemmas, seed, options, form)
