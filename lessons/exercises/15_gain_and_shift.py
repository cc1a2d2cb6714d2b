# %% [markdown]
# # 15 · Gain and shift
#
# γ and β are used in every row (exercise 5). Their gradients are sums over all of them, for x of
# any number of axes. Here x has the shape (2, 3, 8), so there are two axes to sum over: a verdict
# calls them B and T, and their sum Σ_BT.

# %%
def mean(a):
    return a.mean(-1, keepdims=True)


def backward(dy, x, weight, bias, eps):
    c = x - mean(x)
    rstd = (mean(c * c) + eps) ** -0.5
    x_hat = c * rstd
    g = dy * weight
    dx = rstd * (g - mean(g) - x_hat * mean(g * x_hat))
    # >>> yours: dγ and dβ, of the shape (8,)
    rows = tuple(range(x.ndim - 1))
    dweight = (dy * x_hat).sum(rows)
    dbias = dy.sum(rows)
    # --- stub
    # rows = tuple(range(x.ndim - 1))
    # dweight = (dy * x).sum(rows)
    # dbias = (dy * x_hat).sum(rows)
    # <<<
    return dx, dweight, dbias


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="write the gradients of γ and β for any number of axes",
    lesson="the_analytic_node",
    claims=("beta-knows-no-xhat", "sums-over-the-batch"),
    minutes=8,
    judge=Backward("layer_norm", {"x": (2, 3, 8), "weight": (8,), "bias": (8,)}, any_axes=True, options={"shape": (2, 3, 8)}),
    hints=(
        "y = γ·x̂ + β. What is the slope with respect to γ, what with respect to β?",
        "Way: from γ into every row, with slope x̂; from β into every row, with slope 1.",
        "Shape: a sum of dy·(slope) over all axes but the last",
        "dweight = (dy * x_hat).sum(rows);  dbias = dy.sum(rows)",
    ),
    wrong=(
        Wrong("", "", "x was used where x̂ belongs"),
        Wrong("(dy * x_hat).sum(rows)", "(dy * x_hat).mean(rows)", "averaged over the samples where a sum belongs"),
        Wrong("(dy * x_hat).sum(rows)", "(dy * x).sum(rows)", "x was used where x̂ belongs"),
        Wrong(
            "(dy * x_hat).sum(rows)",
            "(g * x_hat).sum(rows)",
            "your dγ has γ as a factor too much: the slope of γ·x̂ + β with respect to γ is x̂",
            numbers=True,
        ),
        Wrong("dbias = dy.sum(rows)", "dbias = (dy * x_hat).sum(rows)", "dβ knows no x̂: its slope is 1", numbers=True),
        Wrong(
            "rows = tuple(range(x.ndim - 1))",
            "rows = 0",
            "the sum over axis 1 is still to be taken: γ and β are used there, too",
            numbers=True,
        ),
        Wrong(
            "rows = tuple(range(x.ndim - 1))",
            "rows = -1",
            "summed over the features, and γ and β have a number for each of those",
            numbers=True,
        ),
        Wrong("rows = tuple(range(x.ndim - 1))", "rows = (0, 1)", "asked for is any number of axes"),
    ),
    predict=Question(
        "Another x of the same shape, the same dy. What changes?",
        ("dγ only", "dβ only", "both"),
        "dγ only",
        "dβ = Σ dy: x is not in it.",
    ),
    picture=lambda: tn.functional.layer_norm(
        tn.tensor(np.random.default_rng(0).normal(size=(4, 8)), requires_grad=True, name="x"),
        8,
        tn.tensor(np.ones(8), name="γ"),
        tn.tensor(np.zeros(8), name="β"),
    ),
)
