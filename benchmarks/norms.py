"""The analytic nodes of the family, forward and backward (every gradient), float32, one thread, beside their peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .peers import Contender, Options, Row, available, microseconds, same

EPS = 1e-5


class Case(NamedTuple):
    """One norm on one shape: how the library, PyTorch, and anybody with operators only, would compute it."""

    name: str
    shape: tuple[int, ...]
    parameters: tuple[int, ...] | None
    ours: Callable[..., Any]
    torch: Callable[..., Any]
    primitives: Callable[..., Any]


def standardized(x: Any, axis: tuple[int, ...], center: bool = True) -> Any:
    """x̂ in operators that NumPy-likes and torch share."""
    c = x - x.mean(axis, keepdims=True) if center else x
    return c / ((c * c).mean(axis, keepdims=True) + EPS) ** 0.5


def _column(p: Any) -> Any:
    return p.reshape(-1, 1, 1)


def _grouped(x: Any, w: Any, b: Any, groups: int) -> Any:
    parts = x.reshape(x.shape[0], groups, -1)
    return standardized(parts, (2,)).reshape(x.shape) * _column(w) + _column(b)


def cases() -> list[Case]:
    import tinygrad_norm as tn

    F: Any = tn.functional
    exp = {"softmax": lambda x: (x - x.max()).exp()}  # torch; others never see it

    def analytic(f: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *a: f(*a, backward="analytic")

    def torch(f: Callable[[Any], Callable[..., Any]]) -> Callable[..., Any]:
        def run(*a: Any) -> Any:
            import torch.nn.functional as TF

            return f(TF)(*a)

        return run

    images = (32, 64, 28, 28)
    found = []
    for shape in ((8, 64), (64, 256), (512, 768), (2048, 1024), (8192, 1024)):
        n = shape[-1]
        found += [
            Case(
                "layer_norm", shape, (n,),
                analytic(partial(lambda n, x, w, b, backward: F.layer_norm(x, n, w, b, EPS, backward), n)),
                torch(partial(lambda n, TF: lambda x, w, b: TF.layer_norm(x, (n,), w, b, EPS), n)),
                lambda x, w, b: standardized(x, (1,)) * w + b,
            ),
            Case(
                "rms_norm", shape, (n,),
                analytic(partial(lambda n, x, w, b, backward: F.rms_norm(x, n, w, EPS, backward), n)),
                torch(partial(lambda n, TF: lambda x, w, b: TF.rms_norm(x, (n,), w, EPS), n)),
                lambda x, w, b: standardized(x, (1,), center=False) * w,
            ),
            Case(
                "softmax", shape, None,
                analytic(lambda x, backward: F.softmax(x, -1, backward=backward)),
                torch(lambda TF: lambda x: TF.softmax(x, -1)),
                lambda x: exp["softmax"](x) / exp["softmax"](x).sum(1, keepdims=True),
            ),
        ]  # fmt: skip
    layouts: list[tuple[tuple[int, ...], Any]] = [(images, _column), ((8192, 1024), lambda p: p)]
    for layout, spread in layouts:
        found.append(
            Case(
                "batch_norm", layout, (layout[1],),
                analytic(lambda x, w, b, backward: F.batch_norm(x, None, None, w, b, True, 0.1, EPS, backward)),
                torch(lambda TF: lambda x, w, b: TF.batch_norm(x, None, None, w, b, True, 0.1, EPS)),
                partial(lambda how, x, w, b: standardized(x, how[0]) * how[1](w) + how[1](b), ((0, *range(2, len(layout))), spread)),
            )
        )  # fmt: skip
    found += [
        Case(
            "group_norm", images, (64,),
            analytic(lambda x, w, b, backward: F.group_norm(x, 8, w, b, EPS, backward)),
            torch(lambda TF: lambda x, w, b: TF.group_norm(x, 8, w, b, EPS)),
            lambda x, w, b: _grouped(x, w, b, 8),
        ),
        Case(
            "instance_norm", images, (64,),
            analytic(lambda x, w, b, backward: F.instance_norm(x, None, None, w, b, True, 0.1, EPS, backward)),
            torch(lambda TF: lambda x, w, b: TF.instance_norm(x, None, None, w, b, True, 0.1, EPS)),
            lambda x, w, b: standardized(x, (2, 3)) * _column(w) + _column(b),
        ),
    ]  # fmt: skip
    return found


def contenders(case: Case) -> dict[str, Contender]:
    """Everybody who can run here, on the same numbers."""
    import tinygrad_norm as tn

    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(case.shape, np.float32)]
    if case.parameters is not None:
        arrays += [rng.standard_normal(case.parameters, np.float32) for _ in range(2)]
    used = arrays[:2] if case.name == "rms_norm" else arrays
    dy = rng.standard_normal(case.shape, np.float32)
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]
    runs: dict[str, Contender] = {
        "analytic": lambda: tuple(g.numpy() for g in tn.grad(case.ours(*leaves), leaves[: len(used)], dy))
    }
    if available("torch"):
        import torch

        theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
        seed = torch.tensor(dy)
        for name, f in (("PyTorch native", case.torch), ("PyTorch primitives", case.primitives)):
            runs[name] = partial(lambda f: tuple(torch.autograd.grad(f(*theirs), theirs[: len(used)], seed)), f)
    if available("jax") and case.name != "softmax":
        import jax

        wait: Any = jax.block_until_ready

        pull = jax.jit(lambda dy, *a: jax.vjp(lambda *u: case.primitives(*u, *a[len(used) :]), *a[: len(used)])[1](dy))
        runs["JAX jit"] = lambda: tuple(wait(pull(dy, *arrays)))
    if available("autograd") and case.name != "softmax":
        from autograd import make_vjp

        runs["HIPS autograd"] = lambda: tuple(make_vjp(lambda u: case.primitives(*u, *arrays[len(used) :]))(tuple(used))[0](dy))
    return runs


def rows(options: Options) -> Iterator[Row]:
    for case in cases():
        name = f"{case.name} {'×'.join(map(str, case.shape))}"
        if options.wants(name):
            runs = contenders(case)
            same(runs)
            yield microseconds(name, runs, options.seconds)
