# %% [markdown]
# # dγ and dβ are sums over the batch
#
# γ and β are the same for all samples, so every sample has a say, and the engine sums where it broadcast. A sum, not a mean:
# with four times the batch, dγ is four times as long, unless the loss itself is a mean.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F = tn.functional


def experiment(seed):
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(size=(8, 6)), rng.normal(size=(8, 6))

    def gradients(times):
        w, b = (tn.tensor(v, requires_grad=True) for v in (np.ones(6), np.zeros(6)))
        y = F.layer_norm(tn.tensor(np.tile(x, (times, 1))), 6, w, b)
        return [g.data for g in tn.grad(y, (w, b), np.tile(dy, (times, 1)))]

    once, four = gradients(1), gradients(4)
    xhat = F.layer_norm(tn.tensor(x), 6).data
    return {
        "dγ − Σ dy·x̂": np.abs(once[0] - (dy * xhat).sum(0)).max(),
        "dβ − Σ dy": np.abs(once[1] - dy.sum(0)).max(),
        "dγ, batch ×4": np.linalg.norm(four[0]) / np.linalg.norm(once[0]),
        "dβ, batch ×4": np.linalg.norm(four[1]) / np.linalg.norm(once[1]),
    }


# %% [markdown]
# ## The rule
#
# Confirmed, if the sums are met to rounding and both grow by 4.


# %%
def rule(f):
    figure = f"batch four times as large: dγ ×{f['dγ, batch ×4'].mean():.3f}, dβ ×{f['dβ, batch ×4'].mean():.3f}"
    met = (f["dγ − Σ dy·x̂"] < 1e-12).all() and (f["dβ − Σ dy"] < 1e-12).all()
    grown = np.allclose(f["dγ, batch ×4"], 4) and np.allclose(f["dβ, batch ×4"], 4)
    if met and grown:
        return Verdict("confirmed", figure, "dγ = Σ dy·x̂ and dβ = Σ dy over all samples.")
    return Verdict("corrected", figure, "They are not the sums.")


claim = Claim(
    title="dγ and dβ are sums over the batch",
    says={4: "The gradients of γ and β are sums over the batch"},
    told_by="an article that derives LayerNorm's backward",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 3, the last two lines of the gradients",
    setting={"x, dy": "8 samples of 6 features, random, once and four times over", "dtype": "float64"},
    differs="Exact. For LayerNorm; the paper has the same two lines for BatchNorm.",
    experiment=experiment,
    measure="largest difference to the sums; length of the gradient at four times the batch, relative to once",
    decides="confirmed, if both differences are below 1e-12 and both lengths 4; else corrected",
    rule=rule,
    picture=lambda f: Dots(
        {k: f[k] for k in ("dγ, batch ×4", "dβ, batch ×4")},
        "length, relative to the batch once",
        at={"a mean: 1": 1.0, "a sum: 4": 4.0},
    ),
    changes={"if they were means": {"dγ, batch ×4": 1.0, "dβ, batch ×4": 1.0}},
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
