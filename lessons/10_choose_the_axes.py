# %% [markdown]
# # 10 · One kernel, many norms: choose the axes
#
# LayerNorm, BatchNorm, InstanceNorm and GroupNorm are four names of one function:
#
#     x̂ = (x − mean(x))/√(mean((x − mean(x))²) + ε)
#
# They differ in one thing only: over which axes the means are taken.

# %%
import numpy as np

import tinygrad_norm as tn

F = tn.functional
EPS = 1e-5


def standardize(x, axes):
    centred = x - x.mean(axes, keepdims=True)
    return centred * ((centred**2).mean(axes, keepdims=True) + EPS).rsqrt()


# %% [markdown]
# Take a batch of N = 3 images with C = 4 channels of 2×5 places. Samples and channels have sizes of their
# own, so that it matters with whom one is averaged.

# %%
rng = np.random.default_rng(0)
N, C, H, W = 3, 4, 2, 5
scale = rng.uniform(0.5, 4, (N, C, 1, 1))
x = tn.tensor(rng.normal(size=(N, C, H, W)) * scale + rng.normal(0, 5, (N, C, 1, 1)), requires_grad=True, name="x")


def groups_of(count):
    """GroupNorm: the channels become groups of channels, an axis of their own."""
    return lambda x: standardize(x.reshape(N, count, C // count, H, W), (2, 3, 4)).reshape(N, C, H, W)


ours = {
    "batch": lambda x: standardize(x, (0, 2, 3)),
    "layer": lambda x: standardize(x, (1, 2, 3)),
    "instance": lambda x: standardize(x, (2, 3)),
    "group": groups_of(2),
}
library = {
    "batch": lambda x: F.batch_norm(x, training=True, eps=EPS),
    "layer": lambda x: F.layer_norm(x, (C, H, W), eps=EPS),
    "instance": lambda x: F.instance_norm(x, eps=EPS),
    "group": lambda x: F.group_norm(x, 2, eps=EPS),
}
for name in ours:
    print(f"{name:<8} max |ours − library's|: {np.abs(ours[name](x).data - library[name](x).data).max():.1e}")

# %% [markdown]
# ## Who is in it together
#
# Ask one output, of sample 1 and channel 2, which inputs it depends on. Its gradient answers: it is zero
# wherever nothing was averaged. A block per norm, a row per sample, a column per channel:


# %%
def together(norm):
    dy = np.zeros((N, C, H, W))
    dy[1, 2, 0, 0] = 1
    (dx,) = tn.grad(norm(x), x, dy)
    return np.abs(dx.data).max((2, 3)) > 0


print("   ".join(f"{name:<8}" for name in ours))
for n in range(N):
    print("   ".join(f"{''.join('█' if t else '·' for t in together(norm)[n]):<8}" for norm in ours.values()))

# %% [markdown]
# The column is BatchNorm: what one sample's gradient is depends on the others. That is why it wants large batches, and
# why it needs running statistics to judge a single sample. In the other three, rows keep to themselves.
#
# RMSNorm leaves one thing away, c = x − mean(x), and takes mean(x²): no route leads through a μ then, and dx loses the term −rstd·mean(g).
#
# ## One backward pass, too
#
# Nothing in the derivation of lesson 7 asked which axes they were:
#
#     dx = rstd·(g − mean(g) − x̂·mean(g·x̂))


# %%
def pull(g, x, axes):
    """Over arrays; the same line for every norm."""
    c = x - x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt((c**2).mean(axes, keepdims=True) + EPS)
    xhat = c * rstd
    return rstd * (g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True))


dy = rng.normal(size=x.shape)
gaps = {}
for name, axes in {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}.items():
    (dx,) = tn.grad(library[name](x), x, dy)
    gaps[name] = np.abs(dx.data - pull(dy, x.data, axes)).max()
(dx,) = tn.grad(library["group"](x), x, dy)
grouped = (N, 2, C // 2, H, W)
gaps["group"] = np.abs(dx.data - pull(dy.reshape(grouped), x.data.reshape(grouped), (2, 3, 4)).reshape(x.shape)).max()
print("max |dx − formula|:", "  ".join(f"{name} {gap:.0e}" for name, gap in gaps.items()))

# %%
assert all(np.abs(ours[name](x).data - library[name](x).data).max() < 1e-12 for name in ours), "four norms, one function"
assert max(gaps.values()) < 1e-12, "and one backward pass"
assert [int(together(norm).sum()) for norm in ours.values()] == [3, 4, 1, 2], "a column, a row, one, two"
print("ok: one function, four choices of axes")
