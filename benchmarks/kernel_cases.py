"""The cases of the benchmark of kernels: every norm, on tables and on images, and the same in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .norms import standardized

EPS = 1e-5
SHAPES = ((8, 64), (64, 256), (512, 768), (2048, 1024), (8192, 1024))
IMAGES = ((32, 64, 7, 7), (32, 64, 28, 28), (64, 64, 56, 56))


class Case(NamedTuple):
    """One norm on one shape: here, and in PyTorch by its own kernel or from primitives.

    values:  the input and the parameters, where not any numbers will do
    """

    name: str
    shape: tuple[int, ...]
    parameters: tuple[tuple[int, ...], ...]
    ours: Callable[..., Any]
    torch: Callable[..., Any] | None
    values: Callable[[], list[Any]] | None = None

    @property
    def title(self) -> str:
        return f"{self.name} {'×'.join(map(str, self.shape))}"

    def arrays(self) -> list[Any]:
        if self.values is not None:
            return self.values()
        rng = np.random.default_rng(0)
        return [rng.standard_normal(s, np.float32) for s in (self.shape, *self.parameters)]


def cases() -> list[Case]:
    import tinygrad_norm as tn

    F: Any = tn.functional
    found: list[Case] = []

    def add(name: str, shape: tuple[int, ...], parameters: Any, ours: Callable[..., Any], torch: Callable[..., Any]) -> None:
        found.append(Case(name, shape, tuple(parameters), ours, torch))

    for table in SHAPES:
        s: tuple[int, ...] = table
        n = s[-1]
        add("layer_norm", s, [(n,)] * 2, partial(lambda n, b, x, *p: F.layer_norm(x, n, *p, EPS, b), n),
            partial(lambda n, T, x, *p: T.layer_norm(x, (n,), *p, EPS), n))  # fmt: skip
        add("rms_norm", s, [(n,)], partial(lambda n, b, x, w: F.rms_norm(x, n, w, EPS, b), n),
            partial(lambda n, T, x, w: T.rms_norm(x, (n,), w, EPS), n))  # fmt: skip
        add("normalize", s, [], lambda b, x: F.normalize(x, dim=-1, backward=b), lambda T, x: T.normalize(x, dim=-1))
        add("softmax", s, [], lambda b, x: F.softmax(x, -1, b), lambda T, x: T.softmax(x, -1))
        add("log_softmax", s, [], lambda b, x: F.log_softmax(x, -1, b), lambda T, x: T.log_softmax(x, -1))
        add("batch_norm", s, [(n,)] * 2, lambda b, x, *p: F.batch_norm(x, None, None, *p, True, 0.1, EPS, b),
            lambda T, x, *p: T.batch_norm(x, None, None, *p, True, 0.1, EPS))  # fmt: skip
        add("dynamic_tanh", s, [(1,), (n,), (n,)], lambda b, x, *p: F.dynamic_tanh(x, *p, b),
            lambda T, x, a, w, b: (a * x).tanh() * w + b)  # fmt: skip
        add("ada_norm", s, [], partial(lambda n, b, x: F.ada_norm(x, n, eps=EPS, backward=b, detach=False), n),
            lambda T, x: (lambda h: h * (1 - 0.1 * h))(T.layer_norm(x, x.shape[-1:], None, None, EPS)))  # fmt: skip
        add("power_norm_v", s, [(n,)] * 2, lambda b, x, *p: F.power_norm_v(x, *p, EPS, b),
            lambda T, x, w, b: x * (x.square().mean(0) + EPS).rsqrt() * w + b)  # fmt: skip
        add("batch_renorm", s, [(n,)] * 2, lambda b, x, *p: F.batch_renorm(x, None, None, *p, True, 0.01, EPS, backward=b),
            lambda T, x, w, b: standardized(x, (0,)) * w + b)  # fmt: skip
        add("scale_norm", s, [(1,)], lambda b, x, g: F.scale_norm(x, g, EPS, b),
            lambda T, x, g: g * x / x.norm(dim=-1, keepdim=True).clamp(min=EPS))  # fmt: skip
        add("conditional_layer_norm", s, [s] * 2, lambda b, x, *p: F.conditional_layer_norm(x, *p, EPS, b),
            lambda T, x, s, b: (1 + s) * T.layer_norm(x, x.shape[-1:], None, None, EPS) + b)  # fmt: skip
    for s in IMAGES:
        c = (s[1],)
        add("batch_norm", s, [c] * 2, lambda b, x, *p: F.batch_norm(x, None, None, *p, True, 0.1, EPS, b),
            lambda T, x, *p: T.batch_norm(x, None, None, *p, True, 0.1, EPS))  # fmt: skip
        add(
            "group_norm",
            s,
            [c] * 2,
            lambda b, x, *p: F.group_norm(x, 8, *p, EPS, b),
            lambda T, x, *p: T.group_norm(x, 8, *p, EPS),
        )
        add("instance_norm", s, [c] * 2, lambda b, x, *p: F.instance_norm(x, None, None, *p, True, 0.1, EPS, b),
            lambda T, x, *p: T.instance_norm(x, None, None, *p, True, 0.1, EPS))  # fmt: skip
        add("global_response_norm", s, [(s[-1],)] * 2, lambda b, x, *p: F.global_response_norm(x, *p, 1e-6, b), _grn)
        add("filter_response_norm", s, [c] * 3, lambda b, x, *p: F.filter_response_norm(x, *p, 1e-6, b), _frn)
    return [*found, *_others({case.name for case in found})]


def _others(known: set[str]) -> Iterator[Case]:
    """Every other norm that is registered, beside the analytic node."""
    from tinygrad_norm.norms import draw, get, names

    for name in names():
        norm = get(name)
        if name in known or name.startswith("test_"):
            continue
        settings = {**norm.options, **{k: v for k, v in norm.derived_with.items() if k != "lemmas"}}
        shape = {2: (64, 256), 3: (32, 64, 256), 4: (32, 64, 28, 28)}[len(norm.shape)]
        shapes = {"input": shape, **norm.parameters(shape, **settings)}

        def values(norm: Any = norm, shapes: Any = shapes) -> list[Any]:
            rng = np.random.default_rng(0)
            return [draw(norm, n, rng, s).astype(np.float32) for n, s in shapes.items()]

        def ours(backward: str, *leaves: Any, norm: Any = norm, shapes: Any = shapes, settings: Any = settings) -> Any:
            return norm.apply(dict(zip(shapes, leaves)), backward=backward, **settings)

        yield Case(name, shape, tuple(list(shapes.values())[1:]), ours, None, values)


def _frn(T: Any, x: Any, w: Any, b: Any, t: Any) -> Any:
    w, b, t = (p.reshape(-1, 1, 1) for p in (w, b, t))
    return ((x * (x.square().mean((2, 3), keepdim=True) + 1e-6).rsqrt()) * w + b).maximum(t)


def _grn(T: Any, x: Any, w: Any, b: Any) -> Any:
    g = x.square().sum((1, 2), keepdim=True).sqrt()
    return x * (g / (g.mean(-1, keepdim=True) + 1e-6)) * w + b + x
