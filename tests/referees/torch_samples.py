"""PyTorch's samples as plain values, in a file or not, and our functions judged by them. Knows nothing of torch.

A ``Record`` is one call that PyTorch made, and what came out: the value, the gradient for a random cotangent dy, and
the gradient of that gradient, i.e. of Σ ⟨v, dx⟩ with a random direction v for each differentiable input x.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_norm as tn

FROZEN = Path(__file__).with_name("torch_samples.npz")


@dataclass
class Record:
    """One call and its results.

    op, variant, number:  which of PyTorch's samples it is
    args, kwargs:   as JSON has them; ``{"array": i}`` stands for ``arrays[i]``, ``{"dtype": …}`` for a dtype
    arrays:         the tensors among them: what flows in
    leaves:         which of the arrays are differentiated by
    dy, vs:         the cotangent of the output, and a direction for each leaf
    y, first:       the output, and the gradient of ⟨dy, y⟩ for each leaf
    second:         the gradient of Σ ⟨v, first⟩ for each leaf and, at last, for dy
    after:          what the call has written into an array, by its position
    """

    op: str
    variant: str
    number: int
    args: list[Any]
    kwargs: dict[str, Any]
    arrays: list[np.ndarray]
    leaves: list[int]
    dy: np.ndarray
    vs: list[np.ndarray]
    y: np.ndarray
    first: list[np.ndarray]
    second: list[np.ndarray]
    after: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.op}{':' * bool(self.variant)}{self.variant}-{self.number}"


# The file: one text and two heaps of numbers; an array of its own for each would cost more than what is in it ----------

GIVEN, FOUND = ("arrays", "dy", "vs"), ("y", "first", "second", "after")


def save(records: Iterable[Record], about: dict[str, Any], path: Path = FROZEN) -> None:
    """What goes in is kept in float16, so it must fit there; results are kept in float64."""
    heaps: dict[str, list[np.ndarray]] = {"given": [], "found": []}

    def put(value: Any, heap: str) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype.kind in "iu":
                return {"integers": value.tolist(), "shape": value.shape}
            heaps[heap].append(value.ravel())
            return {"shape": value.shape}
        if isinstance(value, dict):
            return {k: put(v, heap) for k, v in value.items()}
        return [put(v, heap) for v in value]

    calls = [
        {
            **{k: v for k, v in vars(record).items() if k not in GIVEN + FOUND},
            **{k: put(getattr(record, k), "given") for k in GIVEN},
            **{k: put(getattr(record, k), "found") for k in FOUND},
        }
        for record in records
    ]
    given, found = (np.concatenate(heaps[heap]) for heap in ("given", "found"))
    if not np.array_equal(given.astype(np.float16), given):
        raise ValueError("save: an input or a cotangent is no float16 number.")
    text = np.frombuffer(json.dumps({"about": about, "calls": calls}).encode(), np.uint8)
    beside = path.with_suffix(".part")
    with open(beside, "wb") as file:
        np.savez_compressed(file, text=text, given=given.astype(np.float16), found=found)
    os.replace(beside, path)


def load(path: Path = FROZEN) -> tuple[dict[str, Any], list[Record]]:
    """What the file says about itself, and its records."""
    with np.load(path) as file:
        heaps = {"given": file["given"].astype(np.float64), "found": file["found"]}
        content = json.loads(file["text"].tobytes())
    at = {"given": 0, "found": 0}

    def take(value: Any, heap: str) -> Any:
        if isinstance(value, list):
            return [take(v, heap) for v in value]
        if "shape" not in value:
            return {int(k): take(v, heap) for k, v in value.items()}
        shape = tuple(value["shape"])
        if "integers" in value:
            return np.array(value["integers"], np.int64).reshape(shape)
        start = at[heap]
        at[heap] += int(np.prod(shape))
        return heaps[heap][start : at[heap]].reshape(shape).copy()

    records = []
    for call in content["calls"]:
        taken = {k: take(call[k], heap) for heap, keys in (("given", GIVEN), ("found", FOUND)) for k in keys}
        records.append(Record(**{**call, **taken}))
    if {heap: values.size for heap, values in heaps.items()} != at:
        raise ValueError(f"load: {path.name}: its text and its numbers do not belong together.")
    return content["about"], records


# The judge --------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """Ours does not do this on purpose; the reason."""


REFUSALS = [
    (r"batch_norm: input .* has 1 axes", "an input without an axis of channels"),
    (r"with 0 axes|has no axis", "an axis of a tensor that has none"),
    (r"p=\S+ .*above 0", "p is not above 0"),
]
"""Messages by which we refuse what PyTorch takes, and the reason."""


def judge(record: Record, backward: str) -> None:
    """Our function on one sample: its value, both gradients and what it wrote, against PyTorch's. ``Refused`` where we
    refuse on purpose; ``AssertionError`` where it differs."""
    f = getattr(tn.functional, record.op)
    tensors = [
        tn.tensor(a, requires_grad=True) if i in record.leaves else a if i in record.after else tn.tensor(a)
        for i, a in enumerate(a.copy() for a in record.arrays)
    ]
    kwargs = _named(record.kwargs, tensors)
    known = inspect.signature(f).parameters
    if kwargs.get("dtype") == np.float64 and "dtype" not in known:
        kwargs.pop("dtype")  # the inputs' own
    with np.errstate(invalid="ignore"):  # ε is −½ in some samples
        try:
            y = f(*_named(record.args, tensors), **kwargs, backward=backward)
        except (tn.TinygradNormError, ValueError) as error:
            for message, reason in REFUSALS:
                if re.search(message, str(error)):
                    raise Refused(reason) from None
            raise
        leaves, dy = [tensors[i] for i in record.leaves], tn.tensor(record.dy, requires_grad=True)
        numbers = tn.grad(y, leaves, record.dy, allow_unused=True)  # over arrays: kernels
        first = tn.grad(y, leaves, dy, create_graph=True, allow_unused=True)  # over tensors: rules
        along = [(g * v).sum() for g, v in zip(first, record.vs) if g is not None]
        whole = sum(along[1:], along[0]) if along else None
        there = whole is not None and whole.requires_grad
        second = tn.grad(whole, [*leaves, dy], allow_unused=True) if there else [None] * (len(leaves) + 1)

    _close(y.data, record.y, "value")
    for i, *gs, expected in zip(record.leaves, numbers, first, record.first):
        for g in gs:
            _close(_array(g, expected), expected, f"gradient of tensor {i}")
    for i, g, expected in zip([*record.leaves, "dy"], second, record.second):
        _close(_array(g, expected), expected, f"gradient of the gradient, of tensor {i}")
    for i, expected in record.after.items():
        _close(tensors[i], expected, f"what is written into tensor {i}")


def _named(value: Any, tensors: list[Any]) -> Any:
    if isinstance(value, list):
        return [_named(v, tensors) for v in value]
    if isinstance(value, dict):
        if "array" in value:
            return tensors[value["array"]]
        return np.dtype(value["dtype"]) if list(value) == ["dtype"] and isinstance(value["dtype"], str) else {
            k: _named(v, tensors) for k, v in value.items()
        }  # fmt: skip
    return value


def _array(g: Any, like: np.ndarray) -> Any:
    return np.zeros(like.shape) if g is None else g.data


def _close(mine: Any, other: np.ndarray, what: str) -> None:
    """To 1e-10 of the largest entry; NaN exactly where PyTorch has NaN, infinities alike."""
    assert mine.shape == other.shape, f"{what}: shape {mine.shape}, PyTorch {other.shape}"
    assert mine.dtype == other.dtype, f"{what}: dtype {mine.dtype}, PyTorch {other.dtype}"
    largest = np.abs(other[np.isfinite(other)]).max(initial=1.0)
    np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-10 * largest, err_msg=what)


def spoiled(record: Record) -> Iterable[Record]:
    """The record with one of its results changed: what a judge must reject."""
    for key in ("y", "first", "second"):
        value = getattr(record, key)
        parts = value if isinstance(value, list) else [value]
        for k, part in enumerate(parts):
            real = np.isfinite(part)
            if real.any():
                worse = part.copy()
                worse[np.unravel_index(np.argmax(real), part.shape)] += 1e-6 * np.abs(part[real]).max(initial=1.0)
                parts_now = [worse if j == k else p for j, p in enumerate(parts)]
                yield replace(record, **{key: parts_now if isinstance(value, list) else worse})
