# %% [markdown]
# # 36 · A norm of your own
#
# No text derives this one: x̂ = x/⁴√(mean(x⁴) + ε), y = γ·x̂. Large entries weigh more than in
# RMSNorm. Derive its dx (`tn.derive` would do it; try first), write it over arrays, for any number
# of axes; then `fused`, as a kernel would be: into `out`, which is given, without touching dy. It
# is asked in float64 and float32, at order 2; `tn.Norm` says what the house needs to know of it, so
# that `tn.compare`, `tn.check` and, once `tn.register`ed, the command line know it.

# %%
import numpy as np

import tinygrad_norm as tn


def forward(x, weight, eps):
    return weight * x * ((x**4).mean(-1, keepdims=True) + eps) ** -0.25


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
    # >>> yours
    np.multiply(dy, weight, out=out)
    q = (np.einsum("...i,...i->...", x * x, x * x)[..., None] / x.shape[-1] + eps) ** -0.25
    along = np.einsum("...i,...i->...", out, x)[..., None] / x.shape[-1]
    out *= q
    cube = x * x
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

# === for the teacher
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong


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
    single = [a.astype(np.float32) for a in (dy, x, w)]
    buffer = np.empty_like(single[1])
    yield names["fused"](*single, 1e-5, buffer).dtype == np.float32, "fused: float32 in, float32 out"
    yield bool(tn.compare(names["norm"]).ok), "the norm that you registered does not agree with itself: is apply your forward?"


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
    goal="take a norm nobody has derived from its formula to a checked, fused kernel",
    lesson="what_must_be_kept",
    minutes=40,
    judge=Own(norm_given(), {"x": (4, 8), "weight": (8,)}, options={"order": 2, "dtype": "float32"}, also=rule),
    hints=(
        "q = u^(−1/4), u = mean(x⁴) + ε. What is dq/du, and what is du/dx?",
        "Way: direct, q·g; and through u: Σ(g·x)·(−¼)·u^(−5/4) arrives there, and u ← x⁴ has the slope 4x³/N.",
        "Shape: q·g − q⁵·x³·mean(g·x). For fused: np.multiply(…, out=out), then out *= …, out -= …",
        "dx = q * g - q**5 * x**3 * (g * x).mean(-1, keepdims=True)",
    ),
    wrong=(
        Wrong("", "", "was treated as a constant"),
        Wrong("q**5 * x**3", "q**5 * x", "x stands where x³ belongs: the slope of x⁴ is 4x³", numbers=True),
        Wrong("q * g - q**5", "q * g - q**3", "q³ where q⁵ belongs: the slope of u^(−1/4) is −¼·u^(−5/4)", numbers=True),
        Wrong("(g * x).mean(-1, keepdims=True)", "(g * x).sum(-1, keepdims=True)", "a sum where the formula has a mean"),
        Wrong("np.multiply(dy, weight, out=out)", "dy *= weight\n    out[...] = dy", "fused has changed dy"),
        Wrong("return out", "return out.copy()", "into out, and out returned"),
        Wrong("out -= cube", "out += cube", "is not dx"),
    ),
    predict=Question(
        "How many terms will its dx have?",
        ("one", "two", "three"),
        "two",
        "Nothing is subtracted from x: direct, and through the one statistic.",
    ),
    picture=lambda: forward(tn.tensor(np.eye(3), requires_grad=True, name="x"), tn.tensor(np.ones(3), name="γ"), 1e-5),
)
