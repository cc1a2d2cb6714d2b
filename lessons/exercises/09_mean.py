# %% [markdown]
# # 9 · The mean
#
# LayerNorm is made of four small steps, and this is the first: the mean of a row, kept as a column,
# (4, 8) → (4, 1). Every entry of the row is in it, with the slope 1/N. N is how many are averaged.

# %%
def mean(x):
    return x.mean(-1, keepdims=True)


def backward(dy, x):
    # dy has the shape (4, 1), dx has that of x
    # >>> yours
    return dy / x.shape[-1] + 0 * x
    # --- stub
    # return dy + 0 * x  # + 0·x spreads dy over the row
    # <<<


# === for the teacher
import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="take a gradient back through a mean",
    lesson="layer_norm_from_primitives",
    minutes=5,
    judge=Backward(mean, {"x": (4, 8)}),
    hints=(
        "If one of eight entries grows by 1, by how much does their mean grow?",
        "Way: from each entry of the row straight to the mean, always with the same slope.",
        "Shape: dy over a number, the same for all entries of a row",
        "return dy / x.shape[-1] + 0 * x",
    ),
    wrong=(
        Wrong("", "", "the factor 1/N of a mean is missing", numbers=True),
        Wrong("x.shape[-1]", "x.shape[0]", "B, how many rows there are, where N, how long a row is, belongs", numbers=True),
        Wrong(
            " + 0 * x",
            "",
            "a number for each row: it is to be spread over the row, as each entry gets it (+ 0·x does that)",
            numbers=True,
        ),
        Wrong(
            "dy / x.shape[-1] + 0 * x", "dy * x / x.shape[-1]", "the slope of a mean is 1/N: x itself is not in it", numbers=True
        ),
    ),
    predict=Question("With rows twice as long, each entry gets", ("half", "as much", "twice as much"), "half", "1/N."),
    picture=lambda: mean(tn.tensor([[0.5, -1.0]], requires_grad=True, name="x")),
)
