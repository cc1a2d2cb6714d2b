# %% [markdown]
# # 23 · Forward mode from reverse mode
#
# f takes n numbers to m numbers. Near a point it is a matrix J, m × n, and there are two cheap questions:
#
# - **reverse mode**: given weights u on the outputs, what is Jᵀu? One backward pass answers.
# - **forward mode**: given a direction v for the inputs, which way do the outputs move? That is Jv, the *pushforward* of v.
#
# This library has one rule per op, for the backward direction only. Where does Jv come from?

# %%
import numpy as np

import tinygrad_norm as tn

rng = np.random.default_rng(0)
x = rng.normal(size=(2, 4))


def f(x):
    return tn.functional.layer_norm(x, 4).tanh()


y, pullback = tn.vjp(f, x)
u1, u2 = rng.normal(size=(2, 2, 4))
(together,) = pullback(u1 + 3 * u2)
apart = pullback(u1)[0].data + 3 * pullback(u2)[0].data
print(f"pullback(u₁ + 3u₂) − pullback(u₁) − 3·pullback(u₂): {np.abs(together.data - apart).max():.1e}")

# %% [markdown]
# ## The trick
#
# Zero: **the pullback is linear in its cotangent**. Whatever f is, u ↦ Jᵀu is a matrix product.
# And the pullback is made of recorded operations, so it can be differentiated like anything else,
# *by u*. What is the pullback of u ↦ Jᵀu? Weights v on its outputs go to (Jᵀ)ᵀv = Jv. That is it.
#
# Two backward passes make one forward pass. By hand, with `tn.grad` only:

# %%
v = rng.normal(size=(2, 4))
leaf = tn.tensor(x, requires_grad=True, name="x")
u = tn.tensor(np.zeros((2, 4)), requires_grad=True, name="u")  # any u will do: a linear map has the same slope everywhere
(pulled,) = tn.grad(f(leaf), leaf, u, create_graph=True)
(by_hand,) = tn.grad(pulled, u, v)

_, jv = tn.jvp(f, x, v)
step = 1e-6
difference = (f(tn.tensor(x + step * v)).data - f(tn.tensor(x - step * v)).data) / (2 * step)
print(
    f"by hand – tn.jvp: {np.abs(by_hand.data - jv.data).max():.1e}   tn.jvp – difference: {np.abs(jv.data - difference).max():.1e}"
)

# %% [markdown]
# ## What it costs
#
# Count operations on the record: f alone, f with its pullback, and the finished Jv.


# %%
def operations(output):
    return sum(t.op is not None for t in tn.graph(output).tensors)


forward = f(leaf)
(_, recorded_jv) = tn.jvp(f, leaf, v)
counts = {"f": operations(forward), "f and Jᵀu": operations(pulled), "f and Jv": operations(recorded_jv)}
for name, count in counts.items():
    print(f"{name:<10} {count:>3} operations {'▪' * count}")

# %% [markdown]
# (On the way to Jv the operations of Jᵀu were computed too; once differentiated, those that carried u drop out.)
#
# A fixed multiple of f, however many inputs there are. That is what matters: all of J costs one Jᵀu per
# *output*, or one Jv per *input*. With 1000 inputs and one loss, reverse mode wins by a factor of 1000 or so,
# and that is why it is called training. With one input and 1000 outputs it is the other way round.

# %%
by_rows = tn.jacobian(f, x).data
units = np.eye(8).reshape(8, 2, 4)
by_columns = np.stack([tn.jvp(f, x, e)[1].data for e in units], axis=-1).reshape(2, 4, 2, 4)
print(f"J by rows – J by columns: {np.abs(by_rows - by_columns).max():.1e}")

# %% [markdown]
# ## Forward over forward over forward
#
# Jv is a function like any other. Its own Jv is the second derivative along v. LayerNorm of (t, 0),
# summed, with γ = (1, 2) and ε = ¼, is −t/√(1 + t²): derivatives that you can check with a pencil.


# %%
def curve(t):
    row = tn.concatenate([t.reshape(1), tn.tensor([0.0])])
    return tn.functional.layer_norm(row, 2, tn.tensor([1.0, 2.0]), eps=0.25).sum()


def derivative(g):
    return lambda t: tn.jvp(g, t, 1.0)[1]


first, second, third = derivative(curve), derivative(derivative(curve)), derivative(derivative(derivative(curve)))
print("at t = 0.7:", *(f"{g(0.7).item():+.12f}" for g in (first, second, third)))

# %%
assert np.allclose(together.data, apart, atol=1e-12), "the pullback is linear"
assert np.allclose(by_hand.data, jv.data, atol=1e-14)
assert np.allclose(jv.data, difference, atol=1e-8), "Jv is the way the outputs move"
assert np.allclose(by_rows, by_columns, atol=1e-12)
assert counts["f"] < counts["f and Jᵀu"] < 6 * counts["f"]
assert counts["f and Jv"] < 6 * counts["f"], "the price is a small multiple"
expected = (-0.7132479766449955, 0.7749142079590942, -(1.49**-1.5))
assert np.allclose([third(0.7).item(), second(0.7).item(), first(0.7).item()], expected, rtol=1e-12)
print("ok: backwards twice is forwards")
