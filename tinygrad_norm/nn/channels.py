"""What modules for (N, C, *) have in common: they take certain inputs only, and may count the batches."""

from __future__ import annotations

from collections.abc import Mapping

from ..engine import DTypeError, ShapeError, Tensor, describe
from ..engine.arguments import floating
from .module import Module


class PerChannel(Module):
    """A layer with numbers for each of ``num_features`` channels. ``ShapeError`` for an input with other axes or channels."""

    num_features: int
    forms: Mapping[int, str]  # the inputs it takes, by their number of axes; after one that ends in "*)", any with more
    num_batches_tracked: Tensor | None

    def _admit(self, input: Tensor) -> tuple[Tensor, bool]:
        """The input, and whether its first axis is the batch."""
        name = type(self).__name__
        x = floating(input, name)
        more = max(self.forms)
        found = self.forms.get(x.ndim, self.forms[more] if x.ndim > more and self.forms[more].endswith("*)") else None)
        if found is None:
            expected = " or ".join(f"{n}D" + " or more" * form.endswith("*)") for n, form in self.forms.items())
            siblings = f", or take another of {name[:-2]}1d, 2d, …" if name[-2:] in ("1d", "2d", "3d") else ""
            raise ShapeError(
                f"{name}: input {describe(x)}: expected {expected} input (got {x.ndim}D input): {' or '.join(self.forms.values())}. "
                f"Reshape it{siblings}."
            )
        batched = found.startswith("(N")
        check_channels(name, x, self.num_features, 1 if batched else 0)
        return x, batched

    def _real(self, x: Tensor) -> None:
        """``DTypeError`` for complex input where running statistics are updated, which are real."""
        if x.dtype.kind == "c":
            raise DTypeError(
                f"{type(self).__name__}: input {describe(x)} in training: running statistics are real. Give real input, or call eval()."
            )

    def _count(self, x: Tensor) -> None:
        """One batch more, if batches are counted and this one is not empty."""
        if self.num_batches_tracked is not None and x.size:
            self.num_batches_tracked.data = self.num_batches_tracked.data + 1


def check_channels(name: str, x: Tensor, channels: int, axis: int = 1) -> None:
    """``ShapeError`` unless the input has as many channels as the layer was made for."""
    if x.shape[axis] != channels:
        raise ShapeError(
            f"{name}: input {describe(x)} has {x.shape[axis]} channels (axis {axis}), the layer was made for {channels}. Channels come "
            "before the places: transpose the input if they are last, or make the layer for as many as it has."
        )
