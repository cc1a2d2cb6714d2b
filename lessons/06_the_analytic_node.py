# %% [markdown]
# # 6 · The analytic node: three terms instead of twenty operations
#
# Add up the four routes of lesson 5, cancel the fourth, and this is left (lesson 7 does it line by line):
#
#     dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),   g = dy·γ
#
# (γ and β were copied to every row, as the bias of lesson 3 was: what reaches them is a sum over all axes but the last, of dy times
# the slope of each.)
#
# A library writes that into one *analytic* node. Is it the same gradient? Four ways are asked, and all pairs of them compared. Of the
# words that come: *complex step*: f(x + i·h) has the derivative in its imaginary part, with no difference taken, so to rounding. *ULP*:
# the distance between two neighbouring floating-point numbers there; 1 is as near as rounding lets be.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.engine import Op
from tinygrad_norm.engine.primitives import mean

print(tn.compare("layer_norm", shape=(4, 8)))

# %% [markdown]
# Same to the last place. Now count: the recorded layer against the fused one. Forward and backward together are the twenty.

# %%
rng = np.random.default_rng(0)
x = tn.tensor(rng.normal(size=(4, 8)), requires_grad=True, name="x")
w = tn.tensor(rng.normal(size=8), requires_grad=True, name="γ")
b = tn.tensor(rng.normal(size=8), requires_grad=True, name="β")
recorded = tn.functional.layer_norm(x, 8, w, b)
analytic = tn.functional.layer_norm(x, 8, w, b, backward="analytic")


def operations(output):
    return sum(t.op is not None for t in tn.graph(output).tensors)


dy = rng.normal(size=(4, 8))
(backward,) = tn.grad(recorded, x, dy, create_graph=True)
print("forward:", operations(recorded), "operations recorded,", operations(analytic), "as one node")
print("forward and backward recorded together:", operations(backward), "operations")

# %% [markdown]
# ## The trap: once more
#
# Fused kernels save the mean and rstd of the forward pass and treat them as constants in the
# backward pass. That is exact for the first derivative, and wrong for the second: rstd depends on x, too.
# Here is that node, as an exhibit: `Op(name, how it prints, its values, a pullback for each input)`. Ours recomputes its statistics from x, in recorded operations.


# %%
def cached(x, eps=1e-5):
    """LayerNorm with saved statistics: what many kernels do."""
    mu = x.data.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(((x.data - mu) ** 2).mean(-1, keepdims=True) + eps)  # arrays: constants to whoever differentiates again

    def dx(g, out, x):
        x_hat = (x - mu) * rstd
        return (g - mean(g, axis=(1,)) - mean(g * x_hat, axis=(1,)) * x_hat) * rstd

    return Op("cached_layer_norm", "cached({0})", lambda x: (x - mu) * rstd, (dx,))(x)


def derivatives(layer, v):
    """The first and second derivative of Σ dy·y along v."""
    (first,) = tn.grad(layer(x), x, dy, create_graph=True)
    (second,) = tn.grad(first, x, v)
    return first.data, second.data


v = rng.normal(size=(4, 8))
ways = {
    "recorded": lambda x: tn.functional.layer_norm(x, 8),
    "analytic": lambda x: tn.functional.layer_norm(x, 8, backward="analytic"),
    "cached": cached,
}
found = {name: derivatives(layer, v) for name, layer in ways.items()}
truth = found["recorded"]
print("max |Δ| to the record   order 1    order 2")
for name, (first, second) in found.items():
    print(f"{name:<22} {np.abs(first - truth[0]).max():9.1e}  {np.abs(second - truth[1]).max():9.1e}")

# %%
assert tn.compare("layer_norm", shape=(4, 8)).ok
assert operations(analytic) == 1
assert operations(recorded) == 9
for order in (0, 1):
    assert np.allclose(found["analytic"][order], truth[order], atol=1e-12), "the analytic node is right at both orders"
assert np.allclose(found["cached"][0], truth[0], atol=1e-12), "cached statistics are right once"
assert np.abs(found["cached"][1] - truth[1]).max() > 0.1, "and wrong the second time"
print("ok: three terms are enough, if they are recomputed")
