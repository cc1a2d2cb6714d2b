# %% [markdown]
# # Is LayerNorm GroupNorm with one group?
#
# Of an image (C, H, W): yes, to the last bit, if LayerNorm is over all of C, H and W. Of tokens (T, C), where LayerNorm is over C
# alone: no. And their parameters differ: γ for each channel, or for each number.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F, nn = tn.functional, tn.nn


def experiment(seed):
    x = np.random.default_rng(seed).normal(size=(4, 6, 5, 3))
    one, t = F.group_norm(tn.tensor(x), 1).data, tn.tensor
    tokens = F.layer_norm(t(x.transpose(0, 2, 3, 1)), 6).data.transpose(0, 3, 1, 2)
    return {
        "LN over C, H, W": np.abs(one - F.layer_norm(t(x), (6, 5, 3)).data).max(),
        "LN of vectors (N, C)": np.abs(F.group_norm(t(x[:, :, 0, 0]), 1).data - F.layer_norm(t(x[:, :, 0, 0]), 6).data).max(),
        "LN over C at each place": np.abs(one - tokens).max(),
        "parameters of GN(1)": sum(p.data.size for p in nn.GroupNorm(1, 6).parameters()),
        "parameters of LN over C, H, W": sum(p.data.size for p in nn.LayerNorm((6, 5, 3)).parameters()),
    }


# %% [markdown]
# ## The rule
#
# Bounded, if it is 0 to rounding for one choice of LayerNorm's axes and not for the other.


# %%
def rule(f):
    all_axes, places = f["LN over C, H, W"], f["LN over C at each place"]
    figure = f"difference {all_axes.max():.1g} over C, H, W; {places.min():.1f} over C at each place"
    if (all_axes < 1e-12).all() and (f["LN of vectors (N, C)"] < 1e-12).all():
        if (places < 1e-12).all():
            return Verdict("confirmed", figure, "Whatever the axes are.")
        return Verdict(
            "bounded",
            figure,
            "True of x̂, where LayerNorm is over all axes but the batch. The LayerNorm of transformers, over C at each token, is another. "
            f"γ and β differ, too: here {f['parameters of GN(1)'][0]:.0f} numbers and {f['parameters of LN over C, H, W'][0]:.0f}.",
        )
    return Verdict("refuted here", figure, "Not even over all axes.")


claim = Claim(
    title="LayerNorm is GroupNorm with one group",
    says={16: "Layer Normalization is Group Normalization with a single group"},
    told_by="a glossary",
    source="Wu, He 2018 (arXiv:1803.08494), section 3.1: “GN becomes LN if we set the group number as G = 1”",
    setting={"x": "(4, 6, 5, 3), random, float64", "ε": 1e-5},
    differs="Exact. The paper means LayerNorm over (C, H, W).",
    experiment=experiment,
    measure="largest difference between GroupNorm with one group and LayerNorm",
    decides="bounded, if below 1e-12 over C, H, W and of vectors, and not over C at each place",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in f if k.startswith("LN")}, "largest difference to GN(1) (no unit)", log=True),
    changes={
        "if the LayerNorm of tokens were the same": {"LN over C at each place": 0.0},
        "if that over C, H, W were another": {"LN over C, H, W": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
