# %% [markdown]
# # 25 · Another function in use
#
# BatchNorm trains one function and uses another: in use, mean and variance are numbers kept from
# training (`M`, `V`). Write the backward of that; and `updated`, by which a running value follows
# the batches, with the unbiased variance, as PyTorch does.

# %%
import numpy as np

M, V = np.array([0.5, -1.0, 2.0]), np.array([1.0, 4.0, 0.25])


def backward(dy, x, weight, bias):
    # >>> yours: dx, dγ, dβ
    rstd = (V + 1e-5) ** -0.5
    dx = dy * weight * rstd
    dweight = (dy * (x - M) * rstd).sum(0)
    # --- stub
    # rstd = (x.var(0) + 1e-5) ** -0.5
    # dx = dy * weight * rstd
    # dweight = (dy * (x - x.mean(0)) * rstd).sum(0)
    # <<<
    return dx, dweight, dy.sum(0)


def updated(mean, variance, batch, momentum=0.1):
    """The running mean and variance after one more batch, of the shape (N, C)."""
    n = len(batch)
    # >>> yours
    mean = (1 - momentum) * mean + momentum * batch.mean(0)
    variance = (1 - momentum) * variance + momentum * batch.var(0) * n / (n - 1)
    # --- stub
    # mean = batch.mean(0)
    # variance = batch.var(0)
    # <<<
    return mean, variance


# === for the teacher
import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong


def in_use(x, weight, bias):
    return tn.functional.batch_norm(x, M.copy(), V.copy(), weight, bias, training=False)


def rule(names):
    batch = np.random.default_rng(1).normal(2.0, 3.0, size=(5, 3))
    theirs = names["updated"](M.copy(), V.copy(), batch)
    yield isinstance(theirs, tuple) and len(theirs) == 2, "updated returns two: mean and variance"
    mean, variance = map(np.asarray, theirs)
    truth = 0.9 * M + 0.1 * batch.mean(0)
    yield (
        not np.allclose(mean, batch.mean(0)),
        "the running mean: it was replaced by the batch's; it follows slowly, by the share momentum",
    )
    yield (
        not np.allclose(mean, 0.1 * M + 0.9 * batch.mean(0)),
        "the running mean: momentum is the share of the NEW one, in PyTorch",
    )
    yield np.allclose(mean, truth), "the running mean: (1 − momentum)·old + momentum·new"
    yield (
        not np.allclose(variance, 0.9 * V + 0.1 * batch.var(0)),
        "the running variance: the batch's is to be divided by N − 1 here, not by N",
    )
    yield np.allclose(variance, 0.9 * V + 0.1 * batch.var(0, ddof=1)), "the running variance: (1 − momentum)·old + momentum·new"


exercise = Exercise(
    goal="tell BatchNorm in training from BatchNorm in use, by what is constant",
    lesson="what_running_statistics_do",
    claims=("running-against-batch",),
    minutes=12,
    judge=Backward(in_use, {"x": (5, 3), "weight": (3,), "bias": (3,)}, also=rule, anywhere=False),
    hints=(
        "Does a kept mean move when x does?",
        "Way: one only, straight. For the running values: a little of the new, the rest of the old.",
        "Shape: dy·γ·rstd with rstd from V; (1 − momentum)·old + momentum·new, the new variance over N − 1",
        "dx = dy * weight * (V + 1e-5) ** -0.5;  variance = 0.9·variance + 0.1·batch.var(0)·n/(n − 1)",
    ),
    wrong=(
        Wrong("", "", "the batch's own mean and variance: in use those kept from training stand there", numbers=True),
        Wrong(
            "dx = dy * weight * rstd",
            "g, x_hat = dy * weight, (x - M) * rstd\n    dx = rstd * (g - g.mean(0) - x_hat * (g * x_hat).mean(0))",
            "the terms through mean and variance are in it: M and V do not move when x does, so only the straight way is left",
            numbers=True,
        ),
        Wrong(
            "dx = dy * weight * rstd",
            "g, r = dy * weight, (x.var(0) + 1e-5) ** -0.5\n    h = (x - x.mean(0)) * r\n"
            "    dx = r * (g - g.mean(0) - h * (g * h).mean(0))",
            "that is the backward of training, with the batch's own mean and variance; in use M and V stand there, and do not move",
            numbers=True,
        ),
        Wrong("dx = dy * weight * rstd", "dx = dy * rstd", "the factor weight is missing in what flows to x̂"),
        Wrong(
            "(x - M) * rstd).sum(0)",
            "(x - x.mean(0)) * rstd).sum(0)",
            "dγ: the batch's own mean is in it, and in use it is M",
            numbers=True,
        ),
        Wrong("* n / (n - 1)", "", "divided by N − 1 here, not by N"),
        Wrong(
            "(1 - momentum) * mean + momentum * batch.mean(0)",
            "momentum * mean + (1 - momentum) * batch.mean(0)",
            "momentum is the share of the NEW one",
        ),
        Wrong("(1 - momentum) * mean + momentum * batch.mean(0)", "batch.mean(0)", "it was replaced by the batch's"),
    ),
    predict=Question(
        "How many routes lead from x to y in use?",
        ("one", "three"),
        "one",
        "M and V are constants: nothing comes back through them.",
    ),
    picture=lambda: in_use(
        tn.tensor(np.eye(3), requires_grad=True, name="x"), tn.tensor(np.ones(3), name="γ"), tn.tensor(np.zeros(3), name="β")
    ),
)
