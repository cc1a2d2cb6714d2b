# %% [markdown]
# # 39 · A norm of your own
#
# No text derives this one: x̂ = x/⁴√(mean(x⁴) + ε), y = γ·x̂. Large entries weigh more than in
# RMSNorm. Six steps, as for any norm that you will invent; each has hints of its own:
#
#     derive    dx on paper: two terms. (`tn.derive` would do it, as in lesson 7 under "A norm nobody
#               thought of"; try first.)
#     check     `backward` over arrays, for any number of axes; it is also proved, for every input
#     float32   the formula may be right and its arithmetic not: it is checked in float32, where a
#               distance of 1e-8 is as right as 1e-16 is elsewhere
#     order 2   statistics that are constants to the way back show here
#     fuse      `fused` as a kernel would: into `out`, which is given, dy and x as they were
#     register  `tn.Norm` says what the house needs to know; `tn.register` makes it known by its
#               name, to `tn.check`, `tn.compare`, `tn.derive` and the pictures

# %%
import numpy as np

import tinygrad_norm as tn


def forward(x, weight, eps):
    """Of tensors, for the record."""
    return weight * x * (((x**4).mean(-1, keepdims=True) + eps) ** -0.25).named("q")


def backward(dy, x, weight, eps):
    # >>> yours: dx and dγ
    q = ((x**4).mean(-1, keepdims=True) + eps) ** -0.25
    g = dy * weight
    dx = q * g - q**5 * x**3 * (g * x).mean(-1, keepdims=True)
    dweight = (dy * x * q).sum(tuple(range(x.ndim - 1)))
    # --- stub
    # q = ((x**4).mean(-1, keepdims=True) + eps) ** -0.25
    # dx = q * dy * weight
    # dweight = (dy * x * q).sum(tuple(range(x.ndim - 1)))
    # <<<
    return dx, dweight


def fused(dy, x, weight, eps, out):
    """dx into ``out``; one more array of that size at most, dy and x as they were."""
    # >>> yours: dx into out
    np.multiply(dy, weight, out=out)
    along = np.einsum("...i,...i->...", out, x)[..., None] / x.shape[-1]
    cube = x * x
    q = (np.einsum("...i,...i->...", cube, cube)[..., None] / x.shape[-1] + eps) ** -0.25
    out *= q
    cube *= x
    cube *= q**5 * along
    out -= cube
    return out
    # --- stub
    # return backward(dy, x, weight, eps)[0]
    # <<<


def apply(inputs, backward="recorded", eps=1e-5):
    return forward(inputs["input"], inputs["weight"], eps)


norm = tn.Norm("l4_norm", "L4Norm", apply, lambda shape, **options: {"weight": shape[-1:]}, options={"eps": 1e-5}, analytic=False)
# >>> yours: make it known by its name
tn.register(norm)
# --- stub
# norm  # nobody knows it yet
# <<<

# %%
if __name__ == "__main__":  # for who runs this file by itself: how the library would fuse it
    print(tn.kernel(norm).schedule)

# === for the teacher
import tracemalloc

from tinygrad_norm.learn import Backward, Exercise, Question, Wrong
from tinygrad_norm.norms import names as registered

ROWS, LONG = 64, 1024


def in_between(fused):
    """How many arrays of x's size are made, at most at once."""
    x, dy, out = (np.random.default_rng(i).normal(size=(ROWS, LONG)) for i in range(3))
    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        fused(dy, x, np.ones(LONG), 1e-5, out)
        return (tracemalloc.get_traced_memory()[1] - before) / x.nbytes
    finally:
        if not traced:
            tracemalloc.stop()


def rule(names):
    rng = np.random.default_rng(2)
    x, dy, w = rng.normal(size=(5, 6)), rng.normal(size=(5, 6)), rng.normal(size=6)
    truth = backward(dy, x, w, 1e-5)[0]
    out, kept, also = np.full_like(x, np.nan), dy.copy(), x.copy()
    given = names["fused"](dy, x, w, 1e-5, out)
    yield np.array_equal(dy, kept), "fused has changed dy: another operation may still need it"
    yield np.array_equal(x, also), "fused has changed x: another operation may still need it"
    yield given is out, "fused: dx is to be written into out, and out returned; a new array costs what the kernel was to save"
    yield (
        np.allclose(out, truth, rtol=1e-10, atol=1e-12),
        "fused: what stands in out is not dx; hold it against your backward, step by step",
    )
    made = in_between(names["fused"])
    yield (
        made < 1.5,
        f"fused makes {made:.0f} arrays of that size at once, beside out: one is enough. What is `a * b * c` without an array for each "
        "product?",
    )
    single = [a.astype(np.float32) for a in (dy, x, w)]
    buffer = np.empty_like(single[1])
    yield names["fused"](*single, 1e-5, buffer).dtype == np.float32, "fused: float32 in, float32 out"
    yield bool(tn.compare(names["norm"]).ok), "the norm does not agree with itself: is apply your forward?"
    yield "l4_norm" in registered(), "l4_norm is registered nowhere: nobody knows it by its name"
    yield tn.check(backward, "l4_norm").ok, "what is registered as l4_norm is another norm"


def norm_given():
    return tn.Norm(
        "l4_norm", "L4Norm", apply, lambda shape, **options: {"weight": shape[-1:]}, options={"eps": 1e-5}, analytic=False
    )


class Own(Backward):
    """Against the norm of this exercise, which is registered nowhere."""

    def numbers(self, names):
        x, w, dy = (np.random.default_rng(i).normal(size=s) for i, s in enumerate([(4, 8), (8,), (4, 8)]))
        return [np.asarray(a) for a in names["backward"](dy, x, w, 1e-3)]


exercise = Exercise(
    goal="take a norm nobody has derived from its formula to a proved, fused, registered one",
    lesson="one_formula_five_languages",
    minutes=40,
    judge=Own(
        norm_given(),
        {"x": (4, 8), "weight": (8,)},
        options={"order": 2, "dtype": "float32", "prove": True},
        also=rule,
        any_axes=True,
    ),
    hints=(
        "q = u^(−1/4), u = mean(x⁴) + ε. What is dq/du, and what is du/dx?",
        "Way: direct, q·g; and through u: Σ(g·x)·(−¼)·u^(−5/4) arrives there, and u ← x⁴ has the slope 4x³/N.",
        "Shape: q·g − q⁵·(a power of x)·mean(g·x), and dγ over all axes but the last",
        "dx = q * g - q**5 * x**3 * (g * x).mean(-1, keepdims=True)",
    ),
    later={
        "fused": (
            "Which of the arrays that backward makes has to be there when the next one is made?",
            "Way: g into out; the row's two sums; out times q; then x³ in the one array there is, times its factor; out less that.",
            "Shape: np.multiply(…, out=out); sums of products by np.einsum, which makes no product; then *= and -=",
            "np.multiply(dy, weight, out=out); along = np.einsum('...i,...i->...', out, x)[..., None] / n; cube = x * x; q from the sum of "
            "cube·cube; out *= q; cube *= x; cube *= q**5 * along; out -= cube",
        ),
        "l4_norm": (
            "What is `norm`, and who knows of it?",
            "Way: it says what the house needs to know: a name, how it is applied, the shapes of its parameters.",
            "Shape: one call, with norm in it",
            "tn.register(norm)",
        ),
    },
    found="straight from y to x: the statistic moves with x, too. fused and register come afterwards",
    solved="derived, proved, fused, registered: tn.compare, tn.derive and tn.check know it by its name now, l4_norm",
    wrong=(
        Wrong("", "", "was treated as a constant"),
        Wrong("q**5 * x**3", "q**5 * x", "x stands where x³ belongs: the slope of x⁴ is 4x³", numbers=True),
        Wrong(
            "q * g - q**5 * x**3 * (g * x).mean(-1, keepdims=True)",
            "q * (g - x * q * (g * x * q).mean(-1, keepdims=True))",
            "that is RMSNorm's: there the mean is of x², whose slope is 2x/N; the slope of mean(x⁴) is 4x³/N",
            numbers=True,
        ),
        Wrong("q * g - q**5", "q * g - q**4", "q⁴ where q⁵ belongs: the slope of u^(−1/4) is −¼·u^(−5/4)", numbers=True),
        Wrong("sum(tuple(range(x.ndim - 1)))", "sum(0)", "asked for is any number of axes"),
        Wrong("q * g - q**5", "q * g - q**3", "q³ where q⁵ belongs: the slope of u^(−1/4) is −¼·u^(−5/4)", numbers=True),
        Wrong("(g * x).mean(-1, keepdims=True)", "(g * x).sum(-1, keepdims=True)", "a sum where the formula has a mean"),
        Wrong("np.multiply(dy, weight, out=out)", "dy *= weight\n    out[...] = dy", "fused has changed dy"),
        Wrong("return out", "out[...] = backward(dy, x, weight, eps)[0]\n    return out", "arrays of that size at once"),
        Wrong("return out", "return out.copy()", "into out, and out returned"),
        Wrong("out -= cube", "out += cube", "is not dx"),
        Wrong("tn.register(norm)", "norm", "l4_norm is registered nowhere"),
    ),
    predict=Question(
        "How many terms will its dx have?",
        ("one", "two", "three"),
        "two",
        "Nothing is subtracted from x: direct, and through the one statistic.",
    ),
    picture=lambda: forward(tn.tensor(np.eye(3), requires_grad=True, name="x"), tn.tensor(np.ones(3), name="γ"), 1e-5),
)
