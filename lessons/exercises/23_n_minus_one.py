# %% [markdown]
# # 23 · N − 1
#
# `x.std()` in PyTorch divides by N − 1, and so does code that uses it for LayerNorm. Then rstd is
# another number *and* its slope has another factor: mean(c²) has become Σc²/(N − 1). Write dx for
# it.

# %%
def mean(a):
    return a.mean(-1, keepdims=True)


def backward(dy, x, weight, bias, eps):
    n = x.shape[-1]
    c = x - mean(x)
    rstd = ((c * c).sum(-1, keepdims=True) / (n - 1) + eps) ** -0.5
    x_hat = c * rstd
    g = dy * weight
    rows = tuple(range(x.ndim - 1))  # all axes but the last: γ and β are used there
    # >>> yours: dx
    dx = rstd * (g - mean(g) - x_hat * (g * x_hat).sum(-1, keepdims=True) / (n - 1))
    # --- stub
    # dx = rstd * (g - mean(g) - x_hat * mean(g * x_hat))  # as with N
    # <<<
    return dx, (dy * x_hat).sum(rows), dy.sum(rows)


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="say where a divisor of the forward pass turns up in the backward pass",
    lesson="two_variances",
    minutes=8,
    judge=Backward("layer_norm", {"x": (4, 8), "weight": (8,), "bias": (8,)}, options={"correction": 1}),
    hints=(
        "Which of the three terms comes through the variance, and which through the mean?",
        "Way: through Σc²/(N − 1) the slope is 2c/(N − 1); the mean itself still divides by N.",
        "Shape: rstd · (g − mean(g) − x̂ · Σ(g·x̂) over another number)",
        "dx = rstd * (g - mean(g) - x_hat * (g * x_hat).sum(-1, keepdims=True) / (n - 1))",
    ),
    found="dx as with N: one of its terms knows nothing of N − 1 yet",
    wrong=(
        Wrong("", "", "the variance's term still divides by N: its slope is 2c/(N − 1) here", numbers=True),
        Wrong(
            "g - mean(g)",
            "g - mean(g) * n / (n - 1)",
            "the mean's term has got N − 1, too: the mean itself divides by N",
            numbers=True,
        ),
        Wrong(
            "(g * x_hat).sum(-1, keepdims=True) / (n - 1)",
            "mean(g * x_hat) * (n - 1) / n",
            "the factor is the wrong way round: Σ(c²)/(N − 1) is more than the mean, and so is its slope",
            numbers=True,
        ),
        Wrong(" - x_hat * (g * x_hat).sum(-1, keepdims=True) / (n - 1)", "", "was treated as a constant"),
    ),
    predict=Question(
        "With N = 1024, how large is the difference to N?",
        ("a thousandth", "a hundredth", "none"),
        "a thousandth",
        "N/(N − 1) = 1.001.",
    ),
    picture=lambda: tn.functional.layer_norm(tn.tensor(np.eye(3), requires_grad=True, name="x"), 3, correction=1),
)
