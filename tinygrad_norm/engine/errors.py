"""What can go wrong, by name. Every message says: the operation, the operands, the likely fix."""

from __future__ import annotations


class TinygradNormError(Exception):
    """The root of every error this package raises on purpose."""


class ShapeError(TinygradNormError, ValueError):
    """Shapes that do not fit: operands that do not broadcast, a cotangent of another shape."""


class DTypeError(TinygradNormError, TypeError):
    """A dtype that cannot do what was asked: integers with gradients, a float64 seed for float32."""


class OptionError(TinygradNormError, ValueError):
    """An option's value that is none of those it can have."""


class GradientError(TinygradNormError, RuntimeError):
    """A gradient that does not exist or would be wrong."""


class UnreachableError(GradientError):
    """The output does not depend on that input, as far as the record shows."""


class MissingPullbackError(GradientError):
    """An op was recorded that has no backward rule."""


class InPlaceError(GradientError):
    """Recorded data was, or would be, overwritten: the gradient would be that of other numbers."""


class HistoryLostError(TinygradNormError, TypeError):
    """NumPy would have computed on the bare array, and the record would have ended there."""


class HistoryLostWarning(UserWarning):
    """A recorded tensor was made a plain number: nothing flows back through that."""


def describe(value: object) -> str:
    """An operand as error messages name it: ``γ (64,) float32``; a number, a word or a short list is just itself."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if not isinstance(shape, tuple):
        text = repr(value)
        return text if len(text) <= 80 and "\n" not in text and " at 0x" not in text else f"‹{type(value).__name__}›"
    name = getattr(value, "name", None)
    return f"{name + ' ' if name else ''}{shape} {dtype}"
