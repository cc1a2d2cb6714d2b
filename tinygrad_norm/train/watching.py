"""Looking in: mean, σ and the length of the gradient of what goes through each layer, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..engine import DTypeError, OptionError, Tensor, describe, is_grad_enabled
from ..graph.notebook import bundle
from ..graph.table import bar, harmless, number, table, to_json
from ..nn import Module
from .arguments import module
from .measuring import layers, length
from .plotting import panels, written

_WORDS = {"gradient": "‖gradient‖", "std": "σ", "mean": "mean"}


class Reading(NamedTuple):
    """What was seen of one tensor at one step. gradient: None until a backward pass came by.

    kind:  "activation", a layer's output, or "parameter"; of what is called several times in a step, the last
    """

    step: int
    layer: str
    kind: str
    name: str
    mean: float
    std: float
    gradient: float | None


class Watch:
    """See ``watch``. ``readings``: what was seen, in the order of the calls. ``remove()`` ends it; so does leaving ``with``."""

    def __init__(self, model: Module, every: int, parameters: bool) -> None:
        module("Watch", model)
        self._every, self.step = every, -1
        self._seen: dict[tuple[int, str, str, str], list[Any]] = {}
        self._handles: list[Any] = [model.register_forward_pre_hook(self._begins)]
        self._owned = [(layer, n, p) for layer, own in layers(model).items() for n, p in own] if parameters else []
        self._handles += [
            p.register_hook(self._gradient_of(layer, "parameter", n)) for layer, n, p in self._owned if p.requires_grad
        ]
        for name, part in model.named_modules():
            self._handles.append(part.register_forward_hook(self._output_of(name)))

    @property
    def readings(self) -> list[Reading]:
        return [Reading(*key, *values) for key, values in self._seen.items()]

    def _begins(self, module: Module, args: Any) -> None:
        if not (module.training and is_grad_enabled()):
            return
        self.step += 1
        if self.step % self._every == 0:
            for layer, n, p in self._owned:
                self._note(layer, "parameter", n, p)

    def _on(self, module: Module) -> bool:
        return module.training and is_grad_enabled() and self.step % self._every == 0

    def _note(self, layer: str, kind: str, name: str, t: Tensor) -> None:
        values = np.asarray(t.numpy(), np.float64)
        with np.errstate(all="ignore"):
            self._seen[self.step, layer, kind, name] = [float(values.mean()), float(values.std()), None]

    def _output_of(self, layer: str) -> Callable[..., None]:
        def hook(module: Module, args: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) and output else output
            if self._on(module) and isinstance(first, Tensor) and first.dtype.kind == "f" and first.size:
                name = type(module).__name__
                self._note(layer, "activation", name, first)
                if first.requires_grad:
                    first.register_hook(self._gradient_of(layer, "activation", name))

        return hook

    def _gradient_of(self, layer: str, kind: str, name: str) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            seen = self._seen.get((self.step, layer, kind, name))
            if seen is not None:
                seen[2] = length(gradient.numpy())

        return hook

    def remove(self) -> None:
        """Take all hooks off: nothing is recorded, and nothing is spent, any more. What was seen stays."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    # What it says -----------------------------------------------------------------------------------------------------

    def at(self, step: int) -> list[Reading]:
        """What was seen at a step; −1: the last that was. ``OptionError`` for one that was not."""
        steps = self._steps()
        wanted = steps[-1] if steps and step == -1 else step
        if wanted not in steps:
            known = f"{steps[0]} to {steps[-1]}, every {self._every}" if steps else "none yet: call the model in training"
            raise OptionError(f"watch: step {describe(step)} was not seen; there is {known}.")
        return [r for r in self.readings if r.step == wanted]

    def text(self, step: int = -1, ascii: bool = False) -> str:
        """A step as a table: layer by layer, in the order of the calls, then the parameters."""
        rows = sorted(self.at(step), key=lambda r: r.kind != "activation")
        return f"step {rows[0].step}\n" + table(
            ("layer", "of", "mean", "σ", "‖gradient‖"),
            [(harmless(r.layer or "(all)"), r.name, _shown(r.mean), _shown(r.std), _shown(r.gradient)) for r in rows],
            ascii=ascii,
        )

    def by_depth(self, what: str = "gradient", step: int = -1, ascii: bool = False) -> str:
        """A picture: a bar for each layer's output, in the order of the calls.

        what:  "gradient", "std" or "mean"; gradients are drawn by their logarithm, one column for a factor of √2
        """
        if what not in _WORDS:
            raise OptionError(f'watch: by_depth of {describe(what)}; it is "gradient", "std" or "mean".')
        rows = self._outputs(step)
        values = [getattr(r, what) for r in rows]
        shown = [v for v in values if v is not None and math.isfinite(v) and v]
        top = max(map(abs, shown), default=1.0)

        def drawn(v: float | None) -> str:
            if v is None or not math.isfinite(v) or not v:
                return ""
            share = 1 + math.log2(abs(v) / top) / 20 if what == "gradient" else abs(v) / top
            return "#" * round(40 * max(share, 0)) if ascii else bar(max(share, 0.0), 40)

        return table(
            ("layer", _WORDS[what], ""),
            [(harmless(f"{r.layer} {r.name}"), _shown(v), drawn(v)) for r, v in zip(rows, values)],
            ascii=ascii,
        )

    def save(self, path: Any, *steps: int) -> Path | None:
        """A picture by depth: gradient, σ and mean of each layer's output, the first layer above, a line for each step.

        path:   a file; its suffix says the format, such as ".svg"
        steps:  those that are drawn; the first and the last that were seen when none is given

        Returns the path, or None where there is no matplotlib (``pip install 'tinygrad_norm[plot]'``; ``by_depth`` needs none).
        Raises ``OptionError`` for a step that was not seen, ``FileError`` where the picture cannot be written.
        """
        drawn = {rows[0].step: rows for rows in map(self._outputs, steps or (*self._steps()[:1], -1)) if rows}
        names = list(dict.fromkeys(f"{r.layer} {r.name}" for rows in drawn.values() for r in rows))
        figure, axes = panels((11, 1.4 + 0.22 * len(names)), len(_WORDS), sharey=True)
        if figure is None:
            return None
        for (what, word), part in zip(_WORDS.items(), axes):
            for step, rows in drawn.items():
                values = [(getattr(r, what), names.index(f"{r.layer} {r.name}")) for r in rows]
                shown = [(v, i) for v, i in values if v is not None and math.isfinite(v) and (v > 0 or what != "gradient")]
                part.plot([v for v, _ in shown], [i for _, i in shown], marker="o", markersize=4, label=f"step {step}")
            part.set(xlabel=word, xscale="log" if what == "gradient" else "linear")
            part.grid(axis="y", linewidth=0.3)
        axes[0].set_yticks(range(len(names)), list(map(harmless, names)))
        axes[0].invert_yaxis()
        axes[0].legend()
        return written(figure, path)

    def _steps(self) -> list[int]:
        return sorted({key[0] for key in self._seen})

    def _outputs(self, step: int) -> list[Reading]:
        return [r for r in self.at(step) if r.kind == "activation" and r.layer]

    def to_json(self, ascii: bool = False) -> str:
        """All readings, a list of objects."""
        return to_json([r._asdict() for r in self.readings], ascii)

    def __str__(self) -> str:
        return self.text() if self._seen else "watch: nothing was seen yet; call the model in training."

    def __repr__(self) -> str:
        return f"Watch({self.step + 1} steps, {'on' if self._handles else 'off'})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle("a watch", self.__str__, "text", self.__str__)


def _shown(value: float | None) -> str:
    return "—" if value is None else number(value) if math.isfinite(value) else str(value).replace("-", "−")


def watch(model: Module, every: int = 1, parameters: bool = True) -> Watch:
    """Record, at each step of training, mean, σ and the length of the gradient of each layer's output and of each parameter.

        with tn.train.watch(model) as seen:
            tn.train.fit(model, (x, y))
        print(seen)                     # the last step as a table
        print(seen.by_depth())          # the gradients, layer by layer
        seen.save("depth.svg")          # gradient, σ and mean by depth, at the first step and the last
        seen.readings                   # all of it

    every:       one step in so many; a step is a call of ``model`` in training, recording
    parameters:  also these, not only the outputs

    It looks through hooks; before it, and after ``remove()``, there is none, and nothing is spent. Raises ``DTypeError`` for
    what is no module, ``OptionError`` for a wrong ``every``.
    """
    if not isinstance(model, Module):
        raise DTypeError(f"watch: model={describe(model)}; it is a module.")
    if not isinstance(every, (int, np.integer)) or isinstance(every, bool) or every < 1:
        raise OptionError(f"watch: every={describe(every)}; it is a whole number from 1 on.")
    return Watch(model, int(every), bool(parameters))
