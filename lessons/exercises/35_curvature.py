# %% [markdown]
# # 35 · The gradient of a gradient
#
# How does the gradient of f change when x moves along v? That is the Hessian times v, without the
# Hessian: take the gradient *on the record* (`create_graph=True`), multiply by v, sum, and take the
# gradient of that. (`tn.hvp` does just this.)

# %%
import tinygrad_norm as tn


def hessian_times(f, x, v):
    """Of f, tensor -> number, at the array x, along the array v."""
    x = tn.tensor(x, requires_grad=True)
    # >>> yours: the gradient, on the record; then that of its sum with v
    (first,) = tn.grad(f(x), x, create_graph=True)
    (second,) = tn.grad((first * tn.tensor(v)).sum(), x)
    return second.data
    # --- stub
    # (first,) = tn.grad(f(x), x)
    # return first.data * v
    # <<<


# === for the teacher
import numpy as np

from tinygrad_norm.learn import Exercise, Facts, Question, Wrong


def cubic(x):
    return (x * x * x).sum()


def of_norm(x):
    y = tn.functional.layer_norm(x, 6)
    return (y * y * y).sum()


def rule(names):
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=6), rng.normal(size=6)
    given = np.asarray(names["hessian_times"](cubic, x, v))
    yield given.shape == (6,), f"the shape: that of x, (6,), not {given.shape}"
    yield (
        not np.allclose(given, 3 * x**2 * v),
        "the gradient times v: that is one derivative. The gradient of (gradient · v) is asked for",
    )
    yield not np.allclose(given, 6 * x), "v is missing: 6x for Σx³, where 6x·v belongs"
    yield np.allclose(given, 6 * x * v), "for Σx³ it is 6x·v"
    h = 1e-5
    truth = (
        tn.grad(of_norm(a := tn.tensor(x + h * v, requires_grad=True)), a)[0].data
        - tn.grad(of_norm(b := tn.tensor(x - h * v, requires_grad=True)), b)[0].data
    ) / (2 * h)
    theirs = np.asarray(names["hessian_times"](of_norm, x, v))
    yield (
        np.allclose(theirs, truth, rtol=1e-5, atol=1e-6),
        "right for Σx³, where entries do not meet, and not for LayerNorm: was the product with v summed before it was differentiated?",
    )


exercise = Exercise(
    goal="differentiate a gradient, and get curvature along a direction for the price of two",
    lesson="gradient_of_a_gradient",
    claims=("smoother-landscape",),
    minutes=10,
    judge=Facts(rule),
    hints=(
        "What is the gradient of the number Σ (gradient · v)?",
        "Way: f → its gradient, kept on the record → a number with v → the gradient of that number.",
        "Shape: two calls of tn.grad; the first with create_graph=True",
        "(first,) = tn.grad(f(x), x, create_graph=True);  (second,) = tn.grad((first * tn.tensor(v)).sum(), x)",
    ),
    wrong=(
        Wrong("", "", "that is one derivative"),
        Wrong("(first * tn.tensor(v)).sum()", "first.sum()", "v is missing"),
        Wrong(", create_graph=True", "", "on the record only with create_graph=True"),
        Wrong("(first * tn.tensor(v)).sum()", "first * tn.tensor(v)", "what is to be differentiated is a sum"),
        Wrong("return second.data", "second.data", "does a function end without its return?"),
        Wrong("second.data", "second.data * v", "for Σx³ it is 6x·v"),
        Wrong(
            "(second,) = tn.grad((first * tn.tensor(v)).sum(), x)\n    return second.data",
            "(second,) = tn.grad(first.sum(), x)\n    return second.data * v",
            "right for Σx³, where entries do not meet",
        ),
    ),
    predict=Question(
        "A kernel with saved statistics: right at order 1, and at order 2?",
        ("right", "wrong"),
        "wrong",
        "What was saved is a constant to who differentiates again, although it depends on x.",
    ),
)
