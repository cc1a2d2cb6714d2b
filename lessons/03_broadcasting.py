# %% [markdown]
# # 3 · Broadcasting, and the sum it leaves behind
#
# A bias of shape (3,) is added to each of four rows: it is *broadcast*. Forward, its numbers are *copied* along the rows.
# Backward, what the copies receive must be *summed*: each bias number influenced four outputs.

# %%
import numpy as np

import tinygrad_norm as tn

rng = np.random.default_rng(0)
x = tn.tensor(rng.normal(size=(4, 3)), requires_grad=True, name="x")
bias = tn.tensor([10.0, 20.0, 30.0], requires_grad=True, name="bias")
scale = tn.tensor(rng.normal(size=(4, 1)), requires_grad=True, name="scale")
y = x * scale + bias

print(tn.graph(y))

# %% [markdown]
# No rule in the table mentions broadcasting: `add` hands on `g`, `mul` hands on `g·b`. The sum is done in
# one place, by the engine, and pictures mark it with Σ. Here are the edges that have one:

# %%
graph = tn.graph(y)
for e in graph.edges:
    if e.summed:
        print(f"{graph.nodes[e.source].label} → {graph.nodes[e.target].label}: {e.rule}, then Σ")

# %% [markdown]
# Copying and summing are *adjoint*: ⟨u, copy(v)⟩ = ⟨sum(u), v⟩ for all u and v. This is what makes the
# sum the right answer, and not a convention.

# %%
u, v = rng.normal(size=(4, 3)), rng.normal(size=3)
print("⟨u, copy(v)⟩ =", np.vdot(u, np.broadcast_to(v, (4, 3))))
print("⟨sum(u), v⟩  =", np.vdot(u.sum(axis=0), v))

# %% [markdown]
# So with a cotangent dy for y: the bias gets Σ over rows of dy; the scale gets Σ over columns of dy·x.

# %%
dy = rng.normal(size=y.shape)
d_bias, d_scale = tn.grad(y, [bias, scale], dy)
print("d bias  =", d_bias)
print("d scale =", d_scale)

# %% [markdown]
# ## Three that are nothing else
#
# A *matrix product* is a broadcast product and a sum, y(b, j) = Σᵢ x(b, i)·w(i, j): on the way back what was summed is copied, what
# was copied is summed, and that is a matrix product again. A *quotient* e/Σe reaches its e twice: straight, with the slope
# 1/Σe, and through Σe, with the slope −e/(Σe)²; Σe was copied along the row, so there its share is a sum over the row. And −log of
# the share at one place is logΣeˣ less x there. The slope of logΣeˣ is that share itself, at every place.

# %%
logits = tn.tensor(rng.normal(size=5), requires_grad=True)
(slope,) = tn.grad(tn.functional.logsumexp(logits, dim=-1), logits)
print("slope of logΣeˣ =", slope)
print("eˣ/Σeˣ          =", np.exp(logits.data) / np.exp(logits.data).sum())

# %%
assert np.allclose(slope.data, np.exp(logits.data) / np.exp(logits.data).sum())
assert np.isclose(np.vdot(u, np.broadcast_to(v, (4, 3))), np.vdot(u.sum(axis=0), v))
assert np.allclose(d_bias.data, dy.sum(axis=0)), "the bias was copied along the rows"
assert np.allclose(d_scale.data, (dy * x.data).sum(axis=1, keepdims=True)), "the scale along the columns"
assert d_scale.shape == scale.shape, "a gradient has the shape of what it is the gradient of"
print("ok: what was copied is summed")
