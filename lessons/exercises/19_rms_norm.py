# %% [markdown]
# # 19 · RMSNorm, as a kernel gets it
#
# The same formula as in exercise 16, now over arrays, with γ's gradient, for any number of axes.
# y = γ·x·rstd, rstd = 1/√(mean(x²) + ε). In large language models this is the norm most used. (In a
# verdict `ms` is mean(x²), and ε, as in PyTorch, float32's own 1.2e-7.)

# %%
def backward(dy, x, weight, eps):
    # >>> yours: dx and dγ
    rstd = ((x * x).mean(-1, keepdims=True) + eps) ** -0.5
    x_hat = x * rstd
    g = dy * weight
    dx = rstd * (g - x_hat * (g * x_hat).mean(-1, keepdims=True))
    dweight = (dy * x_hat).sum(tuple(range(x.ndim - 1)))
    # --- stub
    # rstd = ((x * x).mean(-1, keepdims=True) + eps) ** -0.5
    # dx = rstd * dy * weight
    # dweight = 0 * weight
    # <<<
    return dx, dweight


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="carry what you know of LayerNorm over to its relatives",
    lesson="choose_the_axes",
    claims=("rms-norm",),
    minutes=10,
    judge=Backward("rms_norm", {"x": (4, 8), "weight": (8,)}, any_axes=True),
    hints=(
        "What is left of LayerNorm when nothing is subtracted?",
        "Way: direct, and through mean(x²); for γ, from every row.",
        "Shape: rstd · (g − x̂ · mean(g·x̂)); Σ dy·x̂ over all axes but the last",
        "dx = rstd * (g - x_hat * (g * x_hat).mean(-1, keepdims=True))",
    ),
    wrong=(
        Wrong("", "", "was treated as a constant"),
        Wrong(
            "rstd * (g - x_hat",
            "rstd * (g - g.mean(-1, keepdims=True) - x_hat",
            "LayerNorm's term −mean(g) is in it: RMSNorm subtracts no mean",
            numbers=True,
        ),
        Wrong("(g * x_hat).mean(-1, keepdims=True)", "(g * x_hat).sum(-1, keepdims=True)", "a sum where the formula has a mean"),
        Wrong("g = dy * weight", "g = dy", "the factor γ is missing"),
        Wrong(
            "(dy * x_hat).sum(tuple(range(x.ndim - 1)))", "(dy * x).sum(tuple(range(x.ndim - 1)))", "x was used where x̂ belongs"
        ),
    ),
    predict=Question(
        "Does Σ dx over a row vanish, as for LayerNorm?",
        ("yes", "no"),
        "no",
        "That came from the mean. Here dx is only orthogonal to x.",
    ),
    picture=lambda: tn.functional.rms_norm(
        tn.tensor(np.eye(3), requires_grad=True, name="x"), 3, tn.tensor(np.ones(3), name="γ")
    ),
)
