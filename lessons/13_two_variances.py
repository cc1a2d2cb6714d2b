# %% [markdown]
# # 13 · Two variances
#
#     by definition, two passes    σ² = mean((x − μ)²)
#     in one pass                  σ² = mean(x²) − μ²
#
# On paper they are equal. The second needs to read x only once, so it is popular where memory is slow. This lesson
# shows what it costs: first in the forward pass, then in the backward pass, which is worse.

# %%
import numpy as np

import tinygrad_norm as tn

EPS = 1e-5


def two_passes(x):
    mu = x.mean(-1, keepdims=True).named("μ")
    c = (x - mu).named("c")
    variance = (c**2).mean(-1, keepdims=True).named("σ²")
    return (c * (variance + EPS).rsqrt().named("rstd")).named("x̂")


def one_pass(x):
    mu = x.mean(-1, keepdims=True).named("μ")
    variance = ((x**2).mean(-1, keepdims=True).named("mean(x²)") - mu**2).named("σ²")
    return ((x - mu).named("c") * (variance + EPS).rsqrt().named("rstd")).named("x̂")


# %% [markdown]
# ## Four numbers
#
# Their variance is exactly 1.25. In float32, with 24 bits, their squares are not: the spacing of numbers near
# 4096² = 16 777 216 is 1 or 2, and what is subtracted from what has lost the digits that mattered.

# %%
numbers = np.array([[4094.5, 4095.5, 4096.5, 4097.5]], "float32")
values = {f.__name__: f(tn.tensor(numbers)) for f in (two_passes, one_pass)}
naive = np.mean(numbers**2, dtype="float32") - np.mean(numbers, dtype="float32") ** 2
print("mean(x²) − μ² =", naive, "   true: 1.25")
for name, y in values.items():
    print(f"{name:<11}", y.data[0].round(4))

# %% [markdown]
# The variance came out as 0, so ε alone was under the root, and the output is 1/√ε times too large. What others make
# of this row by default, each measured with one version:
#
# | who | largest output (true: 1.3416) |
# |---|---|
# | PyTorch 2.13 `layer_norm`, Keras 3.15, onnxruntime 1.31 LayerNormalization | 1.3416 |
# | Flax 0.12 `LayerNorm` (`use_fast_variance=False`: 1.3416) | 1500 |
# | jax.nn.standardize 0.10 (`algorithm="stable"`: 1.3416) | 1.061 |
# | onnxruntime 1.31 GroupNormalization | 474.3 |
# | the function body of LayerNormalization in the ONNX standard (1.23) | 474.3 |
#
# ## The route that vanishes, and the one that does not
#
# In lesson 5 the route through the mean inside the variance was zero, because deviations from a mean sum to zero.
# That was a fact about the first formula. Here are the routes of both, for a row with mean 50 and σ near 1:

# %%
rng = np.random.default_rng(0)
rows, dy = rng.normal(size=(2, 16, 64))


def routes(f, offset):
    x = tn.tensor(rows[:1] + offset, requires_grad=True, name="x")
    return tn.graph(f(x)).routes(x, dy[:1])


by_definition, naively = routes(two_passes, 50.0), routes(one_pass, 50.0)
print(by_definition, "\n")
print(naively)


# %%
def through_variance(found):
    """The two routes that pass σ²: straight from x, and through μ."""
    names = [{found.graph.nodes[i].label for i in r.nodes} for r in found]
    straight = next(r for r, n in zip(found, names) if "σ²" in n and "μ" not in n)
    around = next(r for r, n in zip(found, names) if {"σ²", "μ"} <= n)
    return straight, around


(c, d), (c1, d1) = through_variance(by_definition), through_variance(naively)
print(f"\ntwo passes: straight {c.norm:8.3f}   through μ {d.norm:8.1e}")
print(f"one pass:   straight {c1.norm:8.3f}   through μ {d1.norm:8.3f}   together {np.linalg.norm(c1.share + d1.share):.3f}")

# %% [markdown]
# Same sum, by other means. Differentiate mean(x²) − μ² and you get 2x/N − 2μ/N: not a small number, but the difference of two
# large ones. By definition it was 2(x − μ)/N, subtracted *before* anything was multiplied. So in one pass the backward pass
# cancels, too: two routes of size μ/σ that must agree to leave something of size 1.
#
# There is a third variance: `torch.std` divides by N − 1. Then dσ²/dc = 2c/(N − 1): a divisor of the forward pass turns up again on
# the route through σ², and on no other. The mean still divides by N.

# %%
largest = {name: float(np.abs(y.data).max()) for name, y in values.items()}
assert naive == 0, "all digits lost"
assert np.allclose(values["two_passes"].data, [[-1.3416, -0.4472, 0.4472, 1.3416]], atol=1e-4)
assert np.isclose(largest["one_pass"], 1.5 / np.sqrt(EPS), rtol=1e-4), "474: ε alone under the root"
assert len(by_definition) == len(naively) == 4
assert np.allclose(by_definition.total, naively.total, atol=1e-11), "one gradient"
assert d.norm < 1e-12, "by definition nothing goes through the mean inside the variance"
assert d1.norm > 20 * np.linalg.norm(c1.share + d1.share), "in one pass much does, only to be cancelled"
assert np.allclose(c1.share + d1.share, c.share, atol=1e-11)
print("ok: subtract first, then square")
