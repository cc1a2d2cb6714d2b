# %% [markdown]
# # 13 · Four routes, one sum
#
# LayerNorm: y = γ·x̂ + β, x̂ = c·rstd. Your four small steps are all that is needed; put them in a
# row. `g` is what arrives at x̂. It goes to c (straight), and to rstd; from rstd through σ² to c
# again; from c to x, and through the mean. Write `dvar`, what arrives at σ², and then `dc`, all
# that arrives at c. The last line centres, as in exercise 10.

# %%
def backward(dy, x, weight, bias, eps):
    n, rows = x.shape[-1], tuple(range(x.ndim - 1))  # rows: all axes but the last, along which γ and β are used
    c = x - x.mean(-1, keepdims=True)
    rstd = ((c * c).mean(-1, keepdims=True) + eps) ** -0.5
    g = dy * weight
    # >>> yours: what arrives at σ², then all that arrives at c
    dvar = (g * c).sum(-1, keepdims=True) * -0.5 * rstd**3
    dc = g * rstd + dvar * 2 * c / n
    # --- stub
    # dvar = 0
    # dc = g * rstd + dvar  # the straight way only
    # <<<
    dx = dc - dc.mean(-1, keepdims=True)
    return dx, (dy * c * rstd).sum(rows), dy.sum(rows)


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="put small backwards in a row, and get LayerNorm's",
    lesson="four_routes",
    minutes=15,
    judge=Backward("layer_norm", {"x": (4, 8), "weight": (8,), "bias": (8,)}),
    hints=(
        "x̂ = c·rstd is a product: what arrives at rstd, which is one number for each row?",
        "Way: x̂ ← rstd ← σ² ← c. At rstd: Σ g·c over the row; then the slope of exercise 12, then that of exercise 11.",
        "Shape: dvar = Σ(g·c) · (slope of rstd); dc = g·rstd + dvar · (slope of σ² with respect to c)",
        "dvar = (g * c).sum(-1, keepdims=True) * -0.5 * rstd**3;  dc = g * rstd + dvar * 2 * c / n",
    ),
    wrong=(
        Wrong("", "", "what comes through σ² has no share in dx"),
        Wrong(
            "dvar * 2 * c / n",
            "dvar",
            "what comes through σ² has no share in dx. dvar is one number for a row: added to all its entries, it is centred away in "
            "the last line. From σ² to c it takes the slope of mean(c²), exercise 11",
            numbers=True,
        ),
        Wrong("* -0.5", "* 0.5", "the σ² term has the wrong sign"),
        Wrong(" / n", "", "a sum where the formula has a mean"),
        Wrong("* -0.5 *", "* -1.0 *", "the σ² term is 2 times too big"),
        Wrong("rstd**3", "rstd**2", "rstd² where rstd³ belongs"),
        Wrong("(g * c).sum(-1, keepdims=True)", "(g * c).mean(-1, keepdims=True)", "N = 8 times too small"),
    ),
    predict=Question(
        "Which of the three routes is the largest, on random numbers?",
        ("direct", "mean", "variance"),
        "direct",
        "The other two only take away parts of it: ‖direct‖² = ‖dx‖² + ‖mean‖² + ‖variance‖².",
    ),
    picture=lambda: tn.functional.layer_norm(
        tn.tensor(np.random.default_rng(0).normal(size=(4, 8)), requires_grad=True, name="x"),
        8,
        tn.tensor(np.ones(8), name="γ"),
        tn.tensor(np.zeros(8), name="β"),
    ),
)
