# %% [markdown]
# # 12 · Where does ε live?
#
# Two formulas are in the textbooks, and they look like the same thing written twice:
#
#     inside    x̂ = (x − μ)/√(σ² + ε)        PyTorch, Keras, Flax, TensorFlow, nearly all of ONNX
#     outside   x̂ = (x − μ)/(σ + ε)          "The Annotated Transformer", AdaNorm's and RMSNorm's first code
#
# With σ around 1 nobody can tell them apart. Here they are on rows that hardly vary.

# %%
import numpy as np

import tinygrad_norm as tn

EPS = 1e-5
rng = np.random.default_rng(0)
row = rng.normal(size=(1, 256))
row = (row - row.mean()) / row.std()  # μ = 0, σ = 1
sigmas = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


def spread(sigma, eps_mode):
    """The standard deviation of what comes out: 1 if the layer does what its name says."""
    return float(tn.functional.layer_norm(3.0 + sigma * row, 256, eps=EPS, eps_mode=eps_mode).data.std())


print(f"ε = {EPS:g}\n\n    σ in     σ out, ε inside   σ out, ε outside")
out = {sigma: (spread(sigma, "variance"), spread(sigma, "std")) for sigma in sigmas}
for sigma, (inside, outside) in out.items():
    print(f"{sigma:8.0e} {inside:17.4f} {outside:18.4f}")

# %% [markdown]
# Inside, ε is compared with σ²; outside, with σ. So the same number 1e-5 says "rows below σ = 0.003 count as constant" in one
# and "below 0.00001" in the other. Who moves a network from one to the other puts ε_inside = ε_outside²: then they agree on rows
# far above ε and far below it, and differ by a factor of √2 at most between.
#
# ## How steep it can get
#
# The gradient of a normalization is about 1/σ as long as what comes in. ε is what limits that:
# 1/√ε = 316 inside, 1/ε = 100 000 outside. On a row that is constant, we are at that limit:

# %%
constant = np.full((1, 4), 7.0)
dy = np.array([[1.0, 0.0, 0.0, 0.0]])


def gradient(layer):
    x = tn.tensor(constant, requires_grad=True)
    (dx,) = tn.grad(layer(x), x, dy)
    return dx.data[0]


inside = gradient(lambda x: tn.functional.layer_norm(x, 4, eps=EPS))
outside = gradient(lambda x: tn.functional.layer_norm(x, 4, eps=EPS, eps_mode="std"))
print("inside: ", inside.round(2), " = (dy − mean(dy))/√ε")
print("outside:", outside.round(2), " = (dy − mean(dy))/ε")

# %% [markdown]
# ## NaN
#
# Now write the second formula down yourself. The forward pass is fine: σ is 0, and 0/(0 + ε) is 0. But
# the root has no slope at 0: its rule divides by 2·√0. That infinity then meets dσ²/dx = 2(x − μ)/N = 0, and ∞·0 is NaN.


# %%
def by_hand(x):
    c = x - x.mean(-1, keepdims=True)
    sigma = (c**2).mean(-1, keepdims=True).sqrt().named("σ")
    return c / (sigma + EPS)


with np.errstate(divide="ignore", invalid="ignore"):  # NumPy would warn, and be right
    naive = gradient(by_hand)
print("by hand:", naive)
print("forward:", by_hand(tn.tensor(constant)).data[0])

# %% [markdown]
# One constant row in a batch (padding, a dead channel, a black image) is enough: the gradient of a shared weight is a
# sum over rows, so one NaN makes the whole of it NaN, and after one step every weight of the network is.
#
# Who gets it? Measured with one version each: `torch.std` 2.13 masks its slope at 0, so σ + ε written with it is fine; the
# same in PyTorch with `sqrt(mean(c²))` is NaN; `jax.numpy.std` 0.10 is NaN there, too. The masked version here is one line:
# where σ is 0, its slope counts as 0. What is left is the finite gradient above. With ε inside there is nothing to mask.


# %%
def masked(x):
    c = x - x.mean(-1, keepdims=True)
    v = (c**2).mean(-1, keepdims=True)
    some = tn.functional.where(v == 0, 1.0, v)  # keeps √0 off the record
    sigma = tn.functional.where(v == 0, 0.0, some.sqrt())
    return c / (sigma + EPS)


print("masked: ", gradient(masked).round(2))

# %% [markdown]
# Masking outside alone, `where(v == 0, 0, sqrt(v))`, is not enough: backward, the branch not taken gets the
# cotangent 0, and 0·∞ is NaN again. The root itself must not see the 0.


# %%
for sigma, (a, b) in out.items():
    assert np.isclose(a, sigma / np.sqrt(sigma**2 + EPS), rtol=1e-6), "inside: σ/√(σ² + ε)"
    assert np.isclose(b, sigma / (sigma + EPS), rtol=1e-6), "outside: σ/(σ + ε)"
assert out[1e-3][0] < 0.31, "a third, where outside is still"
assert out[1e-3][1] > 0.98, "nearly one"
assert np.allclose(inside, (dy - 0.25)[0] / np.sqrt(EPS)), "finite, by itself"
assert np.allclose(outside, (dy - 0.25)[0] / EPS), "finite, because the slope of √0 counts as 0"
assert np.isnan(naive).all(), "from primitives it is not"
assert np.allclose(gradient(masked), outside), "masking before does"
assert tn.compare("layer_norm", eps_mode="std", eps=0.1).ok, "both readings are right about themselves"
print("ok: inside the root, unless the paper says otherwise")
