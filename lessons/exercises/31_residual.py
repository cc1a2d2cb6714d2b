# %% [markdown]
# # 31 · A way around
#
# Pre-LN: y = x + LN(x)·W. The block *adds* to x, so one way from x to y goes around it all. Write
# what comes back to x, and W's gradient. LayerNorm's own backward is at hand: `ln_backward`.

# %%
import tinygrad_norm as tn


def block(x, w):
    return x + tn.functional.layer_norm(x, x.shape[-1]) @ w


def mean(a):
    return a.mean(-1, keepdims=True)


def statistics(x):
    c = x - mean(x)
    rstd = (mean(c * c) + 1e-5) ** -0.5
    return c * rstd, rstd


def ln_backward(g, x):
    x_hat, rstd = statistics(x)
    return rstd * (g - mean(g) - x_hat * mean(g * x_hat))


def backward(dy, x, w):
    x_hat, _ = statistics(x)
    # >>> yours: dx and dW
    dx = dy + ln_backward(dy @ w.T, x)
    dw = x_hat.T @ dy
    # --- stub
    # dx = ln_backward(dy @ w.T, x)
    # dw = x_hat.T @ dy
    # <<<
    return dx, dw


# === for the teacher
import numpy as np

from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="take a gradient back through a residual block, and say why depth does not kill it",
    lesson="pre_and_post_ln",
    claims=("pre-and-post-at-start", "pre-and-post-training"),
    minutes=12,
    judge=Backward(block, {"x": (4, 8), "w": (8, 8)}),
    hints=(
        "How many ways lead from x to y, if LN(x)·W counts as one?",
        "Way: around the block, slope 1; and y ← ·W ← LN ← x, each backward in turn.",
        "Shape: dx = dy + (LayerNorm's backward of what comes back through W)",
        "dx = dy + ln_backward(dy @ w.T, x);  dw = x_hat.T @ dy",
    ),
    found="one way from y to x is in dx: through the block",
    wrong=(
        Wrong("", "", "the way around is missing: y = x + …, so dy itself comes back to x, too", numbers=True),
        Wrong(
            "dy @ w.T", "dy @ w", "w was not transposed on the way back: there it was x̂ @ w, so back it is dy @ wᵀ", numbers=True
        ),
        Wrong("ln_backward(dy @ w.T, x)", "ln_backward(dy, x)", "W was left out: what arrives at LN(x) is dy·Wᵀ", numbers=True),
        Wrong(
            "ln_backward(dy @ w.T, x)",
            "ln_backward(dy, x) @ w.T",
            "the order: back through W first, then through LayerNorm, the other way round than on the way there",
            numbers=True,
        ),
        Wrong("ln_backward(dy @ w.T, x)", "dy @ w.T", "LayerNorm was left out on the way back", numbers=True),
        Wrong(
            "dy + ln_backward",
            "dy * ln_backward",
            "two ways lead to x, and what comes by them is added, not multiplied",
            numbers=True,
        ),
        Wrong("dw = x_hat.T @ dy", "dw = dy.T @ x_hat", "dw is transposed: x̂ᵀ·dy has w's rows and columns", numbers=True),
        Wrong(
            "dw = x_hat.T @ dy", "dw = x.T @ dy", "x was used where x̂ belongs: W multiplies what LayerNorm gives", numbers=True
        ),
        Wrong(
            "dy + ln_backward",
            "ln_backward(dy, x) + ln_backward",
            "the way around goes around LayerNorm, too: dy as it is",
            numbers=True,
        ),
    ),
    predict=Question(
        "W is 0, as some start it. What is dx?",
        ("0", "dy", "LN's backward of dy"),
        "dy",
        "Only the way around is left; the block begins as nothing.",
    ),
    picture=lambda: block(tn.tensor(np.eye(8)[:2], requires_grad=True, name="x"), tn.tensor(np.eye(8), name="W")),
)
