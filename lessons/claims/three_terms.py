# %% [markdown]
# # dx in three terms, and what they save
#
# An article derives dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) with g = dy·γ, from dL/dx̂ = dy·γ, and says that the formula saves
# work against following the record. Both can be counted.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F = tn.functional


def formula(dy, x, weight, eps):
    c = x - x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + eps)
    xhat, g = c * rstd, dy * weight
    return rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))


def steps(backward):
    """Operations of a forward and a backward pass, recorded: what is read off (dx, y) as one graph."""
    x = tn.tensor(np.random.default_rng(0).normal(size=(4, 8)), requires_grad=True)
    w, b, dy = (tn.tensor(np.ones(s), requires_grad=True) for s in (8, 8, (4, 8)))
    y = F.layer_norm(x, 8, w, b, backward=backward)
    (dx,) = tn.grad(y, x, dy, create_graph=True)
    return sum(node.op is not None for node in tn.graph(dx).nodes)


def experiment(seed):
    rng = np.random.default_rng(seed)
    x, w, dy = rng.normal(3, 2, (6, 8)), rng.normal(size=8), rng.normal(size=(6, 8))
    t = tn.tensor(x, requires_grad=True)
    y = F.layer_norm(t, 8, tn.tensor(w), eps=1e-5)
    (dx,) = tn.grad(y, t, dy)
    shares = [r.norm for r in tn.graph(y).routes(t, dy)]
    return {
        "formula against record": np.abs(formula(dy, x, w, 1e-5) - dx.data).max(),
        "fourth route": min(shares),
        "next smallest route": sorted(shares)[1],
        "operations, record": steps("recorded"),
        "operations, formula": steps("analytic"),
    }


# %% [markdown]
# ## The rule
#
# Confirmed, if formula and record are the same to rounding, one of the four routes is zero to rounding and none of the others, and
# the formula takes fewer operations.


# %%
def rule(f):
    saved = f["operations, record"] - f["operations, formula"]
    figure = f"|Δ| {f['formula against record'].max():.1g}; {f['operations, record'][0]:.0f} operations recorded, {f['operations, formula'][0]:.0f} by the formula"
    same = (
        (f["formula against record"] < 1e-12).all()
        and (f["fourth route"] < 1e-12).all()
        and (f["next smallest route"] > 1e-3).all()
    )
    if same and (saved > 0).all():
        return Verdict(
            "confirmed", figure, "Four routes, of which one is zero: three terms. Forward and gradient together are counted."
        )
    if same:
        return Verdict("bounded", figure, "The formula is right and saves nothing.")
    return Verdict("refuted here", figure, "The formula is not the gradient.")


claim = Claim(
    title="dx has three terms, and the formula saves work",
    says={
        6: "dL/dx̂ = dL/dy·γ",
        7: "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), g = dy·γ",
        10: "The analytic formula saves redundant work",
    },
    told_by="an article that derives LayerNorm's backward",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 3, for BatchNorm; the LayerNorm paper (arXiv:1607.06450) has no formula",
    setting={"x": "6 samples of 8 features, N(3, 2²), float64", "γ, dy": "random", "ε": 1e-5},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="largest difference of dx; lengths of the routes; operations of forward and gradient on the record",
    decides="confirmed, if the formula is within 1e-12 of the record, one route below 1e-12, the others above 1e-3, and fewer operations",
    rule=rule,
    picture=lambda f: Dots(
        {k: f[k] for k in ("formula against record", "fourth route", "next smallest route")}, "length (no unit)", log=True
    ),
    changes={
        "if the formula had another value": {"formula against record": 0.1},
        "if it took as many operations": {"operations, formula": "operations, record"},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
