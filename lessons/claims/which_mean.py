# %% [markdown]
# # The mean over what?
#
# One article explains the second term of LayerNorm's dx as "the mean over the batch dimension". LayerNorm's statistics are
# taken within a sample, and so are the means of its gradient: what went out through μ comes back through μ.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F = tn.functional


def experiment(seed):
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(size=(6, 8)), rng.normal(size=(6, 8))
    t = tn.tensor(x, requires_grad=True)
    (dx,) = tn.grad(F.layer_norm(t, 8), t, dy)
    c = x - x.mean(1, keepdims=True)
    rstd = 1 / np.sqrt((c * c).mean(1, keepdims=True) + 1e-5)
    xhat = c * rstd
    error = {}
    for name, axis in (("over the features", 1), ("over the batch", 0)):
        m = lambda a, axis=axis: a.mean(axis, keepdims=True)  # noqa: E731
        error[name] = np.abs(rstd * (dy - m(dy) - xhat * m(dy * xhat)) - dx.data).max()
    return error


# %% [markdown]
# ## The rule
#
# The formula with one mean or the other; one of them is the gradient.


# %%
def rule(f):
    features, batch = f["over the features"], f["over the batch"]
    figure = f"error of dx: {features.max():.1g} with means over the features, {batch.min():.1f} over the batch"
    if (features < 1e-12).all() and (batch > 0.1).all():
        return Verdict(
            "corrected", figure, "The means are over the features of each sample; over the batch they are BatchNorm's."
        )
    if (batch < 1e-12).all():
        return Verdict("confirmed", figure, "The mean over the batch gives the gradient.")
    return Verdict("undecided", figure, "Neither is the gradient.")


claim = Claim(
    title="The second term of LayerNorm's dx is a mean over the batch dimension",
    says={8: "The second term: the mean over the batch dimension"},
    told_by="an article that derives LayerNorm's backward, against its own definition of μ",
    source="Ba et al. 2016 (arXiv:1607.06450), eq. 3: μ and σ are over the H hidden units of a layer",
    setting={"x, dy": "6 samples of 8 features, random, float64", "ε": 1e-5},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="largest difference between dx by the formula and dx by the record",
    decides="corrected, if the mean over features is within 1e-12 and that over the batch off by more than 0.1",
    rule=rule,
    picture=lambda f: Dots(f, "largest error of dx (units of dy/σ)", log=True),
    changes={
        "if the mean over the batch gave the gradient": {"over the batch": 0.0},
        "if neither did": {"over the features": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
