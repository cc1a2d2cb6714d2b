# %% [markdown]
# # 11 · The variance
#
# σ² = mean(c²) with c = x − mean(x): the third step. x is in every c twice, by itself and through
# the mean. Is the mean's route of any use here? Work it out before you leave it away.

# %%
def variance(x):
    c = x - x.mean(-1, keepdims=True)
    return (c * c).mean(-1, keepdims=True)


def backward(dy, x):
    c = x - x.mean(-1, keepdims=True)
    # >>> yours
    return 2 * c * dy / x.shape[-1]
    # --- stub
    # return 2 * x * dy / x.shape[-1]  # as for x², averaged
    # <<<


# === for the teacher
import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="differentiate a variance, and say why the mean inside it gives nothing",
    lesson="layer_norm_from_primitives",
    minutes=8,
    judge=Backward(variance, {"x": (4, 8)}),
    hints=(
        "If the mean alone moved, and x stayed, how would the sum of the c² change?",
        "Way: σ² ← c² ← c ← x straight; and … ← c ← mean ← x, whose share is a mean of c, which is 0.",
        "Shape: 2 · (deviation from the mean) · dy / N",
        "return 2 * c * dy / x.shape[-1]",
    ),
    found="when all of a row moves by 1, this dx changes, and the variance does not",
    wrong=(
        Wrong("", "", "x where c = x − mean(x) belongs: a variance does not change when all of a row moves", numbers=True),
        Wrong("/ x.shape[-1]", "/ (x.shape[-1] - 1)", "1.143 = N/(N − 1) times"),
        Wrong("2 * c", "c", "the slope of c² is 2c, not c", numbers=True),
        Wrong(
            "2 * c * dy /",
            "2 * c * dy * (1 - 1 / x.shape[-1]) /",
            "1 − 1/N is the slope of an entry's own c: through the mean it is in every other c, too, and all of that together is 0",
            numbers=True,
        ),
        Wrong("2 * c * dy / x.shape[-1]", "2 * dy / x.shape[-1]", "c is missing: the slope of c² is 2c", numbers=True),
        Wrong(
            "2 * c * dy / x.shape[-1]",
            "(2 * c * dy).mean(-1, keepdims=True)",
            "the mean was taken once more: on the way back each entry keeps its own, over N",
            numbers=True,
        ),
        Wrong(" / x.shape[-1]", "", "the factor 1/N of a mean is missing", numbers=True),
        Wrong(
            "2 * c * dy / x.shape[-1]",
            "2 * (c - c * 0 - c.mean(0)) * dy / x.shape[-1]",
            "c was centred once more, over the samples",
            numbers=True,
        ),
    ),
    predict=Question(
        "The share of the route through the mean is",
        ("positive", "0", "negative"),
        "0",
        "It is −2·mean(c)·…, and deviations from a mean sum to 0.",
    ),
    picture=lambda: variance(tn.tensor([[0.5, -1.0]], requires_grad=True, name="x")),
)
