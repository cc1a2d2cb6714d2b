"""Two exercises every student of backpropagation knows, on numbers of our own, worked by hand beside the engine.

The first is the example of micrograd's README. The second is the exercise of makemore's fourth part ("becoming a
backprop ninja"): a character model with embedding, linear layer, batch norm and cross-entropy, each written out in
small steps, and the gradient of every step derived by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tinygrad_norm.engine import Tensor, grad, tensor

# micrograd's README ----------------------------------------------------------------------------------------------


def readme(a: Any, b: Any, relu: Callable[[Any], Any]) -> Any:
    c = a + b
    d = a * b + b**3
    c = c + (c + 1)
    c = c + (1 + c + (-a))
    d = d + (d * 2 + relu(b + a))
    d = d + (3 * d + relu(b - a))
    e = c - d
    f = e**2
    return f / 2.0 + 10.0 / f


def test_micrograds_readme():
    a, b = tensor(-4.0, requires_grad=True), tensor(2.0, requires_grad=True)
    g = readme(a, b, lambda x: x.relu())
    g.backward()
    assert (round(g.item(), 4), round(a.grad.item(), 4), round(b.grad.item(), 4)) == (24.7041, 138.8338, 645.5773)  # as it prints


def test_micrograds_readme_exactly():
    """Where b + a < 0 < b − a it is e²/2 + 10/e² with e = 4(a+b) + 3 − a − 12(ab+b³) − (b−a): rational numbers do."""
    a, b = Fraction(-4), Fraction(2)
    e = 4 * (a + b) + 3 - a - 12 * (a * b + b**3) - (b - a)
    slope = e - 20 / e**3
    by_hand = (e**2 / 2 + 10 / e**2, slope * (4 - 12 * b), slope * (3 - 12 * (a + 3 * b**2)))
    x, y = tensor(-4.0, requires_grad=True), tensor(2.0, requires_grad=True)
    g = readme(x, y, lambda t: t.relu())
    for mine, exact in zip((g, *grad(g, (x, y))), by_hand):
        np.testing.assert_allclose(mine.item(), float(exact), rtol=1e-15)


# The ninja exercise -----------------------------------------------------------------------------------------------

N, CONTEXT, LETTERS, EMBEDDED, HIDDEN, EPS = 12, 3, 9, 4, 10, 1e-5
LEAVES = ("C", "W1", "b1", "bngain", "bnbias", "W2", "b2")


def parameters() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(42)
    return {
        "C": rng.standard_normal((LETTERS, EMBEDDED)),
        "W1": rng.standard_normal((CONTEXT * EMBEDDED, HIDDEN)) * 0.5,
        "b1": rng.standard_normal(HIDDEN) * 0.1,  # batch norm makes it useless; its gradient must come out as 0
        "bngain": rng.standard_normal((1, HIDDEN)) * 0.1 + 1.0,
        "bnbias": rng.standard_normal((1, HIDDEN)) * 0.1,
        "W2": rng.standard_normal((HIDDEN, LETTERS)) * 0.3,
        "b2": rng.standard_normal(LETTERS) * 0.1,
    }


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(43)
    return rng.integers(0, LETTERS, (N, CONTEXT)), rng.integers(0, LETTERS, N)


def forward(leaves: dict[str, Any], X: Any, Y: Any, rows: Any, largest: Callable[[Any], Any]) -> dict[str, Any]:
    """Every step by name. The methods are spelled alike in PyTorch and here; only the largest entry is not."""
    C, W1, b1, bngain, bnbias, W2, b2 = (leaves[name] for name in LEAVES)
    s: dict[str, Any] = dict(leaves)
    s["emb"] = C[X]
    s["embcat"] = s["emb"].reshape(N, CONTEXT * EMBEDDED)
    s["hprebn"] = s["embcat"] @ W1 + b1
    s["bnmeani"] = 1 / N * s["hprebn"].sum(0, keepdim=True)
    s["bndiff"] = s["hprebn"] - s["bnmeani"]
    s["bndiff2"] = s["bndiff"] ** 2
    s["bnvar"] = 1 / (N - 1) * s["bndiff2"].sum(0, keepdim=True)
    s["bnvar_inv"] = (s["bnvar"] + EPS) ** -0.5
    s["bnraw"] = s["bndiff"] * s["bnvar_inv"]
    s["hpreact"] = bngain * s["bnraw"] + bnbias
    s["h"] = s["hpreact"].tanh()
    s["logits"] = s["h"] @ W2 + b2
    s["logit_maxes"] = largest(s["logits"])
    s["norm_logits"] = s["logits"] - s["logit_maxes"]
    s["counts"] = s["norm_logits"].exp()
    s["counts_sum"] = s["counts"].sum(1, keepdim=True)
    s["counts_sum_inv"] = s["counts_sum"] ** -1
    s["probs"] = s["counts"] * s["counts_sum_inv"]
    s["logprobs"] = s["probs"].log()
    s["loss"] = -s["logprobs"][rows, Y].mean()
    return s


def backward_by_hand(s: dict[str, np.ndarray], X: np.ndarray, Y: np.ndarray) -> dict[str, np.ndarray]:
    """d(loss)/d(step) for every step, each from the ones after it."""
    d: dict[str, np.ndarray] = {"loss": np.array(1.0)}
    d["logprobs"] = -np.eye(LETTERS)[Y] / N
    d["probs"] = d["logprobs"] / s["probs"]
    d["counts_sum_inv"] = (s["counts"] * d["probs"]).sum(1, keepdims=True)
    d["counts_sum"] = -d["counts_sum_inv"] / s["counts_sum"] ** 2
    d["counts"] = s["counts_sum_inv"] * d["probs"] + d["counts_sum"]  # two ways: into probs, into the sum
    d["norm_logits"] = s["counts"] * d["counts"]
    d["logit_maxes"] = -d["norm_logits"].sum(1, keepdims=True)
    d["logits"] = d["norm_logits"] + np.eye(LETTERS)[s["logits"].argmax(1)] * d["logit_maxes"]
    d["h"] = d["logits"] @ s["W2"].T
    d["W2"] = s["h"].T @ d["logits"]
    d["b2"] = d["logits"].sum(0)
    d["hpreact"] = (1 - s["h"] ** 2) * d["h"]
    d["bngain"] = (s["bnraw"] * d["hpreact"]).sum(0, keepdims=True)
    d["bnbias"] = d["hpreact"].sum(0, keepdims=True)
    d["bnraw"] = s["bngain"] * d["hpreact"]
    d["bnvar_inv"] = (s["bndiff"] * d["bnraw"]).sum(0, keepdims=True)
    d["bnvar"] = -0.5 * (s["bnvar"] + EPS) ** -1.5 * d["bnvar_inv"]
    d["bndiff2"] = np.repeat(d["bnvar"], N, axis=0) / (N - 1)
    d["bndiff"] = s["bnvar_inv"] * d["bnraw"] + 2 * s["bndiff"] * d["bndiff2"]
    d["bnmeani"] = -d["bndiff"].sum(0, keepdims=True)
    d["hprebn"] = d["bndiff"] + np.repeat(d["bnmeani"], N, axis=0) / N
    d["embcat"] = d["hprebn"] @ s["W1"].T
    d["W1"] = s["embcat"].T @ d["hprebn"]
    d["b1"] = d["hprebn"].sum(0)
    d["emb"] = d["embcat"].reshape(N, CONTEXT, EMBEDDED)
    d["C"] = np.zeros_like(s["C"])
    for row, letters in enumerate(X):
        for place, letter in enumerate(letters):
            d["C"][letter] += d["emb"][row, place]
    return d


def cross_entropy_collapsed(s: dict[str, np.ndarray], Y: np.ndarray) -> np.ndarray:
    """d(loss)/d(logits) in one line: (softmax − one-hot)/N."""
    e = np.exp(s["logits"] - s["logits"].max())
    return np.asarray((e / e.sum(1, keepdims=True) - np.eye(LETTERS)[Y]) / N)


def batch_norm_collapsed(s: dict[str, np.ndarray], dy: np.ndarray, bessel: float = N / (N - 1)) -> np.ndarray:
    """d(loss)/d(hprebn) in one line, for the variance over N − 1."""
    along = (dy * s["bnraw"]).sum(0)
    return np.asarray(s["bngain"] * s["bnvar_inv"] / N * (N * dy - dy.sum(0) - bessel * s["bnraw"] * along))


@pytest.fixture(scope="module")
def steps() -> dict[str, Tensor]:
    leaves = {name: tensor(value, requires_grad=True, name=name) for name, value in parameters().items()}
    X, Y = batch()
    return forward(leaves, X, Y, np.arange(N), lambda x: x.max(1, keepdim=True).values)


@pytest.fixture(scope="module")
def values(steps) -> dict[str, np.ndarray]:
    return {name: t.numpy() for name, t in steps.items()}


@pytest.fixture(scope="module")
def found(steps) -> dict[str, np.ndarray]:
    """The engine's gradient of every step, from one backward pass."""
    return {name: g.numpy() for name, g in zip(steps, grad(steps["loss"], list(steps.values())))}


def close(mine: np.ndarray, other: np.ndarray, name: str) -> None:
    assert mine.shape == other.shape, name
    assert mine.dtype == other.dtype == np.float64, name
    np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-14, err_msg=f"d(loss)/d({name})")


def test_the_exercise_is_not_degenerate(values):
    X, _ = batch()
    assert len(np.unique(X)) < X.size, "some letter must occur twice, so that its embedding's gradient adds up"
    assert np.abs(values["h"]).max() < 1.0
    assert np.diff(np.sort(values["logits"], axis=1)[:, -2:]).min() > 1e-3, "no tie in logit_maxes"


def test_every_step_by_hand(values, found):
    by_hand = backward_by_hand(values, *batch())
    assert set(by_hand) == set(found)
    for name, g in found.items():
        close(g, by_hand[name], name)


def test_every_step_in_pytorch(values, found):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its retain_grad is not consulted")
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in parameters().items()}
    X, Y = (torch.tensor(v) for v in batch())
    theirs = forward(leaves, X, Y, torch.arange(N), lambda x: x.max(1, keepdim=True).values)
    for t in theirs.values():
        t.retain_grad()
    theirs["loss"].backward()
    assert set(theirs) == set(found)
    for name, t in theirs.items():
        np.testing.assert_allclose(values[name], t.detach().numpy(), rtol=1e-12, atol=1e-14, err_msg=name)
        close(found[name], t.grad.numpy(), name)


def test_backward_fills_the_leaves_alone(steps, found):
    steps["loss"].backward()
    for name, t in steps.items():
        assert (t.grad is not None) == (name in LEAVES), name
    for name in LEAVES:
        close(steps[name].grad.numpy(), found[name], name)


def test_cross_entropy_collapsed(values, found):
    close(found["logits"], cross_entropy_collapsed(values, batch()[1]), "logits")
    np.testing.assert_allclose(found["logits"].sum(1), 0.0, atol=1e-16)  # a row's gradient adds up to nothing
    np.testing.assert_allclose(found["logit_maxes"], 0.0, atol=1e-16)  # the maximum is there for its numbers only


def test_batch_norm_collapsed(values, found):
    close(found["hprebn"], batch_norm_collapsed(values, found["hpreact"]), "hprebn")
    np.testing.assert_allclose(found["b1"], 0.0, atol=1e-15)


def test_the_usual_mistakes_would_be_seen(values, found):
    """The comparison above is sharp enough for what students get wrong."""
    for bessel in (1.0, 0.0):  # the variance over N, the variance as a constant
        wrong = batch_norm_collapsed(values, found["hpreact"], bessel)
        assert np.abs(wrong - found["hprebn"]).max() > 1e-4
    X, _ = batch()
    overwritten = np.zeros_like(values["C"])
    overwritten[X] = found["emb"]
    assert np.abs(overwritten - found["C"]).max() > 1e-4
