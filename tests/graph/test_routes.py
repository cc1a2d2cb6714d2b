"""Routes: every way once, shares that add up, names that tell them apart."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn


def layer_norm(seed=0, shape=(4, 8), eps=1e-5):
    rng = np.random.default_rng(seed)
    x = tn.tensor(rng.normal(size=shape), requires_grad=True, name="x")
    w = tn.tensor(rng.normal(size=shape[-1]), requires_grad=True, name="γ")
    b = tn.tensor(rng.normal(size=shape[-1]), requires_grad=True, name="β")
    return x, w, b, tn.functional.layer_norm(x, shape[-1], w, b, eps), rng.normal(size=shape)


def test_the_four_routes_of_layer_norm():
    x, w, _, y, dy = layer_norm()
    routes = tn.graph(y).routes(x, dy)
    assert [r.letter for r in routes] == ["A", "B", "C", "D"]
    assert [r.title for r in routes] == ["direct", "through μ", "through σ²", "through the μ inside σ²"]
    g = dy * w.data
    xhat = tn.functional.layer_norm(x, 8).data
    rstd = 1 / np.sqrt(x.data.var(-1, keepdims=True) + 1e-5)
    expected = [rstd * g, -rstd * g.mean(-1, keepdims=True) + 0 * g, -rstd * xhat * (g * xhat).mean(-1, keepdims=True), 0 * g]
    for r, e in zip(routes, expected):
        np.testing.assert_allclose(r.share, e, atol=1e-14)
        assert r.norm == pytest.approx(np.linalg.norm(e), abs=1e-13)
    assert routes.gap < 1e-14
    assert routes.running[-1] == pytest.approx(np.linalg.norm(routes.total))
    assert [r.closed_form.text for r in routes[:3]] == ["rstd·dy·γ", "−rstd·mean(dy·γ)", "−rstd·x̂·mean(x̂·dy·γ)"]
    assert [bool(r.closed_form.zero) for r in routes] == [False, False, False, True]
    assert "Σ(c) = 0" in routes["D"].closed_form.zero
    assert routes["C"].rules == "×γ Σ ×c ×−½rstd³ ×1/N ×2c"


def test_parameters_have_one_route():
    _, w, b, y, dy = layer_norm()
    graph = tn.graph(y)
    for leaf, form in ((w, "Σ_B(x̂·dy)"), (b, "Σ_B(dy)")):
        (route,) = graph.routes(leaf, dy)
        assert route.closed_form.text == form
        np.testing.assert_allclose(route.share, tn.grad(y, leaf, dy)[0].data, atol=1e-14)


def test_the_energy_split():
    x, _, _, y, dy = layer_norm()
    energy = tn.graph(y).routes(x, dy).energy
    assert energy.holds
    assert energy.relative_gap < 1e-4
    assert energy.direct == pytest.approx(energy.kept + sum(e for *_, e in energy.taken) + energy.gap)
    assert "‖A‖² = ‖dx‖² + ‖B‖² + ‖C‖²" in str(energy)


def test_no_split_is_printed_where_epsilon_rules():
    x, _, _, y, dy = layer_norm(eps=10.0)
    energy = tn.graph(y).routes(x, dy).energy
    assert not energy.holds
    assert "not split" in str(energy)
    assert "█" not in str(energy)


STEPS = [
    lambda a, b: a * b,
    lambda a, b: a + b.mean(-1, True),
    lambda a, b: a.tanh(),
    lambda a, b: (a - b) * a,
    lambda a, b: a**2,
]


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 6))
def test_shares_add_up_on_any_graph(seed, depth):
    rng = np.random.default_rng(seed)
    x = tn.tensor(rng.normal(size=(3, 4)), requires_grad=True, name="x")
    pool = [x]
    for _ in range(depth):
        a, b = (pool[rng.integers(len(pool))] for _ in range(2))
        pool.append(STEPS[rng.integers(len(STEPS))](a, b))
    y = pool[-1] * x
    graph = tn.graph(y)
    routes = graph.routes(x, limit=5000)
    assert len(routes) == graph.count_routes(x)
    assert len({tuple((e.target, e.position) for e in r.edges) for r in routes}) == len(routes)
    np.testing.assert_allclose(sum(r.share for r in routes), routes.total, atol=1e-9 * max(1, np.abs(routes.total).max()))


def test_one_tensor_used_twice_gives_two_routes():
    a = tn.tensor([2.0, 3.0], requires_grad=True, name="a")
    routes = tn.graph((a * a).sum()).routes(a)
    assert len(routes) == 2
    assert len({r.title for r in routes}) == 2
    np.testing.assert_array_equal(routes.total, 2 * a.data)


def test_too_many_routes_are_counted_not_walked():
    x = tn.tensor(1.0, requires_grad=True, name="x")
    y = x
    for _ in range(1000):
        y = y + y
    graph = tn.graph(y)
    assert graph.count_routes(x) == 2**1000
    with pytest.raises(tn.GradientError, match=r"over 10³⁰¹ routes.*limit=64"):
        graph.routes(x)


def test_a_chain_of_20000_has_one_route():
    x = tn.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(5000):
        y = y * 1.0001
    (route,) = tn.graph(y).routes(x)
    assert route.share == pytest.approx(1.0001**5000)


def test_the_table_fits_and_says_it_all():
    x, _, _, y, dy = layer_norm()
    text = str(tn.graph(y).routes(x, dy))
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "direct",
        "through the μ inside σ²",
        "−rstd·mean(dy·γ)",
        "x ← c ← c² ← σ²",
        "zero, because Σ(c) = 0",
        "sum so far",
    ):
        assert words in text


def test_json():
    x, _, _, y, dy = layer_norm()
    rows = json.loads(tn.graph(y).routes(x, dy).to_json())["routes"]
    assert [r["letter"] for r in rows] == list("ABCD")
    assert rows[0]["passes"] == ["x", "c", "x̂", "x̂·γ", "y"]


def test_misuse():
    x, _, _, y, _ = layer_norm()
    graph = tn.graph(y)
    with pytest.raises(tn.GradientError, match="not part of this graph"):
        graph.routes(tn.tensor(1.0, requires_grad=True))
    with pytest.raises(tn.ShapeError, match=r"cotangent of shape \(2,\).*equal"):
        graph.routes(x, np.ones(2))
    with pytest.raises(tn.GradientError, match="no history"):
        tn.graph(x)
    c = tn.tensor(2.0)
    with pytest.raises(tn.GradientError, match="does not require a gradient"):
        tn.graph(tn.tensor(1.0, requires_grad=True) * c).routes(c)


def test_the_cotangent_by_default_is_not_the_input():
    """x from seed 0 is what everybody tries first; a cotangent from the same seed would be x itself."""
    x = tn.tensor(np.random.default_rng(0).normal(size=(4, 8)), requires_grad=True, name="x")
    routes = tn.graph(tn.functional.layer_norm(x, 8)).routes(x)
    assert np.linalg.norm(routes.total) > 0.1 * routes["A"].norm


def test_closed_forms_keep_their_parentheses():
    x = tn.tensor(np.random.default_rng(0).normal(size=(4, 8)), requires_grad=True, name="x")
    rstd = ((x**2).mean(-1, True) + 1e-5).rsqrt().named("rstd")
    forms = [r.closed_form.text for r in tn.graph((x - 1.0) * rstd).routes(x)]
    assert forms == ["rstd·dy", "−rstd³·x·mean(dy·(x − 1))"]


def test_a_sum_over_another_axis_is_no_proof_of_zero():
    x, w = (
        tn.tensor(np.random.default_rng(k).normal(size=s), requires_grad=True, name=n)
        for k, s, n in ((1, (4, 8), "x"), (2, (4, 1), "w"))
    )
    c = (x - x.mean(0, keepdims=True).named("μ")).named("c")
    y = ((c * w).sum(1, keepdims=True) + x).named("y")
    assert all(r.closed_form.zero is None for r in tn.graph(y).routes(w))


def test_images_normalized_over_three_axes():
    x = tn.tensor(np.random.default_rng(1).normal(size=(2, 3, 2, 2)), requires_grad=True, name="x")
    c = (x - x.mean((0, 2, 3), keepdims=True).named("μ")).named("c")
    rstd = ((c**2).mean((0, 2, 3), keepdims=True).named("σ²") + 1e-5).rsqrt().named("rstd")
    forms = [r.closed_form.text for r in tn.graph((c * rstd).named("x̂") * 1.0).routes(x)]
    assert forms[:3] == ["rstd·dy", "−rstd·mean_BHW(dy)", "−rstd·x̂·mean_BHW(x̂·dy)"]


def test_each_mean_names_its_axes():
    x = tn.tensor(np.random.default_rng(1).normal(size=(4, 8)), requires_grad=True, name="x")
    c = (x - x.mean(0, keepdims=True).named("μ")).named("c")
    forms = [r.closed_form.text for r in tn.graph((c - c.mean(1, keepdims=True).named("m")).named("y")).routes(x)]
    assert sorted(forms) == sorted(["dy", "−mean_B(dy)", "−mean(dy)", "mean_BN(dy)"])


def test_equal_names_do_not_cancel():
    rng = np.random.default_rng(1)
    x, a, b, dy = (tn.tensor(rng.normal(size=(3, 4)), requires_grad=True, name=n) for n in ("x", "w", "w", "dy"))
    assert tn.graph(((x * a) / b).named("y")).routes(x)["A"].closed_form.text == "dy·w/w₂"
    assert tn.graph((x / dy).named("y")).routes(x)["A"].closed_form.text == "d(y)/dy"


def test_what_is_no_factor_is_named():
    x = tn.tensor(np.random.default_rng(1).normal(size=(3, 4)), requires_grad=True, name="x")
    assert tn.graph(tn.functional.softmax(x, -1, backward="analytic").named("y")).routes(x)["A"].rules == "[softmax]"
