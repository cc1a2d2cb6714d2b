# %% [markdown]
# # Whose distribution changes?
#
# A blog writes that by BatchNorm "the weights get a new distribution", a "standard distribution", and that it is made against
# "covariance shift". BatchNorm computes with activations; no weight is touched. What comes out has mean 0 and variance 1 and the
# shape that it had: nothing makes it a normal one. (The word of the paper is covariate shift.)

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

nn = tn.nn


def skewness(a):
    return ((a - a.mean(0)) ** 3).mean(0) / a.std(0) ** 3


def experiment(seed):
    x = np.random.default_rng(seed).exponential(size=(512, 4))  # skewed: a normal distribution's skewness is 0
    linear, norm = nn.Linear(4, 4, bias=False, dtype="float64", seed=seed), nn.BatchNorm1d(4, dtype="float64")
    before = linear.weight.data.copy()
    a = linear(tn.tensor(x)).data
    y = norm(linear(tn.tensor(x))).data
    return {
        "change of the weights": np.abs(linear.weight.data - before).max(),
        "variance before": a.var(0).mean(),
        "variance after": y.var(0).mean(),
        "largest skewness before": np.abs(skewness(a)).max(),
        "change of the skewness": np.abs(skewness(y) - skewness(a)).max(),
    }


# %% [markdown]
# ## The rule
#
# Corrected, if no weight changes, mean and variance of the activations do, and their shape does not.


# %%
def rule(f):
    figure = f"weights change by {f['change of the weights'].max():g}; variance {f['variance before'].mean():.2f} → {f['variance after'].mean():.2f}; skewness as before"
    if (f["change of the weights"] > 0).all():
        return Verdict("confirmed", figure, "The weights change.")
    same = (f["change of the skewness"] < 1e-9).all() and (f["largest skewness before"] > 0.1).all()
    if same and np.allclose(f["variance after"], 1, atol=0.01):
        return Verdict(
            "corrected",
            figure,
            "The activations get mean 0 and variance 1; the shape of their distribution stays, and the weights are untouched.",
        )
    return Verdict("undecided", figure, "Neither weights nor activations behave as said.")


claim = Claim(
    title="The weights get a new distribution, a standard one",
    says={49: "By Batch Normalization the weights get a new, standard distribution, against “covariance shift”"},
    told_by="a blog",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 2 (“covariate shift”) and algorithm 1: “values of x over a mini-batch”",
    setting={
        "x": "512 samples of 4 features, exponential",
        "net": "Linear(4, 4), BatchNorm1d(4)",
        "mode": "training, one forward pass",
    },
    differs="Exact: one forward pass; nothing is trained.",
    experiment=experiment,
    measure="largest change of a weight; variance; skewness E[(x − μ)³]/σ³, 0 for a normal distribution",
    decides="corrected, if no weight changes, the variance becomes 1 within 0.01, and the skewness stays within 1e-9 and is not 0",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in ("variance before", "variance after")}, "variance of the activations (no unit)"),
    changes={
        "if the weights changed": {"change of the weights": 0.1},
        "if the distribution got another shape": {"change of the skewness": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
