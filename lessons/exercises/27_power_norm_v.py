# %% [markdown]
# # 27 · The exact one
#
# PowerNorm publishes a backward that is no gradient (lesson 17). Of PN-V, where the mean square is
# that of the batch itself, there is one: y = γ·x/√(mean(x²) + ε) + β, the mean over the *batch*,
# for each channel by itself. Write it, for x of the shape (N, C).

# %%
def backward(dy, x, weight, bias, eps):
    rstd = ((x * x).mean(0) + eps) ** -0.5
    x_hat = x * rstd
    g = dy * weight
    # >>> yours: dx
    dx = rstd * (g - x_hat * (g * x_hat).mean(0))
    # --- stub
    # dx = rstd * g  # as with a running mean square, which is constant
    # <<<
    return dx, (dy * x_hat).sum(0), dy.sum(0)


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="derive what a published shortcut stands for",
    lesson="a_backward_that_is_no_gradient",
    minutes=8,
    judge=Backward("power_norm_v", {"x": (4, 8), "weight": (8,), "bias": (8,)}, options={"shape": (4, 8)}),
    hints=(
        "Which norm that you know has no mean to subtract, and what is another axis here?",
        "Way: as in RMSNorm: direct, and through mean(x²), now over the batch.",
        "Shape: rstd · (g − x̂ · a mean over axis 0)",
        "dx = rstd * (g - x_hat * (g * x_hat).mean(0))",
    ),
    found="as with a running mean square, which is a constant. Here it is the batch's, and moves with x",
    wrong=(
        Wrong("", "", "the mean square was held constant: that is PowerNorm's true gradient, not PN-V's", numbers=True),
        Wrong(
            "(g * x_hat).mean(0)",
            "(g * x_hat).mean(-1, keepdims=True)",
            "that is RMSNorm's axis: here the mean is over the batch",
            numbers=True,
        ),
        Wrong(
            "(g * x_hat).mean(0)",
            "(g * x_hat).sum(0)",
            "a sum stands where a mean belongs: 1/N of the batch is missing",
            numbers=True,
        ),
        Wrong(
            "g - x_hat", "g - g.mean(0) - x_hat", "BatchNorm's term −mean(g) is in it: no mean is subtracted here", numbers=True
        ),
    ),
    predict=Question("Does one sample's dx depend on the others?", ("yes", "no"), "yes", "They share the mean square."),
    picture=lambda: tn.functional.power_norm_v(tn.tensor(np.eye(3), requires_grad=True, name="x")),
)
