"""The normal form: it proves what is true of normalized values, and never what is false."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

import tinygrad_norm as tn
from tinygrad_norm.derive import derive
from tinygrad_norm.derive.algebra import multiplied_out
from tinygrad_norm.derive.letters import Letters
from tinygrad_norm.derive.normal import Normal
from tinygrad_norm.derive.symbols import Letter, Mean, Sigma

B, N = (sp.Symbol(name, integer=True, positive=True) for name in "BN")


@pytest.fixture(scope="module")
def ln():
    """LayerNorm's letters, and those of a second input."""
    letters = derive("layer_norm").letters
    return letters, {s.expr.name: s.expr for s in letters.of.values() if isinstance(s.expr, Letter)} | {"ε": Letter("ε")}


TRUE = {
    "deviations sum to zero": lambda a: Sigma(a["c"], N),
    "normalized deviations, too": lambda a: Mean(a["x̂"], N),
    "the mean square is 1 − ε·r²": lambda a: Mean(a["x̂"] ** 2, N) - (1 - a["ε"] * a["rstd"] ** 2),
    "variance two ways": lambda a: Mean(a["x"] ** 2, N) - a["μ"] ** 2 - a["σ²"],
    "variance by deviations": lambda a: Sigma(a["c"] * a["x"], N) / N - a["σ²"],
    "r is 1/√(σ² + ε)": lambda a: a["rstd"] ** 2 * (a["σ²"] + a["ε"]) - 1,
    "r⁴": lambda a: a["rstd"] ** 4 - 1 / (a["σ²"] + a["ε"]) ** 2,
    "r by a square root": lambda a: a["rstd"] * sp.sqrt(N * a["σ²"] + N * a["ε"]) - sp.sqrt(N),
    "Σ c x̂": lambda a: Mean(a["c"] * a["x̂"], N) - a["σ²"] * a["rstd"],
    "the sum of γ leaves": lambda a: Sigma(a["γ"] * a["μ"], N) - a["μ"] * Sigma(a["γ"], N),
    "sums over two axes part": lambda a: Sigma(a["γ"] * a["rstd"], B, N) - Sigma(a["γ"], N) * Sigma(a["rstd"], B),
    "sums join": lambda a: Sigma(a["rstd"] * Sigma(a["x"] * a["γ"], N), B) - Sigma(a["rstd"] * a["x"] * a["γ"], B, N),
    "1 sums to its size": lambda a: Sigma(sp.Integer(1), N) - N,
}

FALSE = {
    "a sum over the other axis": lambda a: Sigma(a["c"], B),
    "the mean square is 1": lambda a: Mean(a["x̂"] ** 2, N) - 1,
    "the third moment": lambda a: Mean(a["x̂"] ** 3, N),
    "variance without its mean": lambda a: Mean(a["x"] ** 2, N) - a["σ²"],
    "N − 1 for N": lambda a: Sigma(a["c"] ** 2, N) / (N - 1) - a["σ²"],
    "the product of sums": lambda a: Sigma(a["x"] * a["c"], N) - Sigma(a["x"], N) * Sigma(a["c"], N),
    "the square of a sum": lambda a: Sigma(a["x"] ** 2, N) - Sigma(a["x"], N) ** 2,
    "what varies cannot leave": lambda a: Sigma(a["γ"] * a["c"], N),
    "what varies cannot leave a mean": lambda a: Mean(a["x"] * a["γ"], N) - a["x"] * Mean(a["γ"], N),
    "the same letter in and out": lambda a: Sigma(a["x"] * Sigma(a["x"], N), B) - Sigma(a["x"] ** 2, B, N),
    "a square of a sum is no double sum": lambda a: Sigma(Sigma(a["x"], N) ** 2, B) - Sigma(a["x"] ** 2, B, N),
    "r is 1/σ": lambda a: a["rstd"] ** 2 * a["σ²"] - 1,
    "|x| is not x": lambda a: sp.sqrt(a["x"] ** 2) - a["x"],
    "a root does not part over signs": lambda a: sp.sqrt(a["x"] * a["γ"]) * sp.sqrt(a["x"]) - a["x"] * sp.sqrt(a["γ"]),
    "nor over minus signs": lambda a: sp.sqrt(-a["x"]) * sp.sqrt(-a["γ"]) + sp.sqrt(a["x"] * a["γ"]),
    "nor of a tanh": lambda a: sp.sqrt(sp.tanh(a["x"]) ** 2) - sp.tanh(a["x"]),
    "nor of a quotient": lambda a: sp.sqrt((a["x"] - a["γ"]) ** -2) - 1 / (a["x"] - a["γ"]),
    "exp is not linear": lambda a: sp.exp(a["x"] + a["γ"]) - sp.exp(a["x"]) - sp.exp(a["γ"]),
    "B for N": lambda a: Sigma(sp.Integer(1), N) - B,
    "zero but for a little": lambda a: Sigma(a["c"], N) + sp.Rational(1, 10**12) * a["γ"],
}


@pytest.mark.parametrize("name", TRUE)
def test_it_proves(name, ln):
    letters, a = ln
    assert Normal().is_zero(TRUE[name](a), letters)
    assert abs(np.max(letters.number(TRUE[name](a)))) < 1e-11


@pytest.mark.parametrize("name", FALSE)
def test_it_does_not_prove(name, ln):
    letters, a = ln
    assert not Normal().is_zero(FALSE[name](a), letters)


def test_a_known_sum_is_known_to_it(ln):
    letters, a = ln
    assert not Normal().is_zero(Sigma(a["γ"], N) - 1, letters)
    assert Normal({Sigma(a["γ"], N): sp.Integer(1)}).is_zero(Sigma(a["γ"] * a["μ"], N) - a["μ"], letters)


def test_softmax():
    z = tn.tensor(np.random.default_rng(0).normal(size=(3, 5)), requires_grad=True, name="z")
    w = tn.tensor(np.random.default_rng(1).normal(size=(3, 1)), requires_grad=True, name="w")
    letters = Letters(tn.graph(z * w))
    a, b = (letters.of[t].expr for t in (z, w))
    p = lambda e: sp.exp(e) / Sigma(sp.exp(e), N)  # noqa: E731
    proves = lambda e: Normal().is_zero(e, letters)  # noqa: E731
    assert proves(Sigma(p(a), N) - 1)
    assert proves(p(a + b) - p(a))
    assert proves(p(a - 7 * b) - p(a))
    assert not proves(p(2 * a) - p(a))
    assert not proves(p(a * b) - p(a))
    assert not proves(Sigma(p(a) ** 2, N) - 1)
    assert not proves(Sigma(p(a), B) - 1)


def test_sigma_plus_epsilon_and_scalings():
    letters = derive("layer_norm", eps_mode="std").letters
    a = {s.expr.name: s.expr for s in letters.of.values() if isinstance(s.expr, Letter)}
    eps = Letter("ε")
    assert Normal().is_zero(a["q"] * (a["σ"] + eps) - 1, letters)
    assert Normal().is_zero(Mean(a["c"] ** 2, N) - a["σ"] ** 2, letters)
    assert Normal().is_zero(sp.sqrt(N) * a["σ"] - sp.sqrt(Sigma(a["c"] ** 2, N)), letters)
    assert Normal().is_zero(a["q"] - 1 / (eps + sp.sqrt(Sigma(a["c"] ** 2, N)) / sp.sqrt(N)), letters)
    assert not Normal().is_zero(a["q"] * a["σ"] - 1, letters)
    assert not Normal().is_zero(a["q"] ** 2 * (a["σ"] ** 2 + eps) - 1, letters)
    assert not Normal().is_zero(sp.sqrt(N - 1) * a["σ"] - sp.sqrt(Sigma(a["c"] ** 2, N)), letters)


def random_expression(rng, atoms, depth):
    if depth == 0:
        return atoms[rng.integers(len(atoms))]
    kind = rng.integers(9)
    a, b = (random_expression(rng, atoms, depth - 1) for _ in range(2))
    axes = [(N,), (B,), (B, N)][rng.integers(3)]
    return [a + b, a - b, a * b, a * b, Sigma(a * b, *axes), Mean(a, *axes), a / (b**2 + 1), (a**2 + 2) ** sp.Rational(-1, 2),
            a * sp.exp(-(b**2))][kind]  # fmt: skip


def rewritten(e, rng):
    """The same, written otherwise: multiplied out, means as sums."""
    e = e.replace(Mean, lambda a, *axes: Sigma(a / sp.Mul(*axes), *axes))
    e = multiplied_out(e) if rng.integers(2) else e
    return e.replace(Sigma, lambda a, *axes: Sigma(multiplied_out(a), *axes))


@pytest.mark.parametrize("seed", range(30))
def test_random_identities_are_proved_and_perturbed_ones_never(seed, ln):
    letters, a = ln
    rng = np.random.default_rng(seed)
    atoms = [a["x"], a["γ"], a["c"], a["rstd"], a["x̂"], a["μ"], a["x"]]
    e = random_expression(rng, atoms, 3)
    assert Normal().is_zero(e - rewritten(e, rng), letters)
    for _ in range(5):
        other = perturbed(e, rng, atoms)
        if np.max(np.abs(letters.number(other - e))) > 1e-12:  # else the change changes nothing
            assert not Normal().is_zero(rewritten(other, rng) - e, letters), (e, other)


def perturbed(e, rng, atoms):
    kind = rng.integers(5)
    if kind == 0:  # a letter for another
        old = [a for a in atoms if e.has(a)]
        return e.xreplace({old[rng.integers(len(old))]: atoms[rng.integers(len(atoms))]}) if old else e + 1
    if kind == 1:  # a sum over another axis
        return e.replace(Sigma, lambda a, *axes: Sigma(a, *((B,) if axes == (N,) else (N,))))
    if kind == 2:
        return e.replace(Mean, lambda a, *axes: Sigma(a, *axes) / (sp.Mul(*axes) - 1))
    if kind == 3:  # one term or factor fewer
        return e.func(*e.args[1:]) if (e.is_Add or e.is_Mul) and len(e.args) > 1 else -e
    return e + sp.Rational(1, 1000) * atoms[rng.integers(len(atoms))]


def test_the_perturbed_ones_are_many(ln):
    letters, a = ln
    atoms = [a["x"], a["γ"], a["c"], a["rstd"], a["x̂"], a["μ"], a["x"]]
    changed = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        e = random_expression(rng, atoms, 3)
        changed += sum(np.max(np.abs(letters.number(perturbed(e, rng, atoms) - e))) > 1e-12 for _ in range(5))
    assert changed > 90
