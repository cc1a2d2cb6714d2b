# %% [markdown]
# # 20 · BatchNorm: the same sum, another axis
#
# For images (N, C, H, W), BatchNorm takes mean and variance of each channel over N, H and W. γ and
# β have one number for each channel. The formula is LayerNorm's, its means are over other axes.
# Write it for (N, C), and with any further axes behind. (Verdicts say B for N, the batch.)

# %%
def backward(dy, x, weight, bias, eps):
    channel = (1, -1) + (1,) * (x.ndim - 2)  # the shape in which γ meets x
    # >>> yours: the axes over which one channel's numbers lie, and dx
    axes = (0, *range(2, x.ndim))
    c = x - x.mean(axes, keepdims=True)
    rstd = ((c * c).mean(axes, keepdims=True) + eps) ** -0.5
    x_hat = c * rstd
    g = dy * weight.reshape(channel)
    dx = rstd * (g - g.mean(axes, keepdims=True) - x_hat * (g * x_hat).mean(axes, keepdims=True))
    # --- stub
    # axes = (0, *range(2, x.ndim))
    # c = x - x.mean(axes, keepdims=True)
    # rstd = ((c * c).mean(axes, keepdims=True) + eps) ** -0.5
    # x_hat = c * rstd
    # dx = rstd * dy * weight.reshape(channel)
    # <<<
    return dx, (dy * x_hat).sum(axes), dy.sum(axes)


# === for the teacher
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="get the whole family from one formula, by its axes",
    lesson="choose_the_axes",
    claims=("what-m-counts",),
    minutes=12,
    judge=Backward(
        "batch_norm", {"x": (3, 4, 2, 2), "weight": (4,), "bias": (4,)}, any_axes=True, options={"shape": (3, 4, 2, 2)}
    ),
    hints=(
        "Which numbers of x act on one number of y?",
        "Way: as in LayerNorm, three terms; both means are over the numbers of a channel.",
        "Shape: rstd · (g − mean(g) − x̂·mean(g·x̂)), each mean over axes (0, 2, 3, …) and kept",
        "axes = (0, *range(2, x.ndim)), and LayerNorm's line with mean(axes, keepdims=True)",
    ),
    wrong=(
        Wrong("", "", "were treated as constants"),
        Wrong("axes = (0, *range(2, x.ndim))", "axes = (0,)", "with its statistics over axes (0,), not (0, 2, 3)"),
        Wrong(
            "(g * x_hat).mean(axes, keepdims=True)",
            "(g * x_hat).sum(axes, keepdims=True) / len(x)",
            "m counts the samples only: one channel has N·H·W numbers",
            numbers=True,
        ),
        Wrong(
            "g - g.mean(axes, keepdims=True) - x_hat",
            "g - g.mean(0, keepdims=True) - x_hat",
            "the mean of g was taken over the samples only, and not over H and W",
            numbers=True,
        ),
        Wrong(
            "(g * x_hat).mean(axes, keepdims=True)",
            "(g * x_hat).mean(1, keepdims=True)",
            "that is LayerNorm's axis: here the numbers of one channel come together",
            numbers=True,
        ),
    ),
    predict=Question(
        "One image of the batch changes. Whose dx changes?",
        ("its own", "that of all"),
        "that of all",
        "Mean and variance are shared by the batch.",
    ),
    picture=lambda: tn.functional.batch_norm(tn.tensor(np.eye(3), requires_grad=True, name="x"), None, None, training=True),
)
