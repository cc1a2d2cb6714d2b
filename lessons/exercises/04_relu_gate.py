# %% [markdown]
# # 4 · A gate
#
# y = max(x, 0), here `tn.functional.relu`, lets what is positive through and stops the rest. What
# does it do on the way back? The slope of an operation is taken where it was evaluated: at x. (x >
# 0 is an array, too: 1 where it holds, 0 elsewhere.)

# %%
import tinygrad_norm as tn


def gate(x):
    return tn.functional.relu(x)


def backward(dy, x):
    # >>> yours
    return dy * (x > 0)
    # --- stub
    # return dy  # as if the gate were open everywhere
    # <<<


# %%
if __name__ == "__main__":  # for who runs this file by itself; the course runs the check for you
    print(tn.check(backward, gate, inputs=([[1.0, -2.0, 3.0]],)))

# === for the teacher
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="say of an operation with a kink what goes back through it",
    lesson="routes_and_time",
    minutes=5,
    judge=Backward(gate, {"x": (4, 8)}),
    hints=(
        "If x is −2 and moves a little, what does y do?",
        "Way: one only; its slope is 1 where the gate was open on the way there, 0 where it was shut.",
        "Shape: dy · (1 where x is positive, 0 elsewhere)",
        "return dy * (x > 0)",
    ),
    wrong=(
        Wrong("", "", "dy went through where the gate was shut", numbers=True),
        Wrong("dy * (x > 0)", "dy * (dy > 0)", "the gate was set by the sign of dy: it is x that opened it", numbers=True),
        Wrong(
            "dy * (x > 0)",
            "dy * x * (x > 0)",
            "y times dy: that is the value where the slope belongs; the slope is 0 or 1",
            numbers=True,
        ),
        Wrong("dy * (x > 0)", "dy * max(x, 0)", "Entry by entry: (x > 0) is 1 where it holds"),
        Wrong("dy * (x > 0)", "dy * (x < 0)", "the gate is the wrong way round", numbers=True),
    ),
    predict=Question(
        "Of 32 random entries, how many get no gradient, about?",
        ("none", "half", "all"),
        "half",
        "Those with x < 0: the gate was shut.",
    ),
    picture=lambda: gate(tn.tensor([[0.5, -1.0]], requires_grad=True, name="x")),
)
