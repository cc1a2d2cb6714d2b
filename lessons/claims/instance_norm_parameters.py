# %% [markdown]
# # Has InstanceNorm a scale and a shift?
#
# An encyclopedia says it has none. That is a default of one framework, `affine=False`; another standard demands both. With or
# without, x̂ is the same.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F, nn = tn.functional, tn.nn


def experiment(seed):
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=(4, 6, 5, 3)), rng.normal(size=6), rng.normal(size=6)
    plain, affine = nn.InstanceNorm2d(6), nn.InstanceNorm2d(6, affine=True, dtype="float64")
    affine.weight.data, affine.bias.data = w, b
    xhat = F.instance_norm(tn.tensor(x)).data
    wanted = xhat * w[:, None, None] + b[:, None, None]
    return {
        "parameters by default": sum(p.data.size for p in plain.parameters()),
        "parameters with affine=True": sum(p.data.size for p in affine.parameters()),
        "y − (γ·x̂ + β)": np.abs(affine(tn.tensor(x)).data - wanted).max(),
    }


# %% [markdown]
# ## The rule
#
# Corrected, if the default has none, the option has two a channel, and they do what they do elsewhere.


# %%
def rule(f):
    none, some = f["parameters by default"], f["parameters with affine=True"]
    figure = f"of 6 channels: {none[0]:.0f} parameters by default, {some[0]:.0f} with affine=True"
    if (some == 0).all():
        return Verdict("confirmed", figure, "There are none.")
    if (none == 0).all() and (some == 12).all() and (f["y − (γ·x̂ + β)"] < 1e-12).all():
        return Verdict(
            "corrected",
            figure,
            "None is PyTorch's default; ONNX's InstanceNormalization requires both, and style transfer lives on them.",
        )
    return Verdict("refuted here", figure, "It has them always.")


claim = Claim(
    title="InstanceNorm has no learnable scale and shift",
    says={19: "Instance Normalization has no learnable scale and shift"},
    told_by="an encyclopedia; two glossaries are silent",
    source="Ulyanov et al. 2016 (arXiv:1607.08022), without; Dumoulin et al. 2016 (arXiv:1610.07629), with γ and β for each style",
    setting={"layers": "InstanceNorm2d(6), PyTorch's constructor", "x": "(4, 6, 5, 3), random, float64"},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="number of parameters; largest difference to γ·x̂ + β",
    decides="corrected, if 0 by default, two a channel with affine=True, and y = γ·x̂ + β within 1e-12",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in f if k.startswith("parameters")}, "learned numbers, for 6 channels"),
    changes={
        "if there were none with affine=True": {"parameters with affine=True": 0},
        "if there were always some": {"parameters by default": 12},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
