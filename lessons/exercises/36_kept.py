# %% [markdown]
# # 36 · Keep less
#
# Between the way forward and the way back lies what the way back will read: memory. What is kept
# depends on how the forward is written: a product's rule reads its two factors, a quotient's its
# divisor and its *result*, `exp`'s its result, a power's what it was given; x itself is there
# anyway. Both functions are right as you find them, and keep too much. Write them so that beside
# what is given `rms` keeps no more than two numbers a row, and `softmax` its result and one number
# a row.

# %%
import tinygrad_norm as tn


def rms(x):
    """x/√(mean(x²) + ε), with ε = 1e-5."""
    v = ((x * x).mean(-1, keepdims=True) + 1e-5).named("v")
    # >>> yours: the same values, and no more than two numbers a row kept
    return x * v.rsqrt()
    # --- stub
    # return x / v.sqrt()
    # <<<


def softmax(x):
    """eˣ/Σeˣ along a row. `tn.functional.logsumexp` (x, dim=-1, keepdim=True) is log Σeˣ: e^(x − that) is the same share."""
    # >>> yours: the same values; its result and one number a row kept
    return (x - tn.functional.logsumexp(x, -1, keepdim=True)).exp()
    # --- stub
    # e = (x - x.max(-1, keepdims=True)).exp().named("e")
    # return e / e.sum(-1, keepdims=True)
    # <<<


# %%
if __name__ == "__main__":  # for who runs this file by itself
    x = tn.tensor([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]], requires_grad=True, name="x")
    for f in (rms, softmax):
        print(f.__name__, tn.graph(f(x)).reads().note)

# === for the teacher
import numpy as np

from tinygrad_norm.learn import Exercise, Facts, Question, Wrong

ROWS, LONG = 6, 16


def rule(names):
    x = np.random.default_rng(0).normal(size=(ROWS, LONG)) * 3
    e = np.exp(x - x.max(-1, keepdims=True))
    truth = {
        "rms": x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5),
        "softmax": e / e.sum(-1, keepdims=True),
    }
    most = {"rms": 2 * ROWS, "softmax": ROWS * LONG + ROWS}
    near = {
        "rms": "A quotient's rule reads its result: which operation gives 1/√ at once?",
        "softmax": "A quotient's rule reads its result, and exp's rule its own: two arrays of x's size. Can the last operation be the exp?",
    }
    for name in truth:
        given = tn.tensor(x, requires_grad=True, name="x")
        y = names[name](given)
        yield y is not None, f"{name} gives nothing back: does it end without its return?"
        yield np.allclose(y.data, truth[name], rtol=1e-9), f"{name} is another function now: its values have changed"
        yield isinstance(y, tn.Tensor) and y.requires_grad, f"{name} left the record: with arrays there is no way back"
        reads = tn.graph(y).reads()
        yield (
            reads.numbers.kept <= most[name],
            f"{name} keeps too much: {reads.numbers.kept} numbers for {ROWS} rows of {LONG}, where {most[name]} are enough ({reads.note}). {near[name]}",
        )
    for name in truth:
        verdict = tn.check_grads(names[name], x[:2, :4], order=2)
        yield verdict.ok, f"{name}: its gradient is another one now"


exercise = Exercise(
    goal="say what a layer costs in memory, and make it cost less",
    lesson="what_must_be_kept",
    minutes=12,
    judge=Facts(rule),
    hints=(
        "Which array of x's size is read by a rule, and is not x?",
        "Way: in rms it is the quotient's result; in softmax e (by the quotient and by exp) and the quotient's result.",
        "Shape: rms = x · (something that is one number a row); softmax = exp of (x less one number a row)",
        "return x * v.rsqrt(), and return (x - tn.functional.logsumexp(x, -1, keepdim=True)).exp()",
    ),
    wrong=(
        Wrong("", "", "rms keeps too much: 102 numbers"),
        Wrong("x * v.rsqrt()", "x * (1 / v.sqrt()) * (x / x)", "rms keeps too much"),
        Wrong("(x - tn", "tn.functional.exp(x - tn", "are methods of a tensor"),
        Wrong("keepdim=True", "keepdims=True", "tn.functional has PyTorch's names"),
        Wrong("x, -1, keepdim=True", "x", "dim=-1 is along the rows"),
        Wrong("x * v.rsqrt()", "x * v", "rms is another function now"),
        Wrong("x * v.rsqrt()", "x * v.rsqrt().detach()", "rms: its gradient is another one now"),
        Wrong(
            "return (x - tn.functional.logsumexp(x, -1, keepdim=True)).exp()",
            "e = x.exp()\n    return e / e.sum(-1, keepdims=True)",
            "Can the last operation be the exp?",
        ),
    ),
    predict=Question(
        "What does the rule of a mean read?",
        ("what it averaged", "its result", "neither"),
        "neither",
        "Every entry gets dy/N, whatever it is.",
    ),
)
