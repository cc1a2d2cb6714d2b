"""A candidate's intermediates, and its own derivative, beside the record's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import grad, tensor
from .adapters import order2_by_tensors
from .candidate import Answer
from .case import Case
from .judgement import Judgement
from .subject import SAVED, Subject, statistics


def judge_steps(case: Case, answer: Answer, notes: list[str]) -> dict[str, Judgement]:
    """Intermediates in the candidate's own order, up to the first that is wrong; notes on those that are not on the record."""
    if not answer.steps:
        return {}
    named = {node.tensor.name: node for node in case.graph.nodes if node.tensor.name is not None}
    ids = case.graph.gradients(case.dy)
    labels = {alias: label for label, aliases in SAVED.items() for alias in (label, *aliases)}
    found: dict[str, Judgement] = {}
    for name, mine in answer.steps:
        plain = name.lower().strip("_")
        value = plain in labels or name in named
        key = plain if value else plain.removeprefix("d").strip("_")
        node = named.get(name) or named.get(labels.get(key, key))
        if node is None or (not value and node.id not in ids):
            notes.append(f"step {name}: not compared, nothing on the record is called that; there are {', '.join(named)}")
            continue
        truth, what = (node.tensor.numpy(), node.label) if value else (ids[node.id], f"the cotangent of {node.label}")
        mine = np.asarray(mine, np.float64)
        if mine.shape != truth.shape and mine.size == truth.size:
            mine = mine.reshape(truth.shape)
        scale = float(np.max(np.abs(truth), initial=0))
        off = float(np.max(np.abs(mine - truth), initial=0)) if mine.shape == truth.shape else np.inf
        gate = 1e-8 * max(scale, 1e-300)
        relative = off / scale if scale else off
        if off <= gate:
            found[f"step {name}"] = Judgement(name, name, "right", off, relative, gate)
            continue
        text = f"the first step that is wrong: {what}" + (f" = {node.text}" if value and node.text != node.label else "")
        if mine.shape != truth.shape:
            text += f" has shape {truth.shape}, not {mine.shape}"
        found[f"step {name}"] = Judgement(name, name, "wrong", off, relative, gate, lines=(text,))
        break
    return found


def second_order(call: Any, case: Case, subject: Subject, saved: Mapping[str, str] | None) -> dict[str, Judgement]:
    """The gradient of Σ v·gradient: of the candidate, differentiated as it stands, and of the record."""
    rng = np.random.default_rng(1)
    v = {n: rng.normal(size=t.shape) for n, t in case.leaves.items()}
    first = grad(case.graph.output, list(case.leaves.values()), case.dy, create_graph=True)
    total = sum(((g * v[n]).sum() for n, g in zip(case.leaves, first)), tensor(0.0))
    truth = {n: grad(total, t, allow_unused=True)[0] for n, t in case.leaves.items()}
    arrays = {n: t.numpy() for n, t in case.inputs.items()}
    second = getattr(call, "order2", None)
    mine = (
        second(case.dy, arrays, subject.options, v)
        if second
        else order2_by_tensors(
            call, case.dy, arrays, subject.options, statistics(case, saved), v, {n: subject.symbol(n) for n in arrays}
        )
    )
    if isinstance(mine, str):
        return {"order 2": Judgement("order 2", "order 2", "missing", lines=(f"not differentiated: {mine}",))}
    found = {}
    for n, t in case.leaves.items():
        right = np.zeros(t.shape) if truth[n] is None else truth[n].numpy()
        scale = max(float(np.max(np.abs(right), initial=0)), 1e-300)
        given = mine.get(n)
        off = float(np.max(np.abs((0 if given is None else np.asarray(given)) - right), initial=0))
        symbol, gate = f"d²{subject.symbol(n)}", 1e-8 * scale
        lines = () if off <= gate else (
            "right at order 1, wrong at order 2: what it was handed or computed outside (saved statistics) is a constant to it.",
            "look: compute the mean and rstd again from x, in the same operations",
        )  # fmt: skip
        found[f"order 2, {n}"] = Judgement(n, symbol, "right" if off <= gate else "wrong", off, off / scale, gate, lines=lines)
    return found
