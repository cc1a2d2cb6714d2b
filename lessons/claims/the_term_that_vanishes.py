# %% [markdown]
# # The term that vanishes, and the variance in one pass
#
# "Terms vanish because Σ(x − μ) = 0." So they do, in the graph that computes the variance of deviations. Who writes
# E[x²] − μ² instead gets another graph: there no route is zero; two large ones cancel, and where x is large against σ little
# is left of the digits.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

F = tn.functional
OFFSETS = (0, 10, 1e3, 1e5, 1e6)


def one_pass(x):
    mean = x.mean(dim=-1, keepdim=True)
    return (x - mean) * ((x * x).mean(dim=-1, keepdim=True) - mean * mean + 1e-5).rsqrt()


def experiment(seed):
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(size=(6, 8)), rng.normal(size=(6, 8))

    def dx(forward, offset):
        t = tn.tensor(x + offset, requires_grad=True)
        return tn.grad(forward(t), t, dy)[0].data

    found, right = {}, dx(lambda t: F.layer_norm(t, 8), 0)
    for offset in OFFSETS:
        for name, forward in (("two-pass", lambda t: F.layer_norm(t, 8)), ("one-pass", one_pass)):
            found[f"{name} at {offset:g}"] = np.abs(dx(forward, offset) - right).max()
    for name, forward in (("two-pass", lambda t: F.layer_norm(t, 8)), ("one-pass", one_pass)):
        t = tn.tensor(x + 10, requires_grad=True)
        found[f"{name}, smallest route"] = min(r.norm for r in tn.graph(forward(t)).routes(t, dy))
    return found


# %% [markdown]
# ## The rule
#
# Bounded, if the smallest route is zero to rounding in the two-pass graph and not in the other, where the error at an offset of a
# million is more than a thousand times as large.


# %%
def rule(f):
    two, one = f["two-pass at 1e+06"], f["one-pass at 1e+06"]
    figure = f"error of dx at x + 10⁶: {two.max():.1g} two-pass, {one.min():.1g} one-pass"
    zero = (f["two-pass, smallest route"] < 1e-12).all()
    if zero and (f["one-pass, smallest route"] > 1e-3).all() and (one > 1000 * two).all():
        return Verdict(
            "bounded",
            figure,
            "True where the variance is the mean of (x − μ)². In the graph of E[x²] − μ² no route vanishes; large ones cancel, in float64 "
            "here, and in float32 from offsets of some hundreds on.",
        )
    if zero:
        return Verdict("confirmed", figure, "In both graphs.")
    return Verdict("refuted here", figure, "No route is zero.")


claim = Claim(
    title="Terms vanish because Σ(x − μ) = 0",
    says={9: "The terms vanish because Σ(x − μ) = 0", 53: "The variance may as well be computed in one pass, as E[x²] − μ²"},
    told_by="an article that derives LayerNorm's backward",
    source="Chan, Golub, LeVeque 1983, “Algorithms for Computing the Sample Variance”, the two-pass algorithm against the textbook one",
    setting={"x": "6 samples of 8 features, N(0, 1) plus an offset, float64", "offsets": OFFSETS, "ε": 1e-5},
    differs="Exact. The paper has the variance alone; here it is the gradient through it.",
    experiment=experiment,
    measure="largest error of dx, which does not depend on the offset; length of the smallest route's share at an offset of 10",
    decides="bounded, if the smallest route is below 1e-12 two-pass and above 1e-3 one-pass, and the error at 10⁶ 1000 times as large",
    rule=rule,
    picture=lambda f: Lines(
        {n: {f"{o:g}": f[f"{n} at {o:g}"] for o in OFFSETS} for n in ("two-pass", "one-pass")},
        "offset of x (σ = 1)",
        "largest error of dx",
        log=True,
    ),
    changes={
        "if a route vanished in the one-pass graph, too": {"one-pass, smallest route": 0.0},
        "if none did in the two-pass graph": {"two-pass, smallest route": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
