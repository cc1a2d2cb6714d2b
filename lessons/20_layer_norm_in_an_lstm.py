# %% [markdown]
# # 20 · LayerNorm in an LSTM: the gradient by time step
#
# BatchNorm would need statistics for each step, of sequences of many lengths. LayerNorm looks at one sample at one step, so
# it fits. The question a recurrent network asks is how much of the gradient at the end is left at the beginning.

# %%
import numpy as np

import tinygrad_norm as tn

nn = tn.nn
rows, labels = tn.data.digit_rows("train", dtype="float64")
STEPS, HIDDEN = 32, 32
x = np.tile(rows[:64], (1, STEPS // 8, 1))  # the rows of a digit, again and again


def by_step(norm, scale):
    """‖∂loss/∂h_t‖ for each step t, where the loss is a random direction of the last state; scale: of the input."""
    cell = nn.LSTMCell(8, HIDDEN, norm=norm, dtype="float64", seed=0)
    h, c = (tn.tensor(np.zeros((64, HIDDEN)), requires_grad=True) for _ in "hc")
    states = []
    for t in range(STEPS):
        h, c = cell(tn.tensor(scale * x[:, t]), (h, c))
        states.append(h)
    direction = np.random.default_rng(0).normal(size=h.shape)
    gradients = tn.grad((h * direction).sum(), states)
    return np.array([np.linalg.norm(g.data) for g in gradients])


# %% [markdown]
# ## As the steps go back

# %%
found = {(norm, scale): by_step(norm, scale) for norm in ("none", "layer_norm") for scale in (1.0, 100.0)}
print("‖∂loss/∂h_t‖, relative to the last step")
for (norm, scale), lengths in found.items():
    share = lengths / lengths[-1]
    print(f"{norm:11} input·{scale:<4g}", "  ".join(f"t={t}: {share[t]:.0e}" for t in (0, 8, 16, 24, 30)))

# %% [markdown]
# ## What the scale of the input does
#
# At the start a plain LSTM's forget gate is about a half, and so is what is left of the gradient at each step back: 1e-7 after
# 32. With inputs a hundred times as large its gates are shut or open, and it is another network. With LayerNorm,
# N(W·(100·x)) = N(W·x) but for ε: the gates, and the gradient, do not notice.
#
# By hand the way back through time is a loop from the last step to the first. What arrives at a state h = tanh(…) is multiplied
# by tanh's slope, 1 − h², and then, on its way to the state before, by the weight that stood there. Each step multiplies by both, the
# slope is never above 1, and that is why a gradient fades. What is used at every step, as the weight is, gets a share from each.

# %%
change = {norm: np.abs(np.log10(found[norm, 100.0][:-1] / found[norm, 1.0][:-1])).max() for norm in ("none", "layer_norm")}
for norm, c in change.items():
    print(f"{norm:11} the gradient changes by a factor of up to {10**c:.3g}")

# %% [markdown]
# ## And so it trains
#
# Ba, Kiros and Hinton's LSTM (2016, supplement, eqs. 20 to 22) on digits, row by row, for two epochs.

# %%
train, test = (tn.data.digit_rows(part, dtype="float32") for part in ("train", "test"))
runs = [
    tn.train.fit(tn.train.lstm(norm, backward="analytic"), train, test=test, optimizer="adam", lr=3e-3, epochs=2, name=norm, progress=False)
    for norm in ("none", "layer_norm")
]  # fmt: skip
print(tn.train.overview(runs).split("\n\n")[0])

# %%
assert change["layer_norm"] < 0.1 < change["none"], "the scale of the input does not matter under LayerNorm"
assert change["none"] > 1, "without it, it decides how much comes back"
assert found["none", 1.0][0] < 1e-4 * found["none", 1.0][-1], "half of it is left at each step"
assert found["layer_norm", 1.0][0] > 0.1 * found["layer_norm", 1.0][-1], "and under LayerNorm it arrives"
assert runs[1].running > runs[0].running + 0.1, "two epochs are enough to see it"
print("ok: each step is normalized by itself, and the gates stay where they can learn")
