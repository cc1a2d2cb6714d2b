"""Two networks written once with tn, trained on one device and on eight: ``python -m benchmarks.sharding``.

The CNN with BatchNorm and the transformer leave for JAX by ``tn.to_jax``; under ``jax.sharding`` the batch is spread over 8 virtual
devices of the CPU. 50 steps must give the losses of one device, to rounding, and BatchNorm the statistics of the whole batch, not of
each device's part: the function is that of the whole batch, wherever its parts are computed.

On a real mesh three lines change, and they are marked below: where the devices come from, how a process hands in its part of the batch, and
(for a network too large for one device) which axis of a parameter is spread. The networks and the step do not.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm import functional as F
from tinygrad_norm import nn

DEVICES, STEPS, BATCH = 8, 50, 64


class Run(NamedTuple):
    """Losses by step, what the buffers were after the first step, and seconds for each step after the first."""

    losses: list[float]
    buffers: dict[str, Any]
    seconds: float


def cnn() -> tuple[nn.Module, Callable[..., Any], Callable[[int], tuple[Any, Any]]]:
    """The network, its loss, and its batches by step: digits sorted by brightness, so that the parts of a batch are not alike."""
    images, labels = tn.data.digits("train", dtype="float32")

    def batch(step: int) -> tuple[Any, Any]:
        some = np.random.default_rng(step).choice(len(images), BATCH, replace=False)
        some = some[np.argsort(images[some].sum((1, 2)))]
        return images[some], labels[some]

    return tn.train.cnn(seed=0), F.cross_entropy, batch


def transformer() -> tuple[nn.Module, Callable[..., Any], Callable[[int], tuple[Any, Any]]]:
    """Sequences to be reversed."""

    def batch(step: int) -> tuple[Any, Any]:
        x = np.random.default_rng(step).integers(0, 8, (BATCH, 10))
        return x, x[:, ::-1].copy()

    return tn.train.transformer(seed=0), lambda y, t: F.cross_entropy(y.swapaxes(1, 2), t), batch


NETWORKS = {"CNN with BatchNorm": cnn, "transformer": transformer}


def train(make: Callable[[], Any], devices: int, steps: int = STEPS, lr: float = 0.1) -> Run:
    """SGD on so many devices: parameters on each, the batch spread over them."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    net, loss, batch = make()

    def objective(params: Any, buffers: Any, x: Any, t: Any) -> Any:
        return loss(nn.functional_call(net, (params, buffers), x), t), buffers

    in_jax = jax.value_and_grad(tn.to_jax(objective), has_aux=True)

    def advanced(params: Any, buffers: Any, x: Any, t: Any) -> Any:
        (value, buffers), gradients = in_jax(params, buffers, x, t)
        return jax.tree.map(lambda p, g: p - lr * g, params, gradients), buffers, value

    step = jax.jit(advanced)
    # On a real mesh: jax.distributed.initialize() in every process, and all of jax.devices(), say as (4, 2) with axes ("batch", "model").
    mesh = Mesh(np.array(jax.devices()[:devices]), ("batch",))
    everywhere, spread = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("batch"))
    # There a large parameter may be spread, too: PartitionSpec("model") for its first axis, in the place of `everywhere`.
    params, buffers = (
        jax.device_put({k: v.numpy() for k, v in of}, everywhere) for of in (net.named_parameters(), net.named_buffers())
    )
    losses, first, start = [], {}, 0.0
    for k in range(steps):
        # There each process has its own part of the batch: jax.make_array_from_process_local_data(spread, part).
        x, t = jax.device_put(batch(k), spread)
        params, buffers, value = step(params, buffers, x, t)
        losses.append(float(value))
        if not k:
            first, start = {name: np.asarray(b) for name, b in buffers.items()}, time.perf_counter()
    return Run(losses, first, (time.perf_counter() - start) / max(1, steps - 1))


def differences(one: Run, many: Run) -> Iterator[tuple[str, float]]:
    """How far the two are apart, relative to what they are: the losses of all steps, the buffers after the first."""
    yield "losses", max(abs(a - b) / abs(a) for a, b in zip(one.losses, many.losses))
    for name, a in one.buffers.items():
        b = many.buffers[name]
        yield name, float(np.abs(a - b).max() / max(1e-30, float(np.abs(a).max())))


def main(steps: int = STEPS) -> int:
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    try:
        import jax
    except ImportError:
        print("JAX is not installed: pip install jax, then again.")
        return 0
    if len(jax.devices()) < DEVICES:
        print(f"JAX has {len(jax.devices())} devices, for it was started before: run this in a process of its own.")
        return 2
    worst = 0.0
    for name, make in NETWORKS.items():
        one, many = (train(make, devices, steps) for devices in (1, DEVICES))
        apart = dict(differences(one, many))
        worst = max(worst, *apart.values())
        print(f"{name}: loss {one.losses[0]:.4f} → {one.losses[-1]:.4f} in {steps} steps on 1 device and on {DEVICES}")
        print(
            f"  losses {apart['losses']:.1e} apart, {one.seconds * 1e3:.1f} and {many.seconds * 1e3:.1f} ms a step (two cores play the devices)"
        )
        statistics = {k: v for k, v in apart.items() if "running" in k}
        if statistics:
            print(f"  running statistics after the first step {max(statistics.values()):.1e} apart: those of the whole batch")
    print("equal to rounding" if worst < 1e-3 else f"NOT equal: {worst:.1e} apart")
    return 0 if worst < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
