# %% [markdown]
# # PowerNorm has no strength to turn
#
# A glossary describes "Power Normalization" as a family with a strength parameter that unifies the others. What has been published
# by that name divides by a running quadratic mean, and in its backward pass by another; there is no such parameter, and it is none
# of the others.

# %%
import inspect

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F, nn = tn.functional, tn.nn
KNOWN = {
    "num_features",
    "eps",
    "alpha_fwd",
    "alpha_bkw",
    "warmup_iters",
    "affine",
    "dtype",
    "backward",
}  # a size, ε, memories, form


def experiment(seed):
    x, t = np.random.default_rng(seed).normal(1, 2, (64, 6)), tn.tensor
    layer = nn.PowerNorm(6, dtype="float64")
    power = layer(t(x)).data  # in the warm-up: by the batch's own quadratic mean, to which the running one tends
    return {
        "PowerNorm is x ÷ the root of mean x²": np.abs(power - x / np.sqrt((x * x).mean(0) + layer.eps)).max(),
        "to BatchNorm": np.abs(power - F.batch_norm(t(x), None, None, training=True).data).max(),
        "to LayerNorm": np.abs(power - F.layer_norm(t(x), 6).data).max(),
        "to RMSNorm": np.abs(power - F.rms_norm(t(x), 6).data).max(),
        "arguments not of size, ε, memory or form": len(set(inspect.signature(nn.PowerNorm).parameters) - KNOWN),
    }


# %% [markdown]
# ## The rule
#
# Corrected, if PowerNorm is what the paper defines, differs from each of the others, and has no further argument.


# %%
def rule(f):
    itself, *others, arguments = f.values()
    least = np.min(others)
    figure = (
        f"within {itself.max():.1g} of x/√mean(x²); never nearer than {least:.1f} to BN, LN, RMS; {arguments[0]:.0f} strengths"
    )
    if (itself < 1e-6).all() and least > 0.1 and (arguments == 0).all():
        return Verdict(
            "corrected",
            figure,
            "A norm over the batch by a running quadratic mean, whose backward pass is not the gradient; nothing unifies.",
        )
    if (arguments > 0).all() and least < 1e-6:
        return Verdict("confirmed", figure, "It has a parameter, and becomes another norm by it.")
    return Verdict("undecided", figure, "It is not the paper's, or not only.")


claim = Claim(
    title="Power Normalization has a strength parameter and unifies the others",
    says={47: "Power Normalization: a strength parameter, which unifies the other normalizations"},
    told_by="a glossary",
    source="Shen et al. 2020 (arXiv:2003.07845), algorithm 2",
    setting={"layer": "PowerNorm(6), the paper's defaults", "x": "64 samples of 6 features, N(1, 2²)"},
    differs="Exact: nothing is trained; one forward pass in the warm-up.",
    experiment=experiment,
    measure="largest difference of the output to another norm's; number of the constructor's arguments that are not size, ε, memory or form",
    decides="corrected, if within 1e-6 of x/√(mean x²), further than 0.1 from each other norm, and no such argument",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in list(f)[:4]}, "largest difference (no unit)", log=True),
    changes={
        "if it had a strength, and were LayerNorm at one": {"arguments not of size, ε, memory or form": 1, "to LayerNorm": 0.0},
        "if it were not x/√mean(x²)": {"PowerNorm is x ÷ the root of mean x²": 1.0},
    },
    seeds=2,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
