# %% [markdown]
# # 7 · Softmax: shares of a whole
#
# p = eˣ/Σeˣ along a row. x reaches p twice: in the numerator its own entry, in the denominator
# *all* entries of the row. So a gradient comes back by two routes: straight, and through the Σ. Put
# together they are short.

# %%
import numpy as np


def backward(dy, x):
    e = np.exp(x - x.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    # >>> yours
    return p * (dy - (dy * p).sum(-1, keepdims=True))
    # --- stub
    # return p * dy  # as if the Σ were a constant
    # <<<


# === for the teacher
import tinygrad_norm as tn
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="differentiate shares of a whole, where every entry acts on every other",
    lesson="broadcasting",
    minutes=12,
    judge=Backward("softmax", {"x": (4, 8)}),
    hints=(
        "If one entry of x grows, what happens to the shares of the others?",
        "Way: the second goes p ← Σe ← e ← x. Through 1/Σ its slope is −p/Σ, summed over all shares of the row.",
        "Shape: p · (dy − a sum over the row, the same for all its entries)",
        "return p * (dy - (dy * p).sum(-1, keepdims=True))",
    ),
    wrong=(
        Wrong("", "", "Σe was treated as a constant"),
        Wrong("(dy * p).sum(-1, keepdims=True)", "(dy * p).mean(-1, keepdims=True)", "a mean where the formula has a sum"),
        Wrong("p * (dy - (dy * p).sum(-1, keepdims=True))", "p * (1 - p) * dy", "has no Σ: p·dy where Σ(p·dy) belongs"),
        Wrong(
            "(dy * p).sum(-1, keepdims=True)",
            "dy.sum(-1, keepdims=True)",
            "dy was summed without its shares: Σ(dy·p) belongs there",
            numbers=True,
        ),
        Wrong("(dy * p).sum(-1, keepdims=True)", "(dy * p).sum(-1)", "without keepdims=True loses its axis"),
        Wrong("dy - (dy", "dy + (dy", "the Σe term has the wrong sign"),
    ),
    predict=Question(
        "What is the sum of dx over a row?",
        ("0", "1", "that of dy"),
        "0",
        "Adding one number to a whole row changes no share, so no gradient may point that way.",
    ),
    picture=lambda: tn.functional.softmax(tn.tensor([[0.5, -1.0]], requires_grad=True, name="x"), -1),
)
