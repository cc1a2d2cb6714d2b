"""Opened when first asked for: the names of the package that are not needed to record and differentiate, and what one room
does for an earlier one. All such loans stand here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

NAMES: dict[str, str] = {
    **dict.fromkeys(("GradientMismatchError", "assert_backward", "check", "check_grads", "compare", "strength"), "check"),
    "data": "data",
    "derive": "derive",
    "draw": "draw",
    "functional": "functional",
    "graph": "graph",
    "kernel": "compile",
    "learn": "learn",
    "nn": "nn",
    "norms": "norms",
    "optim": "optim",
    "to_jax": "compile",
    "train": "train",
    **dict.fromkeys(("Norm", "register"), "norms"),
}
"""The package's names that open a room, or a file, and which."""

LENDERS: dict[str, tuple[str, ...]] = {"graph": ("compile", "derive", "draw"), "norms": ("compile",)}
"""The rooms that, when imported, teach an earlier one something: graphs to be drawn and written for elsewhere, and routes to have formulas; norms to be compiled."""

_ours = __name__.rpartition(".")[0]


def open_lenders(room: str) -> None:
    """Import what lends something to this room."""
    for lender in LENDERS[room]:
        import_module(f"{_ours}.{lender}")


class Package(ModuleType):
    """The package, in which some functions have the name of their room. ``tinygrad_norm.check`` is the function, in whatever
    order things are imported, and has the room's names as attributes, so that ``import tinygrad_norm.check.explanations`` holds."""

    def __setattr__(self, name: str, value: Any) -> None:
        function = vars(value).get(name) if isinstance(value, ModuleType) else None
        if callable(function):  # importing the room ends in this
            function.__dict__ = vars(value)
            value = function
        super().__setattr__(name, value)


def lend(package: str, names: list[str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of the package, whose public names these are."""
    module = sys.modules[package]
    module.__class__ = Package

    def get(name: str) -> Any:
        if name not in NAMES:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        room = import_module(f"{package}.{NAMES[name]}")
        value = vars(module).get(name)  # the room itself, or the function that has its name
        if value is None:
            value = getattr(room, name)
            setattr(module, name, value)
        return value

    return get, lambda: sorted({*vars(module), *names, *NAMES})
