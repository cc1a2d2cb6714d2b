"""Writes torch_samples.npz: PyTorch's own sample inputs for the normalizations, with its values and gradients.

    python -m tests.referees.freeze_torch        (needs torch and expecttest)

Run once; the tests then need no torch. Orders 0 to 2 only: from order 3 on PyTorch's fused layer_norm, batch_norm and
instance_norm are wrong (2.13), so they can be no referee there (see test_live_torch.py).

The inputs are those of ``op_db``, rounded to float16 numbers: that changes nothing about what they try, and they are
half the file otherwise. Results are float64. Samples with ε = −½ are there twice, the second time (variant "nan") with
a first row so quiet that its variance plus ε is negative. A sample that has more than ``LARGEST`` entries is left out and counted.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

from tests.referees.torch_samples import FROZEN, Record, load, save

LARGEST = 2000
ENTRIES = {
    **{f"nn.functional.{name}": name for name in (
        "layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm", "normalize", "cosine_similarity", "cross_entropy",
        "local_response_norm",
    )},
    "native_layer_norm": "layer_norm",  # the same arguments, and twenty more samples
    "softmax": "softmax",
    "log_softmax": "log_softmax",
}  # fmt: skip
"""PyTorch's entries, and what the function is called here."""
LEFT_OUT = {"without_cudnn": "the same samples, and the same function on a CPU"}
"""Variants of entries that are not taken, and why."""


def records(seed: int, skipped: Counter[str] | None = None) -> Iterator[Record]:
    """Every sample of every entry, worked out by PyTorch."""
    skipped = Counter() if skipped is None else skipped
    rng = np.random.default_rng(seed)
    for entry in op_db:
        if entry.name not in ENTRIES or entry.variant_test_name in LEFT_OUT:
            continue
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples = list(entry.sample_inputs("cpu", torch.float64, requires_grad=True))
        variant = "native" if entry.name.startswith("native") else entry.variant_test_name
        samples = [(number, variant, sample) for number, sample in enumerate(samples)]
        samples += [(number, "nan", quieter(sample)) for number, _, sample in samples if has_negative_eps(sample)]
        for number, variant, sample in samples:
            call = Call()
            args, kwargs = call.plain([sample.input, *sample.args]), call.plain(sample.kwargs)
            if sum(t.numel() for t in call.tensors) > LARGEST:
                skipped[ENTRIES[entry.name]] += 1
                continue
            yield worked_out(entry, Record(ENTRIES[entry.name], variant, number, args, kwargs, *[None] * 7), call, rng)  # type: ignore[arg-type]


def has_negative_eps(sample: Any) -> bool:
    return any(isinstance(v, float) and v == -0.5 for v in (*sample.args, *sample.kwargs.values()))


def quieter(sample: Any) -> Any:
    """The sample with the variance of its first row below ½, which ε = −½ then makes NaN: by itself none is."""
    loud = sample.input.detach().clone()
    loud[0] /= 20
    sample = copy(sample)
    sample.input = loud.requires_grad_()
    return sample


class Call:
    """A sample's arguments as JSON has them, its tensors apart and rounded to float16."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []

    def plain(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            rounded = value.detach().half().double() if value.is_floating_point() else value.detach().clone()
            self.tensors.append(rounded.requires_grad_(value.requires_grad))
            return {"array": len(self.tensors) - 1}
        if isinstance(value, (list, tuple)):
            return [self.plain(v) for v in value]
        if isinstance(value, dict):
            return {k: self.plain(v) for k, v in value.items()}
        return {"dtype": str(value).removeprefix("torch.")} if isinstance(value, torch.dtype) else value

    def real(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.real(v) for v in value]
        if isinstance(value, dict):
            if "array" in value:
                return self.tensors[value["array"]]
            return getattr(torch, value["dtype"]) if isinstance(value.get("dtype"), str) else {
                k: self.real(v) for k, v in value.items()
            }  # fmt: skip
        return value


def worked_out(entry: Any, record: Record, call: Call, rng: np.random.Generator) -> Record:
    def direction(t: Any) -> Any:
        return torch.tensor(rng.standard_normal(t.shape).astype(np.float16).astype(np.float64), requires_grad=True)

    record.arrays = [t.detach().numpy().copy() for t in call.tensors]
    record.leaves = [i for i, t in enumerate(call.tensors) if t.requires_grad]
    leaves = [call.tensors[i] for i in record.leaves]
    args = call.real(record.args)
    if record.op == "layer_norm" and len(args) > 3 and args[2] is None and args[3] is not None:
        args[2] = torch.ones_like(args[3])  # a bias and no weight: PyTorch 2.13 fails at the second derivative
    y = entry.op(*args, **call.real(record.kwargs))
    y = y[0] if isinstance(y, tuple) else y
    dy = direction(y)
    first = torch.autograd.grad(y, leaves, dy, create_graph=True, allow_unused=True, materialize_grads=True)
    vs = [direction(t) for t in leaves]
    whole = sum((g * v).sum() for g, v in zip(first, vs))
    if whole.requires_grad:
        second = torch.autograd.grad(whole, [*leaves, dy], allow_unused=True, materialize_grads=True)
    else:
        second = tuple(torch.zeros_like(t) for t in (*leaves, dy))
    record.dy, record.vs, record.y = dy.detach().numpy(), [v.detach().numpy() for v in vs], y.detach().numpy()
    record.first, record.second = [g.detach().numpy() for g in first], [g.detach().numpy() for g in second]
    buffers = [i for i, t in enumerate(call.tensors) if {"array": i} in _buffers(record)]
    record.after = {i: call.tensors[i].detach().numpy().copy() for i in buffers}
    return record


def _buffers(record: Record) -> list[Any]:
    """Where the running statistics stand in the call."""
    if record.op == "batch_norm":
        return record.args[1:3]
    return [record.kwargs.get(name) for name in ("running_mean", "running_var")]


def main() -> None:
    skipped = Counter[str]()
    kept = list(records(0, skipped))
    save(kept, {"torch": torch.__version__, "seed": 0, "skipped": dict(skipped)})
    counts = Counter(record.op for record in load()[1])
    print(f"{FROZEN.name}: {FROZEN.stat().st_size} bytes; {dict(counts)}; too large: {dict(skipped) or 'none'}")


if __name__ == "__main__":
    main()
