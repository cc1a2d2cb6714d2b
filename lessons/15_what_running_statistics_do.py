# %% [markdown]
# # 15 · What running statistics do
#
# BatchNorm is two functions under one name. In training it divides by the statistics of the batch; in inference by
# *running* statistics, averaged over the batches of training. No gradient has made these, and with them the layer
# has another gradient.

# %%
import numpy as np

import tinygrad_norm as tn

F = tn.functional
images, _ = tn.data.digits()
rng = np.random.default_rng(0)
pixels = images.reshape(len(images), -1)[:, [10, 28, 36]].astype("float64")  # three channels that are never constant

m, v = tn.tensor(np.zeros(3), name="m"), tn.tensor(np.ones(3), name="v")
batch = tn.tensor(pixels[:32], requires_grad=True, name="x")
training = F.batch_norm(batch, m, v, training=True)
inference = F.batch_norm(batch, m, v, training=False)
print("the same batch, first channel of the first three samples:")
print("  training ", training.data[:3, 0].round(3))
print("  inference", inference.data[:3, 0].round(3))

# %% [markdown]
# ## How fast they follow
#
# running ← (1 − m)·running + m·batch. (The variance that runs is the unbiased one, Σ(x − μ)²/(M − 1), in PyTorch, and the biased
# one in Keras, Flax and ONNX. Everyone *normalizes* by the biased one.) After T equal batches, starting from 0, the running mean is (1 − (1 − m)ᵀ)·μ.
# With PyTorch's m = 0.1, twenty batches reach 88 %. Evaluate a model after a handful of steps, and its statistics still
# remember where they started: mean 0, variance 1.

# %%
m, v = np.zeros(3), np.ones(3)
mu, var = batch.data.mean(0), batch.data.var(0)
for step in range(1, 21):
    F.batch_norm(batch, m, v, training=True)
    if step in (1, 5, 20):
        print(f"after {step:2d} batches: running mean/μ = {m[0] / mu[0]:.4f}   running variance/σ² = {v[0] / var[0]:.4f}")
reached = m / mu

# %% [markdown]
# ## Two conventions for one word
#
# PyTorch's ``momentum`` is the weight of the *new* value (0.1). Keras, Flax and ONNX give the weight of the *old* one
# (0.99 or 0.9). 0.1 here is 0.9 there. Carry 0.99 over without turning it round, and the running statistics are those of
# the last batch.


# %%
def after_training(**convention):
    m, v = np.zeros(3), np.ones(3)
    steps = np.random.default_rng(1)
    for _ in range(300):
        F.batch_norm(tn.tensor(pixels[steps.integers(0, len(pixels), 8)]), m, v, training=True, **convention)
    return m, v


new, old = after_training(momentum=0.1), after_training(momentum=0.9, momentum_of="old")
mistaken = after_training(momentum=0.99)
print("all data   ", pixels.mean(0).round(3))
print("0.01 new   ", after_training(momentum=0.01)[0].round(3))
print("0.1 new    ", new[0].round(3))
print("0.9 old    ", old[0].round(3))
print("0.99 as new", mistaken[0].round(3), " <- the last eight samples")

# %% [markdown]
# ## Fixed statistics couple nothing
#
# In training, every sample of the batch has a hand in every other's output: through μ and σ². In inference a sample is
# alone. The *Jacobian*, each output's derivative by each input, of five samples shows it; so does the formula, which has one term instead of three:
#
#     training     dx = rstd·(g − mean(g) − x̂·mean(g·x̂))
#     inference    dx = rstd·g

# %%
x = tn.tensor(pixels[:5, :1])
coupled = tn.jacobian(lambda x: F.batch_norm(x, training=True), x).data.reshape(5, 5)
alone = tn.jacobian(lambda x: F.batch_norm(x, m[:1], v[:1]), x).data.reshape(5, 5)
print("∂y/∂x in training:")
print(coupled.round(2) + 0.0)
print("∂y/∂x in inference:")
print(alone.round(2) + 0.0)

# %% [markdown]
# ## A record keeps the statistics it was made with
#
# Run some samples through in inference mode, then train on, then go backward through the first record. Whoever reads
# the running variance only *then* divides by another number than the forward pass did. PyTorch does (its issue 13402).
# Here the record has a copy.

# %%
m, v = np.zeros(3), np.ones(3)
sample = tn.tensor(pixels[:4], requires_grad=True, name="x")
dy = rng.normal(size=(4, 3))
y = F.batch_norm(sample, m, v)
before = v.copy()
F.batch_norm(batch, m, v, training=True, momentum=0.9)
(dx,) = tn.grad(y, sample, dy)
print("variance then", before.round(3), "and now", v.round(3))
print(f"off from dy/√(v + ε) with v as it was: {np.abs(dx.data - dy / np.sqrt(before + 1e-5)).max():.1e}")
print(f"                 with v as it is now: {np.abs(dx.data - dy / np.sqrt(v + 1e-5)).max():.1e}")

# %%
assert np.abs(training.data - inference.data).max() > 0.1, "two functions"
assert np.allclose(reached, 1 - 0.9**20), "0.8784 of the way after twenty batches"
assert all(np.allclose(a, b) for a, b in zip(new, old)), "0.1 of the new is 0.9 of the old"
assert np.abs(mistaken[0] - pixels.mean(0)).max() > 5 * np.abs(after_training(momentum=0.01)[0] - pixels.mean(0)).max()
assert np.count_nonzero(np.abs(coupled) > 1e-3) == 25, "in training every sample moves every other"
assert np.allclose(coupled.sum(0), 0, atol=1e-12), "and moving all of them alike moves nothing"
assert np.array_equal(alone, np.diag(np.diag(alone))), "in inference none moves another"
assert np.allclose(dx.data, dy / np.sqrt(before + 1e-5), rtol=1e-12), "the record kept its own variance"
assert np.abs(dx.data - dy / np.sqrt(v + 1e-5)).max() > 0.1
print("ok: two functions, two gradients, and a memory that neither of them differentiates")
