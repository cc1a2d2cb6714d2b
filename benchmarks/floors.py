"""What of a training step is NumPy's own: the same calls in the same order on the same shapes, without record, walk and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .peers import Contender, Options, Row, available, microseconds, ours, theirs
from .training import NETWORKS, RATE, Network, step

FEW = 1 << 14  # entries; above, the engine takes an elementwise op's kernel


def replay(network: Network, how: dict[str, Any]) -> Contender:
    """A step as a list of calls made beforehand: each op's forward, each kernel or rule with the sum to its input's shape, an
    addition where routes meet, the updates. Which they are is read from one record."""
    from tinygrad_norm.engine.tensor import Tensor
    from tinygrad_norm.engine.walk import between, history

    lib, rng = ours(), np.random.default_rng(0)
    weights = {name: lib.leaf(a) for name, a in network.weights(rng).items()}
    x, labels = (lib.constant(a) for a in network.data(rng))
    record = history(network.loss(lib.functional, weights, x, labels, how))
    place = {t: i for i, t in enumerate(record)}
    start = [t._data if t.op is None else None for t in record]
    trained = [place[p] for p in weights.values()]
    rate = np.float32(RATE)

    def taken(t: Any) -> list[Any]:
        return [(place[v], None) if type(v) is Tensor else (-1, v) for v in t.inputs]

    there = [(place[t], t.op.forward, taken(t), t.params) for t in record if t.op is not None]
    back = [
        (place[t], _pull(t, positions), taken(t), [place[t.inputs[i]] for i in positions])
        for t, positions in reversed(between([record[-1]], None).items())
        if positions
    ]

    def run() -> list[Any]:
        values = list(start)
        for k, forward, inputs, params in there:
            values[k] = forward(*[values[i] if i >= 0 else v for i, v in inputs], **params)
        shares: list[Any] = [None] * len(record)
        shares[-1] = np.ones_like(values[-1])
        for k, pull, inputs, to in back:
            g, shares[k] = shares[k], None
            for i, share in zip(to, pull(g, values[k], [values[i] if i >= 0 else v for i, v in inputs])):
                shares[i] = share if shares[i] is None else _added(shares[i], share)
        return [values[i] - rate * shares[i] for i in trained]

    return run


def _added(a: Any, b: Any) -> Any:
    from tinygrad_norm.engine.values import Placed

    return b.onto(a, True) if isinstance(b, Placed) else a.onto(b, False) if isinstance(a, Placed) else a + b


def _pull(node: Any, positions: Sequence[int]) -> Callable[[Any, Any, list[Any]], Sequence[Any]]:
    """From a cotangent, the value and the operands to the shares of these inputs."""
    from tinygrad_norm.engine.arrays import sum_to
    from tinygrad_norm.engine.readings import ARRAYS
    from tinygrad_norm.engine.values import Placed, is_basic

    op, params, full = node.op, node.params, node.shape
    whole = ARRAYS.settle
    if op.name == "getitem" and is_basic(params["index"]):
        return lambda g, out, xs: [Placed(whole(g), params["index"], xs[0].shape, xs[0].dtype)]
    if op.kernel is not None and (not op.elementwise or node.size > FEW):
        return lambda g, out, xs: op.kernel(positions, np.broadcast_to(whole(g), full), out, *xs, **params)
    rules = [(i, op.pullbacks[i]) for i in positions]

    def pull(g: Any, out: Any, xs: list[Any]) -> Sequence[Any]:
        g, shares = whole(g), []
        for i, rule in rules:
            share = rule(g if g.shape == full or op.elementwise else np.broadcast_to(g, full), out, *xs, **params)
            shares.append(share if share.shape == xs[i].shape else sum_to(share, xs[i].shape))
        return shares

    return pull


def rows(options: Options) -> Iterator[Row]:
    words: list[tuple[str, dict[str, Any]]] = [("recorded", {}), ("analytic", {"backward": "analytic"})]
    for network in NETWORKS:
        for word, how in words:
            if options.wants(name := f"{network.name}, {word}"):
                runs: dict[str, Contender] = {"ours": step(network, ours(), how), "NumPy alone": replay(network, how)}
                if available("torch"):
                    runs["PyTorch"] = step(network, theirs(), {})
                yield microseconds(name, runs, options.seconds)
