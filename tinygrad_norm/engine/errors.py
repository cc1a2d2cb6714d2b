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


class speaking_as:
    """Inside, an error of ours names this operation, whichever one inside found the fault."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, TinygradNormError):
            raise type(error)(f"{self.name}: {str(error).partition(': ')[2]}") from None


def describe(value: object) -> str:
    """An operand or an option as messages name it, in one short line and whatever it is: ``γ (64,) float32``; a number, a word
    or a short list is just itself."""
    try:
        return _line(value, True)
    except Exception:  # what fails to say what it is
        return f"‹{type(value).__name__}›"


def _line(value: object, inside: bool) -> str:
    if isinstance(value, type) or type(value).__name__ in _NAMED:
        return f"{type(value).__name__} {getattr(value, '__name__', '')}"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if type(value).__name__.endswith("DType"):
        return _short(str(value))
    if isinstance(shape, tuple) and dtype is not None:
        name = getattr(value, "name", None)
        return f"{_short(name) + ' ' if isinstance(name, str) and name else ''}{tuple(shape)} {_short(str(dtype))}"
    text = repr(value)
    if len(text) <= 80 and "\n" not in text and " at 0x" not in text:
        return text
    if isinstance(value, str):
        return f"'{_short(value)}'"
    text = ", ".join([_line(v, False) for v in value]) if inside and isinstance(value, (list, tuple)) and len(value) < 9 else ""
    if 0 < len(text) < 79:
        return f"[{text}]" if isinstance(value, list) else f"({text})"
    size = f" of {len(value)}" if isinstance(value, (list, tuple, dict, set)) else ""
    return f"‹{type(value).__name__}{size}›"


_NAMED = ("function", "builtin_function_or_method", "module", "method", "ufunc")


def _short(text: str) -> str:
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= 60 else text[:60] + "…"
