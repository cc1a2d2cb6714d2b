# %% [markdown]
# # 16 · What is held constant
#
# A gradient answers "what if x moved?". Some layers decide that part of what they compute shall *not* move along: they
# stop the gradient. Then a finite difference of the layer, which moves everything, disagrees with its backward pass, and
# both are right. The question is which function was meant to be differentiated.

# %%
import numpy as np

import tinygrad_norm as tn

F = tn.functional
rng = np.random.default_rng(0)
x = tn.tensor(rng.normal(1.0, 2.0, size=(8, 3)), requires_grad=True, name="x")
gamma = tn.tensor(rng.normal(size=3), requires_grad=True, name="γ")
beta = tn.tensor(rng.normal(size=3), requires_grad=True, name="β")
dy = rng.normal(size=(8, 3))


def slope(f, at, direction, h=1e-5):
    """⟨dy, f⟩ moved along a direction: the central difference, which knows no stop-gradient."""
    return np.sum(dy * (f(at + h * direction) - f(at - h * direction))) / (2 * h)


# %% [markdown]
# ## Batch Renormalization: r and d
#
# BatchNorm trains one function and uses another (lesson 15). Batch Renormalization corrects the first,
#
#     y = γ·(x̂·r + d) + β,    r = σ/s,  d = (μ − m)/s,
#
# so that with running mean m and deviation s it *computes* exactly what inference does, γ·(x − m)/s + β. But r and d,
# which depend on x, are held constant in the backward pass.

# %%
m, s = np.array([0.5, 1.0, 1.5]), np.array([1.0, 2.0, 3.0])
free = {"rmax": np.inf, "dmax": np.inf}  # no clipping: the pure case
y = F.batch_renorm(x, m.copy(), s.copy(), gamma, beta, training=True, **free)
same = F.batch_renorm(x, m, s, gamma, beta, training=False)
print(f"training against inference, values: {np.abs(y.data - same.data).max():.1e}")
print(tn.graph(y))

# %% [markdown]
# In the picture r and d come from nowhere: two leaves without history. Now move x along some direction, in three ways.

# %%
direction = rng.normal(size=x.shape)
(dx,) = tn.grad(y, x, dy)
held = {t.name: t.data for t in tn.graph(y).tensors if t.name in ("r", "d")}


def whole(a):
    """The layer as it computes: r and d move with x."""
    return F.batch_renorm(tn.tensor(a), m.copy(), s.copy(), gamma, beta, training=True, **free).data


def with_r_and_d_held(a):
    xhat = (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5)
    return (xhat * held["r"] + held["d"]) * gamma.data + beta.data


def inference(a):
    return (a - m) / s * gamma.data + beta.data


backward = float(np.sum(dx.data * direction))
moves = {f.__name__: slope(f, x.data, direction) for f in (whole, with_r_and_d_held, inference)}
print(f"the backward pass          {backward:+.6f}")
for name, value in moves.items():
    print(f"moved: {name:<19} {value:+.6f}")

# %% [markdown]
# The whole step, moved, is inference, moved: nothing couples the samples. The backward pass is the one with r and d held.
# It still takes out what BatchNorm takes out, the mean and the part along x̂. That is the point of the method: networks
# trained with the gradient of inference, g/s, were seen to blow up (Ioffe, Szegedy 2015, section 2).

# %%
(free_dx,) = tn.grad(same, x, dy)
x_hat = (x.data - x.data.mean(0)) / x.data.std(0)
for name, g in (("r, d held", dx.data), ("inference", free_dx.data)):
    print(f"{name}: Σ dx = {np.abs(g.sum(0)).max():.1e}, Σ dx·x̂ = {np.abs((g * x_hat).sum(0)).max():.1e}")

# %%
assert np.allclose(y.data, same.data, atol=1e-12), "uncorrected by clipping, training computes what inference does"
assert np.isclose(backward, moves["with_r_and_d_held"], rtol=1e-6), "the backward pass holds r and d"
assert np.isclose(moves["whole"], moves["inference"], rtol=1e-6), "moved as a whole, the step is inference"
assert abs(backward - moves["whole"]) > 0.1, "and that is another number"
assert np.abs(dx.data.sum(0)).max() < 1e-12
assert np.abs(free_dx.data.sum(0)).max() > 0.1
print("ok: a gradient is of a function, and somebody chooses which")
