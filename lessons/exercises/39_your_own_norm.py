# %% [markdown]
# # 39 · A norm of your own
#
# No text derives this one: x̂ = x/⁴√(mean(x⁴) + ε), y = γ·x̂. Large entries weigh more than in
# RMSNorm. Six steps, as for any norm that you will invent:
#
#     derive    dx on paper (`tn.derive` would do it; try first): two terms
#     check     `backward` over arrays, for any number of axes; it is also proved, for every input
#     float32   the formula may be right and its arithmetic not
#     order 2   statistics that are constants to the way back show here
#     fuse      `fused` as a kernel would: into `out`, which is given, dy and x as they were
#     register  `tn.Norm` says what the house needs to know; `tn.register` makes it known by its
#               name, to `tn.check`, `tn.compare`, `tn.derive` and the pictures

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
# >>> yours: make it known by its name
tn.register(norm)
# --- stub
# norm  # nobody knows it yet
# <<<

# %%
if __name__ == "__main__":  # for who runs this file by itself: how the library would fuse it
    print(tn.kernel(norm).schedule)

# === for the teacher
from tinygrad_norm.learn import Backward, Exercise, Question, Wrong
from tinygrad_norm.norms import names as registered


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
    judge=Own(norm_given(), {"x": (4, 8), "weight": (8,)}, options={"order": 2, "dtype": "float32", "prove": True}, also=rule),
    hints=(
        "q = u^(−1/4), u = mean(x⁴) + ε. What is dq/du, and what is du/dx?",
        "Way: direct, q·g; and through u: Σ(g·x)·(−¼)·u^(−5/4) arrives there, and u ← x⁴ has the slope 4x³/N.",
        "Shape: q·g − q⁵·x³·mean(g·x). For fused: np.multiply(…, out=out), then out *= …, out -= …",
        "dx = q * g - q**5 * x**3 * (g * x).mean(-1, keepdims=True); at the end tn.register(norm)",
    ),
    wrong=(
        Wrong("", "", "was treated as a constant"),
        Wrong("q**5 * x**3", "q**5 * x", "x stands where x³ belongs: the slope of x⁴ is 4x³", numbers=True),
        Wrong("q * g - q**5", "q * g - q**3", "q³ where q⁵ belongs: the slope of u^(−1/4) is −¼·u^(−5/4)", numbers=True),
        Wrong("(g * x).mean(-1, keepdims=True)", "(g * x).sum(-1, keepdims=True)", "a sum where the formula has a mean"),
        Wrong("np.multiply(dy, weight, out=out)", "dy *= weight\n    out[...] = dy", "fused has changed dy"),
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
