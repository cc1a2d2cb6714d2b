"""LayerNorm forward and backward (dx, dγ, dβ), float32, one thread, beside the peers that are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .peers import Contender, Options, Row, available, microseconds, same

SHAPES = ((8, 64), (64, 256), (512, 768), (2048, 1024), (8192, 1024))
EPS = 1e-5


def numpy_formula(x: Any, w: Any, b: Any, dy: Any) -> Contender:
    def run() -> tuple[Any, ...]:
        centred = x - x.mean(-1, keepdims=True)
        rstd = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(EPS))
        xhat = centred * rstd
        _ = xhat * w + b
        g = dy * w
        dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
        return dx, (dy * xhat).sum(0), dy.sum(0)

    return run


def ours(backward: str) -> Callable[..., Contender]:
    def make(x: Any, w: Any, b: Any, dy: Any) -> Contender:
        import tinygrad_norm as tn

        leaves = [tn.tensor(a, requires_grad=True) for a in (x, w, b)]

        def run() -> tuple[Any, ...]:
            y = tn.functional.layer_norm(leaves[0], x.shape[-1], leaves[1], leaves[2], EPS, backward)
            return tuple(g.numpy() for g in tn.grad(y, leaves, dy))

        return run

    return make


def kernel(x: Any, w: Any, b: Any, dy: Any) -> Contender:
    """The analytic node's arithmetic over arrays, without a record: what the rest of "analytic" is."""
    from tinygrad_norm.norms.kernels import affine_standardize, affine_standardize_pullbacks

    def run() -> tuple[Any, ...]:
        y = affine_standardize(x, w, b, (1,), EPS)
        return *(affine_standardize_pullbacks((True, True, True), dy, x, w, b, (1,), EPS) or ()), y

    return run


def torch_native(x: Any, w: Any, b: Any, dy: Any) -> Contender:
    import torch

    xt, wt, bt = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    seed = torch.tensor(dy)

    def run() -> tuple[Any, ...]:
        y = torch.nn.functional.layer_norm(xt, (x.shape[-1],), wt, bt, EPS)
        return tuple(torch.autograd.grad(y, (xt, wt, bt), seed))

    return run


def torch_primitives(x: Any, w: Any, b: Any, dy: Any) -> Contender:
    import torch

    xt, wt, bt = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    seed = torch.tensor(dy)

    def run() -> tuple[Any, ...]:
        centred = xt - xt.mean(-1, keepdim=True)
        rstd = torch.rsqrt((centred**2).mean(-1, keepdim=True) + EPS)
        y = centred * rstd * wt + bt
        return tuple(torch.autograd.grad(y, (xt, wt, bt), seed))

    return run


def hips(x: Any, w: Any, b: Any, dy: Any) -> Contender:
    import autograd.numpy as anp
    from autograd import make_vjp

    def forward(inputs: Any) -> Any:
        x, w, b = inputs
        centred = x - anp.mean(x, -1, keepdims=True)
        rstd = 1 / anp.sqrt(anp.mean(centred**2, -1, keepdims=True) + EPS)
        return centred * rstd * w + b

    def run() -> tuple[Any, ...]:
        pullback, _ = make_vjp(forward)((x, w, b))
        return tuple(pullback(dy))

    return run


CONTENDERS: dict[str, Callable[..., Contender]] = {
    "recorded": ours("recorded"),
    "analytic": ours("analytic"),
    "its kernel alone": kernel,
    "NumPy formula": numpy_formula,
    "PyTorch primitives": torch_primitives,
    "PyTorch native": torch_native,
    "HIPS autograd": hips,
}


def installed() -> dict[str, Callable[..., Contender]]:
    """The contenders that can run here; torch is held to one thread."""
    torch, autograd = available("torch"), available("autograd")
    return {
        name: make for name, make in CONTENDERS.items() if (torch or "PyTorch" not in name) and (autograd or "HIPS" not in name)
    }


def rows(options: Options) -> Iterator[Row]:
    makers = installed()
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        if not options.wants(case := "×".join(map(str, shape))):
            continue
        x, dy = (rng.standard_normal(shape, np.float32) for _ in range(2))
        w, b = (rng.standard_normal(shape[-1], np.float32) for _ in range(2))
        runs = {name: make(x, w, b, dy) for name, make in makers.items()}
        same(runs)
        yield microseconds(case, runs, options.seconds)
