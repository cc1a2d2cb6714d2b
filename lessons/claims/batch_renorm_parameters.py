# %% [markdown]
# # BatchRenorm learns r and d?
#
# "Batch Renormalization adds parameters." r and d are computed from the running statistics and the batch's, cut off, and held
# constant in the backward pass. What is learned is γ and β, as before.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F, nn = tn.functional, tn.nn


def experiment(seed):
    rng = np.random.default_rng(seed)
    x, dy, mean, std = rng.normal(1, 2, (16, 6)), rng.normal(size=(16, 6)), rng.normal(1, 0.3, 6), rng.uniform(1, 3, 6)
    t = tn.tensor(x, requires_grad=True)
    running = [tn.tensor(v.copy()) for v in (mean, std)]
    (dx,) = tn.grad(F.batch_renorm(t, *running, training=True, rmax=3.0, dmax=5.0, eps=0.0), t, dy)
    s = x.std(0)
    r = np.clip(s / std, 1 / 3, 3)
    t = tn.tensor(x, requires_grad=True)
    plain = F.batch_norm(t, None, None, training=True, eps=0.0)
    (of_batch_norm,) = tn.grad(plain, t, dy * r)  # as if r, d were constants: y = x̂·r + d
    count = lambda layer: sum(p.data.size for p in layer.parameters())  # noqa: E731
    return {
        "parameters of BatchRenorm1d(6)": count(nn.BatchRenorm1d(6)),
        "parameters of BatchNorm1d(6)": count(nn.BatchNorm1d(6)),
        "dx − (dx with r, d constant)": np.abs(dx.data - of_batch_norm.data).max(),
    }


# %% [markdown]
# ## The rule
#
# Corrected, if as many numbers are learned as in BatchNorm and dx is that with r and d constant.


# %%
def rule(f):
    new, old, off = f.values()
    figure = f"{new[0]:.0f} learned numbers against {old[0]:.0f} of BatchNorm; dx with r, d constant within {off.max():.1g}"
    if (new > old).all():
        return Verdict("confirmed", figure, "It learns more.")
    if (new == old).all() and (off < 1e-9).all():
        return Verdict(
            "corrected",
            figure,
            "r and d are constants on the way back and nothing learns them; new are two bounds, rmax and dmax.",
        )
    return Verdict("undecided", figure, "Nothing more is learned, but r and d are not constants either.")


claim = Claim(
    title="Batch Renormalization adds parameters",
    says={48: "Batch Renormalization adds parameters r and d"},
    told_by="a blog",
    source="Ioffe 2017 (arXiv:1702.03275), algorithm 1: stop_gradient around r and d",
    setting={
        "x, dy": "16 samples of 6 features, random, float64",
        "running": "mean and deviation, random",
        "rmax, dmax": "3 and 5",
    },
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="how many numbers are learned; largest difference of dx",
    decides="corrected, if as many as BatchNorm and dx within 1e-9 of that with r and d constant",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in list(f)[:2]}, "learned numbers, for 6 features"),
    changes={
        "if it learned two more a feature": {"parameters of BatchRenorm1d(6)": 24},
        "if the gradient went through r and d": {"dx − (dx with r, d constant)": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
