# %% [markdown]
# # 10 · Centring
#
# c = x − mean(x): the second step. Each entry of x reaches its own c straight and, through the
# mean, every c of its row.

# %%
def centre(x):
    return x - x.mean(-1, keepdims=True)


def backward(dy, x):
    # >>> yours
    return dy - dy.mean(-1, keepdims=True)
    # --- stub
    # return dy  # as if the mean were a constant
    # <<<


# === for the teacher
import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="see what centring does on the way back: the same as on the way there",
    lesson="layer_norm_from_primitives",
    minutes=6,
    judge=Backward(centre, {"x": (4, 8)}),
    hints=(
        "If all entries of a row grow by 1, what does c do?",
        "Way: the second goes c ← mean ← x. The mean is subtracted from *every* entry: their dy come together, then 1/N.",
        "Shape: dy − (something that is one number for each row)",
        "return dy - dy.mean(-1, keepdims=True)",
    ),
    wrong=(
        Wrong("", "", "mean(x) was treated as a constant"),
        Wrong(".mean(-1, keepdims=True)", ".sum(-1, keepdims=True)", "N = 8 times too big: a sum where the formula has a mean"),
        Wrong("dy.mean(-1, keepdims=True)", "dy.mean(0)", "averaged over axis 0, not over 1"),
        Wrong(
            "dy.mean(-1, keepdims=True)",
            "dy / x.shape[-1]",
            "an entry's own c only: through the mean it is in every c of its row, with −1/N each",
            numbers=True,
        ),
        Wrong("dy - dy.mean", "dy + dy.mean", "the mean(x) term has the wrong sign"),
        Wrong("dy.mean(-1, keepdims=True)", "x.mean(-1, keepdims=True)", "x was centred where dy belongs", numbers=True),
    ),
    predict=Question(
        "The loss is c.sum(). Its gradient with respect to x is",
        ("0", "1", "1/N"),
        "0",
        "The sum of c is 0, whatever x is; dy = 1 less its mean is 0.",
    ),
    picture=lambda: centre(tn.tensor([[0.5, -1.0]], requires_grad=True, name="x")),
)
