# %% [markdown]
# # 8 · Cross-entropy: the gradient everybody trains with
#
# The loss is the mean over B samples of −log p, where p is the share that softmax gives to the
# right class; here `tn.functional.cross_entropy`. Two steps (log, softmax) have long gradients;
# together they have a short one. A loss is one number, and so is dy, what comes from behind.

# %%
import numpy as np

import tinygrad_norm as tn

classes = np.array([2, 0, 1, 2])


def loss(x):
    return tn.functional.cross_entropy(x, tn.tensor(classes))


def backward(dy, x):
    e = np.exp(x - x.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    onehot = np.eye(x.shape[-1])[classes]  # 1 at the right class, 0 elsewhere
    # >>> yours
    return dy * (p - onehot) / len(x)
    # --- stub
    # return dy * (1 - p)
    # <<<


# === for the teacher
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong

exercise = Exercise(
    goal="write the gradient of cross-entropy, and say what it pushes where",
    lesson="broadcasting",
    minutes=10,
    judge=Backward(loss, {"x": (4, 3)}, anywhere=False),  # four classes are given
    hints=(
        "−log p of the right class is −x_right + log Σeˣ. What are the slopes of the two parts?",
        "Way: through x_right only the right class gets something, −1; through log Σeˣ every class gets its share p.",
        "Shape: (shares − 1 at the right class), over the number of samples, times dy",
        "return dy * (p - onehot) / len(x)",
    ),
    found="one formula for every class: it does not ask which of them is the right one",
    wrong=(
        Wrong("", "", "1 − p for every class: only the right class is pushed up, and it alone has the 1", numbers=True),
        Wrong("/ len(x)", "* 1", "4 = B times what it should be"),
        Wrong("p - onehot", "p", "the right class was not taken out: p − onehot", numbers=True),
        Wrong("p - onehot", "onehot - p", "the sign: p − onehot; a step goes against the gradient", numbers=True),
        Wrong("p - onehot", "p - 1", "1 was taken from every class: it belongs to the right one, p − onehot", numbers=True),
        Wrong(
            "p - onehot",
            "-onehot / p",
            "the slope of −log p with respect to p: the way on, through softmax to x, is missing",
            numbers=True,
        ),
        Wrong("dy * (p - onehot)", "(p - onehot)", "dy, what comes from behind, is missing", numbers=True),
    ),
    predict=Question(
        "For a sample that is right with p = 1, the gradient is",
        ("0", "1", "as large as dy"),
        "0",
        "p − onehot = 0: there is nothing to learn from it.",
    ),
    picture=lambda: loss(tn.tensor(np.zeros((4, 3)), requires_grad=True, name="x")),
)
