# %% [markdown]
# # 5 · One number, used many times
#
# x has four rows of eight; γ has eight numbers, used in *every* row. Each use is a way from γ to y.
# So dγ has γ's shape, and in it the shares of all rows come together.

# %%
import tinygrad_norm as tn


def scaled(x, gamma):
    return x * gamma


def backward(dy, x, gamma):
    dx = dy * gamma
    # >>> yours: of the shape of gamma
    dgamma = (dy * x).sum(axis=0)
    # --- stub
    # dgamma = dy[0] * x[0]  # the first row's share
    # <<<
    return dx, dgamma


# %%
if __name__ == "__main__":  # for who runs this file by itself; the course runs the check for you
    print(tn.check(backward, scaled, inputs={"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "gamma": [1.0, 2.0]}))

# === for the teacher
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="give back a gradient to what was broadcast: a sum over all its uses",
    lesson="broadcasting",
    minutes=8,
    judge=Backward(scaled, {"x": (4, 8), "gamma": (8,)}),
    hints=(
        "γ₁ multiplies the first entry of how many rows?",
        "Way: from γ through each row to y, with share dy·x of that row.",
        "Shape: a sum over the axis along which γ was repeated; what is left has shape (8,).",
        "dgamma = (dy * x).sum(axis=0)",
    ),
    wrong=(
        Wrong("", "", "only the first row gave its share", numbers=True),
        Wrong(".sum(axis=0)", ".mean(axis=0)", "averaged over the samples where a sum belongs"),
        Wrong("(dy * x).sum(axis=0)", "(dy * x).sum(axis=1)", "dgamma has shape (4,), not (8,)"),
        Wrong(
            "(dy * x).sum(axis=0)",
            "dy.sum(axis=0)",
            "that is the gradient of something added; γ multiplies x, so its slope is x",
            numbers=True,
        ),
        Wrong("(dy * x).sum(axis=0)", "dy * x", "dgamma has shape (4, 8), not (8,): sum over axis 0"),
    ),
    predict=Question(
        "With twice as many rows, dγ becomes",
        ("half", "about the same", "more"),
        "more",
        "A sum over rows: each row adds its share.",
    ),
    picture=lambda: scaled(
        tn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name="x"), tn.tensor([1.0, 2.0], requires_grad=True, name="γ")
    ),
)
