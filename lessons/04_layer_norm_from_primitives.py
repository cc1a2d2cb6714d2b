# %% [markdown]
# # 4 · LayerNorm from primitives, and its picture
#
# Five lines make a LayerNorm. Each is an operation from the table; nothing about normalization is built in.

# %%
import numpy as np

import tinygrad_norm as tn

rng = np.random.default_rng(0)
x = tn.tensor(rng.normal(2.0, 3.0, size=(4, 8)), requires_grad=True, name="x")
gamma = tn.tensor(rng.normal(size=8), requires_grad=True, name="γ")
beta = tn.tensor(rng.normal(size=8), requires_grad=True, name="β")
eps = 1e-5

mu = x.mean(dim=-1, keepdim=True).named("μ")
c = (x - mu).named("c")
variance = (c**2).mean(dim=-1, keepdim=True).named("σ²")
rstd = (variance + eps).rsqrt().named("rstd")
x_hat = (c * rstd).named("x̂")
y = x_hat * gamma + beta

# %% [markdown]
# What was recorded. The *spine* is the straight way from x to y. Two branches leave it: the mean, which is
# subtracted, and the variance, which is divided by. These branches are why the gradient has more than
# one term.

# %%
print(tn.graph(y).listing())
print()
print(tn.graph(y))

# %% [markdown]
# `tn.graph(y).save("layer_norm.svg")` writes the picture; in a notebook, `tn.graph(y)` on a line of its own shows it.

# %% [markdown]
# It is the same function as the library's: the same values, and the same gradient.

# %%
z = tn.functional.layer_norm(x, 8, gamma, beta, eps)
dy = rng.normal(size=y.shape)
mine, theirs = tn.grad(y, [x, gamma, beta], dy), tn.grad(z, [x, gamma, beta], dy)
for name, m, t in zip(("dx", "dγ", "dβ"), mine, theirs):
    print(f"{name}: max |Δ| = {np.abs(m.data - t.data).max():.1e}")

# %%
assert np.allclose(x_hat.data.mean(axis=-1), 0, atol=1e-15), "x̂ has mean 0 in every row"
assert np.allclose(x_hat.data.var(axis=-1), variance.data[:, 0] / (variance.data[:, 0] + eps)), (
    "and variance σ²/(σ²+ε), just below 1"
)
assert all(np.allclose(m.data, t.data, atol=1e-14) for m, t in zip(mine, theirs))
print("ok: five lines, one record, one gradient")
