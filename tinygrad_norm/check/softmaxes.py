"""What stands where a softmax, or a row of targets, belongs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..derive.formula import Call, Letter
from ..engine.arrays import Array
from .case import Case
from .counts import BLOCKS
from .fused import Fused

_MOST = 16  # pieces of a row that are gone through one after the other

Variant = tuple[str, Array]
"""In words, and its numbers."""


def of_call(found: Fused, call: Call) -> Iterator[Variant]:
    """Softmax of something else: with a temperature, to another base, normalized over more."""
    if call.function != "softmax":
        return
    z, along = found.known_as(call.arguments[0]), tuple(found.axes.index(a) for a in call.axes)
    name = found.hand(call.arguments[0])
    for words, u in (
        (f"softmax({name}/2)", z / 2),
        (f"softmax(2·{name})", 2 * z),
        (f"softmax(−{name})", -z),
        (f"2^{name}, normalized,", z * np.log(2)),
        (f"softmax(|{name}|)", np.abs(z)),
        (f"softmax({name}/√N)", z / np.sqrt(z.shape[along[0]])),
    ):
        e = np.exp(u - u.max(along, keepdims=True))
        yield words, e / e.sum(along, keepdims=True)
    e = np.exp(z - z.max(along, keepdims=True))
    yield f"exp({name})/max", e
    total, top = e.sum(along, keepdims=True), z.max(along, keepdims=True)
    yield f"exp({name})/Σexp({name} − max), the max subtracted in the sum only,", e / total * np.exp(top)
    yield f"exp({name} − max)/Σexp({name}), the max subtracted in the numerator only,", e / total * np.exp(-top)
    for words, divisor in _divisors(e, z, along):
        yield f"exp({name} − max) divided by {words}", e / divisor
    p = e / e.sum(along, keepdims=True)
    for b in (b for b in (1, *BLOCKS) if len(along) == 1 and b < z.shape[along[0]] <= b * _MOST):
        now = np.array(z)
        for k in range(0, now.shape[along[0]], b):
            piece = tuple(slice(k, k + b) if j == along[0] else slice(None) for j in range(now.ndim))
            top = now.max(along, keepdims=True)
            now[piece] = np.exp(now[piece] - top) / np.exp(now - top).sum(along, keepdims=True)
        yield f"p written over {name} as it is computed, {b} at once, so that later sums read what was written,", now
    yield "exp(log₂ p)", p ** (1 / np.log(2))
    yield "2^(log p)", p ** np.log(2)
    yield f"{name}/Σ{name}", z / z.sum(along, keepdims=True)
    yield f"|{name}|/Σ|{name}|", np.abs(z) / np.abs(z).sum(along, keepdims=True)
    yield f"one-hot(argmax {name})", (z == z.max(along, keepdims=True)).astype(np.float64)


def _divisors(e: Array, z: Array, along: tuple[int, ...]) -> Iterator[Variant]:
    """What a row of exponentials is divided by, where it is gone through in blocks; with zeros that fill up the last one."""
    if len(along) != 1:
        return
    (at,) = along
    n, total, top = z.shape[at], e.sum(at, keepdims=True), z.max(at, keepdims=True)
    for other in (k for k, size in enumerate(z.shape) if k != at and size == n):
        yield (
            "the Σe of row j in column j, which is broadcast along the other axis (keepdims is missing)",
            np.swapaxes(total, at, other),
        )
    for zeros in sorted({-n % b for b in BLOCKS} - {0}):
        yield f"Σe with {zeros} more entries, zeros that fill up the last block", total + zeros * np.exp(-top)
        yield f"Σe with {zeros} more entries, each as large as the largest", total + zeros
    for sizes in dict.fromkeys(
        (*((b,) * (n // b) + ((n % b,) if n % b else ()) for b in (1, *BLOCKS) if b < n), (n // 2, n - n // 2))
    ):
        ends = np.cumsum(sizes)
        parts = [np.take(z, range(end - size, end), axis=at) for size, end in zip(sizes, ends) if size]
        if len(parts) < 2:
            continue
        tops = np.stack([p.max(at, keepdims=True) for p in parts])
        sums = np.stack([np.exp(p - t).sum(at, keepdims=True) for p, t in zip(parts, tops)])
        own, each = tops + np.log(sums), f"{len(parts)} blocks" if len(parts) != n else "the entries"
        online = np.maximum.accumulate(tops, axis=0)
        yield f"the Σe of {each}, added without bringing them to one max", sums.sum(0)
        yield f"Σe that is not scaled again where the max grows, in {each}", (sums * np.exp(tops - online)).sum(0)
        for words, lse in (
            (f"the largest of the log Σe of {each}", own.max(0)),
            (f"the largest of the log Σe of {each}, and log {len(parts)}", own.max(0) + np.log(len(parts))),
            (f"the mean of the log Σe of {each}", own.mean(0)),
            (f"the mean of the log Σe of {each}, and log {len(parts)}", own.mean(0) + np.log(len(parts))),
            (f"the sum of the log Σe of {each}", own.sum(0)),
        ):
            yield f"e to the power of {words}", np.exp(lse - top)


def of_targets(case: Case, found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    """Rows of targets that are not the target's."""
    target = case.inputs.get("target")
    if letter.name != "q" or target is None or target.dtype.kind not in "iu" or target.ndim != 1 or value.ndim != 2:
        return
    t, n = target.numpy(), value.shape[1]
    eye, counts = np.eye(n), value.any(1, keepdims=True)
    z = case.inputs["input"].numpy()
    for words, other in (
        ("t + 1", t + 1), ("t − 1", t - 1), ("n − 1 − t", n - 1 - t), ("argmax z", z.argmax(1)), ("argmin z", z.argmin(1)), ("0", 0 * t),
        ("the first row's t", 0 * t + t[0]), ("the last row's t", 0 * t + t[-1]), ("t of the row before", np.roll(t, 1)),
        ("t of the next row", np.roll(t, -1)),
    ):  # fmt: skip
        yield f"the one-hot row of {words}", eye[np.clip(other, 0, n - 1)] * counts
        yield f"the one-hot row of {words}, also where that is ignored,", eye[np.clip(other, 0, n - 1)]
    across = np.zeros((max(len(t), n),) * 2)
    across[np.clip(t, 0, n - 1), np.arange(len(t))] = 1
    yield "1 at row t[i] and column i, the one-hot transposed,", across[: len(t), :n]
    every = np.zeros(n)
    every[np.clip(t, 0, n - 1)] = 1
    yield "1 in the target columns of all rows", np.broadcast_to(every, value.shape)
    yield "how often each class is a target", np.broadcast_to(np.bincount(np.clip(t, 0, n - 1), minlength=n) * 1.0, value.shape)
