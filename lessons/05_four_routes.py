# %% [markdown]
# # 5 · The four routes of LayerNorm, and the one that vanishes
#
# From x to y there is the straight way; the way through the mean; the way through the variance; and one
# more that textbooks leave out: through the mean *inside* the variance.

# %%
import numpy as np

import tinygrad_norm as tn

images, _ = tn.data.digits()
rng = np.random.default_rng(0)
x = tn.tensor(images[:8].reshape(8, 64), requires_grad=True, name="x")
gamma = tn.tensor(rng.normal(size=64), name="γ")
beta = tn.tensor(rng.normal(size=64), name="β")
y = tn.functional.layer_norm(x, 64, gamma, beta)
dy = rng.normal(size=y.shape)

print(tn.graph(y))

# %%
routes = tn.graph(y).routes(x, dy)
print(routes)

# %% [markdown]
# (`dy`, what comes from behind, is called the *cotangent*; a random one is like a loss that weighs every entry differently.)
# Each share was computed by pulling dy back along that route alone. Together they are dx.
#
# **Why D vanishes.** μ enters the variance through c = x − μ, and dσ²/dμ = −2·mean(c) = 0: deviations from a
# mean sum to zero. Zero here, so it does no harm to leave it out of the *formula*. But do not cut it
# from the *record*: its own derivative is not zero, and second derivatives come out wrong:

# %%
a, b, c, d = (r.share for r in routes)
print(f"largest entry of D: {np.abs(d).max():.1e}, of dx: {np.abs(routes.total).max():.1e}")


def without_d(x):
    apart = x - x.mean(-1, keepdims=True).detach()  # the μ inside the variance is a constant
    return (x - x.mean(-1, keepdims=True)) * ((apart * apart).mean(-1, keepdims=True) + 1e-5).rsqrt()


row, v, w = tn.tensor(rng.normal(size=(1, 8)), requires_grad=True), rng.normal(size=(1, 8)), rng.normal(size=(1, 8))
gaps = []
for f in (lambda x: tn.functional.layer_norm(x, 8), without_d):
    (first,) = tn.grad(f(row), row, v, create_graph=True)
    gaps.append((first.data, tn.grad(first, row, w)[0].data))
first_gap, second_gap = (np.abs(one - other).max() for one, other in zip(*gaps))
print(f"D cut: the gradient is off by {first_gap:.0e}, the gradient of the gradient by {second_gap:.2f}")

# %% [markdown]
# **What B and C do.** B makes every row of the gradient sum to zero: moving all of a row's inputs together
# changes nothing, so no gradient may point that way. C takes out the part along x̂: stretching a row
# changes nothing either. Both only *remove* something from A. The split is orthogonal, so the squared
# lengths add up, to within ε:

# %%
print(routes.energy)

# %% [markdown]
# Therefore a test with `loss = y.sum()` tells you nothing: its cotangent is all ones (γ = 1), which B removes
# completely. The true gradient is zero, and so is that of many wrong formulas.

# %%
plain = tn.functional.layer_norm(x, 64)
(of_sum,) = tn.grad(plain.sum(), x)
print(f"gradient of the sum: largest entry {np.abs(of_sum.data).max():.1e}")

# %%
assert len(routes) == 4
assert np.allclose(a + b + c + d, routes.total, atol=1e-12), "the routes add up to dx"
assert first_gap < 1e-12 < 1e-3 < second_gap, "and must stay on the record"
assert np.abs(d).max() < 1e-12 * np.abs(routes.total).max(), "the fourth is zero"
assert min(np.abs(s).max() for s in (a, b, c)) > 1e-3 * np.abs(routes.total).max(), "and the other three are not"
assert np.allclose(routes.total.sum(axis=-1), 0, atol=1e-10), "every row of dx sums to zero"
assert routes.energy.relative_gap < 1e-4, "the split is orthogonal up to ε"
assert np.abs(of_sum.data).max() < 1e-10, "the gradient of the sum is zero"
print("ok: four routes, three terms, one reason")
