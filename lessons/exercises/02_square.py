# %% [markdown]
# # 2 · A backward of your own
#
# A *backward* is asked: if the loss changes by `dy` per unit of y, how much does it change per unit
# of x? `dy` (the *cotangent*, the gradient that comes from behind) has y's shape, the answer `dx`
# has x's. For y = x², entry by entry, write it.

# %%
import tinygrad_norm as tn


def square(x):
    return x * x


def backward(dy, x):
    # >>> yours
    return 2 * x * dy
    # --- stub
    # return dy  # as if y were x
    # <<<


# %% [markdown]
# `tn.check` asks your backward with random numbers, and knows the truth from the record. In its
# verdict, |Δ| is how far yours is from the truth; `rel` the same beside the largest entry of dx;
# what *rounding explains* is what 16 digits would excuse. The *probe* is the random numbers: it is
# strong if each mistake that people make would show with them. A right answer is right at the
# shapes that are listed.

# %%
if __name__ == "__main__":  # for who runs this file by itself; the course runs the check for you
    print(tn.check(backward, square, inputs=([[1.0, -2.0, 3.0]],)))

# === for the teacher
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="write the backward of one operation: the local slope times what comes from behind",
    lesson="a_tensor_remembers",
    minutes=5,
    judge=Backward(square, {"x": (4, 8)}),
    hints=(
        "By how much does x² change when x changes by a little?",
        "Way: the loss changes by dy per unit of y, y by its slope per unit of x; along a way slopes multiply.",
        "Shape: (the slope of x² at x) · dy",
        "return 2 * x * dy",
    ),
    wrong=(
        Wrong("", "", "dy as it came: the slope of x² at x is missing", numbers=True),
        Wrong("2 * x * dy", "x * dy", "one route only: x stands in x·x twice, and each of the two gives x·dy", numbers=True),
        Wrong("2 * x * dy", "2 * x", "the slope alone: dy, what comes from behind, is missing", numbers=True),
        Wrong("2 * x * dy", "2 * dy", "the slope of x² is 2x, not 2: it differs from entry to entry", numbers=True),
        Wrong("2 * x * dy", "x * x * dy", "y times dy: that is the value where the slope belongs", numbers=True),
    ),
    predict=Question(
        "x·x uses x twice. How many routes lead from x to y?",
        ("one", "two"),
        "two",
        "Each use is a route with share x·dy; both add up to 2x·dy.",
    ),
    picture=lambda: square(tn.tensor([[1.0, -2.0, 3.0]], requires_grad=True, name="x")),
)
