# %% [markdown]
# # 14 · LayerNorm in three terms
#
# The row of steps from exercise 13 becomes one line when everything is put in and what is zero is
# left away: rstd·(… − … − …). Write it, with g = dy·γ and means over the row. (Lesson 6 begins with
# the answer: read it afterwards.)

# %%
def mean(a):
    return a.mean(-1, keepdims=True)


def backward(dy, x, weight, bias, eps):
    c = x - mean(x)
    rstd = (mean(c * c) + eps) ** -0.5
    x_hat = c * rstd
    rows = tuple(range(x.ndim - 1))  # all axes but the last: γ and β are used there
    # >>> yours: g, and dx in three terms
    g = dy * weight
    dx = rstd * (g - mean(g) - x_hat * mean(g * x_hat))
    # --- stub
    # g = dy
    # dx = rstd * (g - mean(g))
    # <<<
    return dx, (dy * x_hat).sum(rows), dy.sum(rows)


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="write LayerNorm's dx in three terms, and say where each comes from",
    lesson="four_routes",
    claims=("three-terms",),
    minutes=15,
    judge=Backward("layer_norm", {"x": (4, 8), "weight": (8,), "bias": (8,)}),
    hints=(
        "Which part of g changes nothing in y, because a shift or a stretch of the row changes nothing?",
        "Way: the direct one is rstd·g; through the mean −rstd·mean(g); through the variance −rstd·x̂·mean(g·x̂).",
        "Shape: rstd · (g − mean of something − x̂ · mean of something with x̂ in it), and γ in g from the start",
        "g = dy * weight;  dx = rstd * (g - mean(g) - x_hat * mean(g * x_hat))",
    ),
    wrong=(
        Wrong("", "", "σ² was treated as a constant"),
        Wrong("x_hat * mean(g * x_hat)", "x_hat * (g * x_hat).sum(-1, keepdims=True)", "a sum where the formula has a mean"),
        Wrong("g = dy * weight", "g = dy", "the factor γ is missing"),
        Wrong(
            "g = dy * weight\n    dx = rstd * (g - mean(g) - x_hat * mean(g * x_hat))",
            "dx = weight * rstd * (dy - mean(dy) - x_hat * mean(dy * x_hat))",
            "multiplied by γ at the end",
        ),
        Wrong("rstd * (g", "1.0 * (g", "the factor rstd in front of all terms of dx is missing"),
        Wrong("x_hat * mean(g * x_hat)", "c * mean(g * x_hat)", "c where x̂ belongs"),
        Wrong(
            "x_hat * mean(g * x_hat)",
            "mean(g * x_hat)",
            "x̂ is missing in front of the last mean: mean(g·x̂) says how much of g lies along x̂, and x̂ times that is taken away",
            numbers=True,
        ),
        Wrong("- x_hat * mean(g * x_hat)", "", "σ² was treated as a constant"),
        Wrong(
            "x_hat * mean(g * x_hat)",
            "x * mean(g * x)",
            "x stands where x̂ belongs, twice: what is taken out lies along x̂, the centred and scaled row",
            numbers=True,
        ),
        Wrong("mean(g) -", "g.mean(0) -", "averaged over axis 0, not over 1"),
    ),
    predict=Question(
        "Which term is missing in code that treats the variance as a constant?",
        ("g", "mean(g)", "x̂·mean(g·x̂)"),
        "x̂·mean(g·x̂)",
        "It takes out the part along x̂.",
    ),
    picture=lambda: tn.functional.layer_norm(
        tn.tensor(np.random.default_rng(0).normal(size=(4, 8)), requires_grad=True, name="x"),
        8,
        tn.tensor(np.ones(8), name="γ"),
        tn.tensor(np.zeros(8), name="β"),
    ),
)
