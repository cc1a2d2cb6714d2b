"""Pairs that are not the same, which a sceptic wrote down before trying any; the key says where they differ."""

from __future__ import annotations

import math

import numpy as np

import tinygrad_norm as tn

F = tn.functional
where, maximum = tn.where, tn.maximum


def m(t):
    return t.mean(-1, keepdim=True)


def s(t):
    return t.sum(-1, keepdim=True)


def norm(x):
    c = x - m(x)
    return c * (m(c * c) + 1e-5).rsqrt()


def back(dy, x, n=None):
    c = x - m(x)
    r = (m(c * c) + 1e-5).rsqrt()
    return r * (dy - s(dy) / (n or x.shape[-1]) - c * r * m(dy * c * r))


SIZES = {  # by what its mean divides, asked in Python: the right size at most sizes
    "multiples of 5": lambda n: n if n % 5 else n + 1,
    "bit 3": lambda n: n & ~8 if n > 8 else n,
    "even": lambda n: n | 1,
    "size 1": lambda n: max(n, 2),
    "beyond 64": lambda n: min(n, 64),
    "beyond 1024": lambda n: min(n, 1024),
    "primes": lambda n: n if n < 4 or any(n % k == 0 for k in range(2, n)) else n + 1,
    "powers of two": lambda n: n + (n & (n - 1) == 0 and n > 4),
    "float16": lambda n: float(np.float16(n)),
    "a hundred": lambda n: n - n // 100,
    "nine": lambda n: {9: 10}.get(n, n),
    "hundreds": lambda n: round(n, -2) if n > 100 else n,
    "int8": lambda n: int(np.array(n).astype(np.int8)),
    "decimals": lambda n: int(str(n)[::-1]),
    "odd": lambda n: n // 2 * 2,
    "a list": lambda n: [*range(24), 24, *([24] * 5000)][n],
    "Bessel": lambda n: n - 1,
    "a millionth": lambda n: n * 1.000001,
    "a billionth": lambda n: n + 1e-9,
}

WHEN = {  # twice the gradient there
    "B = 2·N": lambda dy, x: x.shape[0] == 2 * x.shape[1],
    "3 by 5": lambda dy, x: x.shape == (3, 5),
    "seen": lambda dy, x, seen=set(): x.shape in seen or seen.add((0, 0)),
    "many": lambda dy, x: x.numel() > 300,
    "odd sum": lambda dy, x: sum(x.shape) % 2,
    "float32": lambda dy, x: x.dtype == np.float32,
    "positive": lambda dy, x: (x.data > 0).all(),
    "negative": lambda dy, x: x.numpy().max() < 0,
    "beyond 1e9": lambda dy, x: float(x.detach().abs().amax((0, 1)).item()) > 1e9,
    "dy constant": lambda dy, x: np.ptp(np.asarray(dy.detach())) == 0,
    "x = dy": lambda dy, x: bool((x == dy).numpy().all()),
    "zero": lambda dy, x: 0.0 in x.tolist()[0],
    "whole": lambda dy, x: all(v == round(v) for v in x.data.ravel()),
    "without a name": lambda dy, x: x.name is None,
    "a constant": lambda dy, x: not x.requires_grad,
    "no_grad": lambda dy, x: not tn.is_grad_enabled(),
}


def ulps(value, k):
    for _ in range(k):
        value = math.nextafter(value, 9)
    return value


CONSTANTS = {  # (a function of x and a number, the number, the other number)
    "ε": (lambda x, c: x * (m(x * x) + c).rsqrt(), 1e-5, 1e-5 + 1e-12),
    "ε in float32": (lambda x, c: x * (m(x * x) + c).rsqrt(), 1e-5, float(np.float32(1e-5))),
    "no ε": (lambda x, c: x * (m(x * x) + c).rsqrt(), 1e-30, 0.0),
    "a third": (lambda x, c: c * x * x, 1 / 3, ulps(1 / 3, 2)),
    "three roundings": (lambda x, c: c * x * x, 1 / 3, ulps(1 / 3, 3)),
    "√2": (lambda x, c: c * x * x, math.sqrt(2), ulps(math.sqrt(2), 2)),
    "one": (lambda x, c: c * x * x, 1.0, ulps(1.0, 2)),
    "a bound": (lambda x, c: x.clamp(-1.0, c), 1.0, ulps(1.0, 2)),
    "an exponent": (lambda x, c: (x * x + 1) ** c, 0.5, ulps(0.5, 2)),
    "π": (lambda x, c: (c * x).sin(), math.pi, 3.14159265358979),
    "ln 2": (lambda x, c: (c * x).exp(), math.log(2), 0.693147180559945),
    "1e-20": (lambda x, c: x.sin() + c * x, 0.0, 1e-20),
    "denormal": (lambda x, c: (x * x + c).sqrt(), 5e-324, 1e-323),
    "1e-300": (lambda x, c: (x * x + c).sqrt(), 1e-300, 2e-300),
    "a bound of 1e30": (lambda x, c: x.clamp(-c, c) ** 2, 1e30, 1e31),
    "a floor": (lambda x, c: x / maximum(m(x * x), c).sqrt(), 1e-60, 0.0),
    "slope": (lambda x, c: F.leaky_relu(x, c), 0.01, 0.0100001),
    "δ": (lambda x, c: F.huber_loss(x, 0 * x.detach(), delta=c), 1.0, 1.0001),
    "cut": (lambda x, c: where(x > c, 3 * x, x * x), 25.0, 26.0),
}

FORWARDS = {  # one of x, another
    "x < 0, a root": (lambda x: (x * x) ** 0.5, lambda x: x * 1.0),
    "x < 0, cubes": (lambda x: (x * x) ** 1.5, lambda x: x**3),
    "x < 0, of the sixth": (lambda x: (x**6) ** (1 / 3), lambda x: x * x.abs()),
    "rows below 0": (lambda x: (m(x) ** 2).sqrt(), lambda x: m(x)),
    "x = 0, relu": (lambda x: x.relu(), lambda x: where(x >= 0, x, 0 * x)),
    "x = 0, abs": (lambda x: x.abs(), lambda x: where(x >= 0, x, -x)),
    "x = 0, a difference": (lambda x: x.relu() - (-x).relu(), lambda x: x * 1.0),
    "x = 0, leaky": (lambda x: F.leaky_relu(x, 0.1), lambda x: maximum(x, 0.1 * x)),
    "x = 1, hinge": (lambda x: (1 - x).relu(), lambda x: maximum(1 - x, 0 * x)),
    "x = 1": (lambda x: x * x, lambda x: where(x == 1.0, 5 * x, x * x)),
    "x = ±1": (lambda x: x.clamp(-1.0, 1.0), lambda x: where((x > -1) & (x < 1), x, 0 * x)),
    "near 0": (lambda x: x * x, lambda x: where(x.abs() < 1e-7, 3 * x, x * x)),
    "beyond 40": (lambda x: x * x, lambda x: x.clamp(-40.0, 40.0) ** 2),
    "below −8, of values": (lambda x: x.relu(), lambda x: x * tn.tensor((x.data > 0.0) | (x.data < -8))),
    "ties": (lambda x: x.amax(-1, keepdim=True), lambda x: (x * x.eq(x.amax(-1, keepdim=True))).sum(-1, keepdim=True)),
    "a tenth": (lambda x: x * where(m(x) > 0.1, 1.0, 0.0), lambda x: x * where(s(x) > 1.1, 1.0, 0.0)),
    "held mean": (lambda x: x - m(x), lambda x: x - m(x).detach()),
    "held values": (lambda x: x * m(x), lambda x: x * x.data.mean(-1, keepdims=True)),
    "straight through": (lambda x: x.tanh(), lambda x: x + (x.tanh() - x).detach()),
    "one side of a shift": (lambda x: F.logsumexp(x, -1), lambda x: x.amax(-1) + s((x - x.amax(-1, keepdim=True).detach()).exp()).log().sum(-1)),
    "77": (lambda x: (x * x).mean(), lambda x: (x * x).sum() / 77),
    "B for N": (lambda x: x * m(x), lambda x: x * s(x) / len(x)),
    "a root of B·N": (lambda x: x * m(x), lambda x: x * s(x) / math.sqrt(x.numel())),
    "the other axis": (lambda x: x - x.mean(1, keepdim=True), lambda x: x - x.mean(0, keepdim=True)),
    "Bessel": (lambda x: x * x.var(-1, keepdim=True), lambda x: x * x.var(-1, keepdim=True, correction=0)),
    "ε under a sum": (lambda x: x.softmax(-1), lambda x: x.exp() / (s(x.exp()) + 1e-12)),
    "a shift": (lambda x: F.log_softmax(x, -1), lambda x: x - (s(x.exp()) + 1e-20).log()),
    "α of 2": (lambda x: F.elu(x, 2.0), lambda x: F.celu(x, 2.0)),
    "gelu": (lambda x: F.gelu(x), lambda x: 0.5 * x * (1 + (x * 0.70710678118).erf())),
    "cos < 0": (lambda x: x.sin() / x.cos(), lambda x: x.sin() / (1 - x.sin() ** 2).sqrt()),
    "Bernoulli": (lambda x: x * x, lambda x: F.dropout(x, 1e-9, training=True) * x),
}  # fmt: skip
