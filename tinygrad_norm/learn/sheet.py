"""A page to print: the family in formulas, forward and backward, every backward from its derivation."""

from __future__ import annotations

from html import escape

from ..derive import derive
from ..norms import get

FAMILY = (
    "layer_norm", "rms_norm", "batch_norm", "group_norm", "instance_norm", "power_norm_v", "scale_norm", "normalize", "detach_norm",
    "dynamic_tanh", "weight_norm", "weight_standardization", "softmax", "cross_entropy",
)  # fmt: skip
_STYLE = """
@page { size: A4; margin: 12mm }
body { font: 9.5pt/1.35 "DejaVu Sans", "Segoe UI", Arial, sans-serif; color: #000; background: #fff; max-width: 186mm; margin: 4mm auto }
h1 { font-size: 14pt; margin: 0 0 1mm }
p { margin: 0 0 2mm }
section { break-inside: avoid; border-top: .3mm solid #888; padding: .8mm 0 }
h2 { font-size: 10pt; margin: 0; display: inline }
code { font: inherit; white-space: pre-wrap }
.forward { color: #333 }
.backward { margin-left: 6mm }
"""


def lines(name: str) -> list[str]:
    """The gradients of a norm, as ``derive`` writes them. Those of what is no number (a class) are left away."""
    norm = get(name)
    draws = set(norm.draw)
    wanted = [n for n in ("input", *norm.parameters(norm.shape)) if n == "input" or n not in draws]
    return [str(derive(name, wrt=n).formula) for n in wanted]


def sheet() -> str:
    """The page, as HTML that needs nothing else."""
    parts = []
    for name in FAMILY:
        norm = get(name)
        back = "\n".join(f'<div class="backward"><code>{escape(line)}</code></div>' for line in lines(name))
        parts.append(
            f'<section><h2>{escape(norm.title)}</h2> <span class="forward"><code>{escape(norm.formula)}</code></span>\n{back}\n</section>'
        )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Normalization, forward and backward</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>Normalization, forward and backward</h1>\n"
        "<p>dy is the gradient that comes from behind; x̂ what is normalized; rstd = 1/√(σ² + ε). mean and Σ run over the axes that were "
        "normalized; an index names others: B the samples, N the entries or places, K the channels of a group, T time. Every backward "
        "here was derived from the record of the forward.</p>\n" + "\n".join(parts) + "\n</body></html>\n"
    )
