"""What stands for a letter or a function in a typed formula: x̂, xhat, x_hat; σ², sigma^2, var; Σ, sum."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ..graph.table import ascii_text
from .tree import Letter

ALONG = {"mean": "mean", "sum": "sum", "Σ": "sum", "max": "max", "amax": "max"}
SOFT = ("softmax", "log_softmax", "logsumexp")
ONE_BY_ONE = {f: f for f in ("exp", "log", "tanh", "sin", "cos", "erf", "abs", "sign", "sigmoid", "softplus")} | {
    "σ": "sigmoid",
    "ln": "log",
}
OF_TWO = {"max": "max", "min": "min", "maximum": "max", "minimum": "min"}
FUNCTIONS = tuple(sorted({*ALONG, *SOFT, *ONE_BY_ONE, *OF_TWO, "sqrt", "relu"}, key=len, reverse=True))
SUPER = dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
_LIKE = str.maketrans(
    {"∑": "Σ", "µ": "μ", "ϵ": "ε", "×": "·", "⋅": "·", "∙": "·", "•": "·", "÷": "/", "–": "−", "—": "−", "\t": " ", "\u00a0": " "}
)
SIGNS = {">": ">", "≥": "≥", ">=": "≥", "=": "=", "==": "=", "≠": "≠", "!=": "≠", "<": "<", "≤": "≤", "<=": "≤"}
OPERATORS = ("**", ">=", "<=", "==", "!=", *"+-−·*/^()[],;|√=<>≥≤≠\n")
NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Known:
    """What a text may speak of.

    letters:  by name
    axes:     outermost first; ``last`` those that a Σ without a subscript is over
    called:   other names of letters, such as ``weight`` for γ
    """

    letters: Mapping[str, Letter]
    axes: Sequence[str]
    last: Sequence[str]
    called: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def spellings(self) -> dict[str, str]:
        """Names of letters by all that stands for them, the longest first; what would stand for two stands for none."""
        found: dict[str, set[str]] = {}
        for name in self.letters:
            for text in _spellings(name):
                found.setdefault(text, set()).add(name)
        for text, name in self.called.items():
            if name in self.letters:
                found.setdefault(flat(text), set()).add(name)
        own = {flat(name): name for name in self.letters}
        made = {text: next(iter(names)) for text, names in found.items() if len(names) == 1 and text not in FUNCTIONS} | own
        return {text: made[text] for text in sorted(made, key=len, reverse=True)}

    def told(self) -> str:
        return ", ".join([*self.letters, *(a for a in self.axes if a not in self.letters)])


def flat(text: str) -> str:
    return unicodedata.normalize("NFD", text.translate(_LIKE))


def _spellings(name: str) -> Iterable[str]:
    """x̂ is also xhat and x_hat; σ² is sigma^2, sigma**2, sigma2, var; ‖v‖ is ||v|| and norm(v)."""
    plain = flat(name)
    yield plain
    yield plain.replace("‖", "||")
    if name.startswith("‖") and name.endswith("‖"):
        yield f"norm({ascii_text(name[1:-1])})"
    spelled = ascii_text(name)
    if "|" in spelled or "?" in spelled:
        return
    forms = {spelled, spelled.replace("hat", "_hat"), spelled.replace("_", "")}
    forms |= {f.replace("^", by) for f in forms for by in ("**", "")}
    forms |= {f.replace("eps", "epsilon") for f in forms}
    yield from sorted(forms | ({"var"} if name == "σ²" else {"dvar"} if name == "dσ²" else set()))


def in_word(c: str) -> bool:
    return c not in SUPER and (c.isalnum() or c in "_′'" or bool(unicodedata.combining(c)))


def ends(text: str, end: int, name: str) -> bool:
    """Whether a name that stands before ``end`` is not the beginning of a longer one."""
    return end >= len(text) or (not (in_word(name[-1]) and in_word(text[end])) and not unicodedata.combining(text[end]))


def word_in(text: str) -> Iterable[str]:
    for c in text:
        if not in_word(c):
            return
        yield c
