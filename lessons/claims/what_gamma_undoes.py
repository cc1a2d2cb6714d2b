# %% [markdown]
# # What γ and β can undo
#
# "γ and β can restore the original distribution." For BatchNorm: γ = σ and β = μ give the batch back. For LayerNorm there is no
# such pair: a and 2a have become the same x̂, and nothing that follows can tell which it was.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F = tn.functional


def best(xhat, a):
    """The least error that a γ and a β for each feature can reach, by least squares over all samples."""
    left = 0.0
    for j in range(a.shape[1]):
        columns = np.stack([xhat[:, j], np.ones(len(a))], 1)
        left += np.square(columns @ np.linalg.lstsq(columns, a[:, j], rcond=None)[0] - a[:, j]).sum()
    return np.sqrt(left / a.size)


def experiment(seed):
    a, t = np.random.default_rng(seed).normal(2, 3, (32, 6)), tn.tensor
    bn, ln = F.batch_norm(t(a), None, None, training=True).data, F.layer_norm(t(a), 6).data
    sigma = np.sqrt(a.var(0) + 1e-5)
    back = F.batch_norm(t(a), None, None, t(sigma), t(a.mean(0)), training=True).data
    return {
        "BN, γ = σ, β = μ": np.sqrt(np.square(back - a).mean()),
        "BN, best γ and β": best(bn, a),
        "LN, best γ and β": best(ln, a),
        "LN(a) − LN(2a)": np.abs(F.layer_norm(t(a), 6, eps=0.0).data - F.layer_norm(t(2 * a), 6, eps=0.0).data).max(),
    }


# %% [markdown]
# ## The rule
#
# Bounded, if BatchNorm's input comes back to rounding and LayerNorm's does not even with the best γ and β.


# %%
def rule(f):
    bn, ln = f["BN, γ = σ, β = μ"], f["LN, best γ and β"]
    figure = f"what is not restored (rms, σ of x is 3): BN {bn.max():.1g}, LN {ln.min():.1f}"
    if (bn < 1e-12).all() and (ln < 1e-9).all():
        return Verdict("confirmed", figure, "For both.")
    if (bn < 1e-12).all() and (ln > 0.1).all():
        return Verdict(
            "bounded", figure, "True of BatchNorm, on the batch that it was computed from. Not of LayerNorm: LN(a) = LN(2a)."
        )
    return Verdict("refuted here", figure, "Not even of BatchNorm.")


claim = Claim(
    title="γ and β can restore the original distribution",
    says={20: "γ and β can restore the original distribution"},
    told_by="an encyclopedia and a blog, and a glossary in other words",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 3: “by setting γ = √Var[x] and β = E[x] we could recover the original activations”",
    setting={"a": "32 samples of 6 features, N(2, 3²), float64", "γ, β": "σ and μ; and the best there are, by least squares"},
    differs="Exact. The paper says it of BatchNorm, where it holds.",
    experiment=experiment,
    measure="root mean square of what is not restored",
    decides="bounded, if below 1e-12 for BatchNorm and above 0.1 for LayerNorm with the best γ and β",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in list(f)[:3]}, "rms of what is not restored (units of x; σ = 3)", log=True),
    changes={
        "if LayerNorm's input came back, too": {"LN, best γ and β": 0.0},
        "if BatchNorm's did not": {"BN, γ = σ, β = μ": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
