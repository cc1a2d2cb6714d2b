# %% [markdown]
# # 29 · Fold it away
#
# In use, BatchNorm is a multiplication and an addition for each channel (exercise 25), and the
# linear layer before it is one, too. So both are *one* linear layer with other numbers, and
# inference gets a layer cheaper. Which numbers?

# %%
import numpy as np

import tinygrad_norm as tn


def folded(w, b, mean, variance, gamma, beta, eps):
    """A weight and a bias with which x·Wᵀ + b gives what linear and BatchNorm gave. ``w``: (channels out, channels in)."""
    rstd = (variance + eps) ** -0.5
    # >>> yours: the new w, and the new b
    w = w * (gamma * rstd)[:, None]
    b = (b - mean) * gamma * rstd + beta
    # --- stub
    # w = w * gamma[:, None]
    # b = b + beta
    # <<<
    return w, b


# === for the teacher
from tinygrad_norm.learn import Exercise, Facts, Question, Wrong


def rule(names):
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(7, 4)), rng.normal(size=(3, 4)), rng.normal(size=3)
    m, v, gamma, beta = rng.normal(size=3), rng.uniform(0.2, 4, 3), rng.normal(size=3), rng.normal(size=3)
    y = tn.functional.batch_norm(
        tn.tensor(x @ w.T + b), m.copy(), v.copy(), tn.tensor(gamma), tn.tensor(beta), training=False, eps=1e-3
    ).data
    kept = w.copy(), b.copy()
    weight, bias = names["folded"](w, b, m, v, gamma, beta, 1e-3)
    yield np.array_equal(w, kept[0]) and np.array_equal(b, kept[1]), "w or b was changed in place: they are the network's"
    yield (
        np.shape(weight) == (3, 4) and np.shape(bias) == (3,),
        f"the shapes: (3, 4) and (3,), not {np.shape(weight)} and {np.shape(bias)}",
    )
    rstd = (v + 1e-3) ** -0.5
    yield not np.allclose(weight, w * gamma[:, None]), "the weight: rstd is missing; each channel is divided by its σ, too"
    yield not np.allclose(weight, w * rstd[:, None]), "the weight: γ is missing"
    yield (
        np.allclose(weight, w * (gamma * rstd)[:, None]),
        "the weight: each row is a channel out, and gets that channel's γ·rstd",
    )
    yield (
        not np.allclose(bias, b * gamma * rstd + beta),
        "the bias: the running mean is missing; it is subtracted before anything is multiplied",
    )
    yield not np.allclose(bias, (b - m) * gamma * rstd), "the bias: β is missing"
    yield (
        np.allclose(x @ weight.T + bias, y),
        "the bias: put (x·Wᵀ + b − mean)·γ·rstd + β in order, and read off what does not have x",
    )


exercise = Exercise(
    goal="fold a BatchNorm into the layer before it",
    lesson="batch_norm_in_a_cnn",
    minutes=10,
    judge=Facts(rule),
    hints=(
        "y = ((x·Wᵀ + b) − mean)·γ·rstd + β. Which parts have x in them?",
        "Way: multiply out; what stands at x is the new weight, what is left is the new bias.",
        "Shape: w · (a number for each row); (b − …) · the same number + β",
        "w * (gamma * rstd)[:, None] and (b - mean) * gamma * rstd + beta",
    ),
    wrong=(
        Wrong("", "", "the weight: rstd is missing"),
        Wrong("(gamma * rstd)[:, None]", "rstd[:, None]", "the weight: γ is missing"),
        Wrong("(b - mean) * gamma", "b * gamma", "the bias: the running mean is missing"),
        Wrong("(gamma * rstd)[:, None]", "(gamma * rstd)", "a number for each row of a matrix: s[:, None]"),
        Wrong(" + beta", "", "the bias: β is missing"),
        Wrong("w = w * (gamma * rstd)[:, None]", "w *= (gamma * rstd)[:, None]", "changed in place"),
    ),
    predict=Question(
        "Can LayerNorm be folded away like that?",
        ("yes", "no"),
        "no",
        "Its mean and variance are those of the sample: they are not there before it is.",
    ),
)
