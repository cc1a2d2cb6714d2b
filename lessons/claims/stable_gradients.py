# %% [markdown]
# # LayerNorm gives stable gradients?
#
# The gradient through LayerNorm is divided by σ. Its Jacobian is a projection times 1/σ: of length 1/σ exactly, in every
# direction that it leaves. Where σ is small it makes gradients long, where σ is large it makes them short.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

F = tn.functional
SIGMAS = (100.0, 1.0, 0.1, 0.01)


def experiment(seed):
    z = np.random.default_rng(seed).normal(size=8)
    z = (z - z.mean()) / z.std()
    found = {}
    for s in SIGMAS:
        J = tn.jacobian(lambda x: F.layer_norm(x, 8, eps=0.0), tn.tensor(s * z)).data
        values = np.linalg.svd(J, compute_uv=False)
        found[f"‖J‖ at σ = {s:g}"] = values[0]
        found[f"‖J‖·σ at σ = {s:g}"] = values[0] * s
        found[f"directions left at σ = {s:g}"] = (values > 1e-6 * values[0]).sum()
    return found


# %% [markdown]
# ## The rule
#
# Bounded, if ‖J‖·σ is 1 to rounding at every σ: the length is then 1/σ, which is stable while σ is.


# %%
def rule(f):
    law = np.max([np.abs(f[f"‖J‖·σ at σ = {s:g}"] - 1).max() for s in SIGMAS])
    lengths = np.array([f[f"‖J‖ at σ = {s:g}"] for s in SIGMAS])
    figure = f"‖J‖ = {lengths[0].mean():.2g} at σ = 100, {lengths[-1].mean():.3g} at σ = 0.01"
    if (lengths.max(0) < 2 * lengths.min(0)).all():
        return Verdict("confirmed", figure, "The same at every σ.")
    if law < 1e-6:
        return Verdict(
            "bounded", figure, "‖J‖ = 1/σ exactly, in N − 2 directions (in those of 1 and x̂ nothing passes): stable while σ is."
        )
    return Verdict("refuted here", figure, "Neither constant nor 1/σ.")


claim = Claim(
    title="LayerNorm gives stable gradients",
    says={36: "Layer Normalization gives stable gradients"},
    told_by="an encyclopedia and an article",
    source="Xu et al. 2019 (arXiv:1911.07013), section 3: gradients are re-centred and re-scaled by 1/σ; Ba et al. 2016 (arXiv:1607.06450), section 5.2",
    setting={"x": "σ·z, 8 numbers, float64", "σ": SIGMAS, "ε": 0.0, "J": "∂y/∂x, by tn.jacobian"},
    differs="Exact. With ε the length is at most 1/√(σ² + ε).",
    experiment=experiment,
    measure="largest singular value of J; the number of singular values that are not 0",
    decides="bounded, if ‖J‖·σ is 1 within 1e-6 at every σ; confirmed, if ‖J‖ varies by less than a factor of 2",
    rule=rule,
    picture=lambda f: Lines(
        {"‖J‖": {f"{s:g}": f[f"‖J‖ at σ = {s:g}"] for s in SIGMAS}},
        "σ of x",
        "largest singular value of ∂y/∂x (1/unit of x)",
        log=True,
    ),
    changes={
        "if ‖J‖ were 1 at every σ": {f"‖J‖ at σ = {s:g}": 1.0 for s in SIGMAS},
        "if it were not 1/σ": {"‖J‖·σ at σ = 0.01": 3.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
