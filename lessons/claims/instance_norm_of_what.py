# %% [markdown]
# # InstanceNorm: a special case of what?
#
# InstanceNorm takes each channel of each image by itself. That is GroupNorm with as many groups as channels, and BatchNorm of
# a batch that was taken apart. LayerNorm over (C, H, W) it is not; LayerNorm over (H, W) alone nobody means by the word.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F = tn.functional


def experiment(seed):
    x, t = np.random.default_rng(seed).normal(1, 2, (4, 6, 5, 3)), tn.tensor
    instance = F.instance_norm(t(x)).data
    apart = F.batch_norm(t(x.reshape(1, 24, 5, 3)), None, None, training=True).data.reshape(x.shape)
    return {
        "GN with C groups": np.abs(instance - F.group_norm(t(x), 6).data).max(),
        "BN of (1, N·C, H, W)": np.abs(instance - apart).max(),
        "LN over (H, W)": np.abs(instance - F.layer_norm(t(x), (5, 3)).data).max(),
        "LN over (C, H, W)": np.abs(instance - F.layer_norm(t(x), (6, 5, 3)).data).max(),
    }


# %% [markdown]
# ## The rule
#
# Corrected, if it is GroupNorm's case to rounding and not LayerNorm's over (C, H, W).


# %%
def rule(f):
    group, layer = f["GN with C groups"], f["LN over (C, H, W)"]
    figure = f"difference to GN with C groups {group.max():.1g}, to LN over (C, H, W) {layer.min():.1f}"
    if (layer < 1e-12).all():
        return Verdict("confirmed", figure, "It is LayerNorm.")
    if (group < 1e-12).all() and (f["BN of (1, N·C, H, W)"] < 1e-12).all():
        return Verdict(
            "corrected", figure, "A special case of GroupNorm, with one channel a group. Of LayerNorm only over (H, W)."
        )
    return Verdict("refuted here", figure, "Of neither.")


claim = Claim(
    title="InstanceNorm is a special case of LayerNorm",
    says={17: "Instance Normalization is a special case of Layer Normalization"},
    told_by="a glossary; an encyclopedia sets them apart",
    source="Wu, He 2018 (arXiv:1803.08494), section 3.1: “GN becomes IN if we set the group number as G = C”; Ulyanov et al. 2016 (arXiv:1607.08022)",
    setting={"x": "(4, 6, 5, 3), N(1, 2²), float64", "ε": 1e-5},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="largest difference to InstanceNorm",
    decides="corrected, if below 1e-12 for GroupNorm with C groups and not for LayerNorm over (C, H, W)",
    rule=rule,
    picture=lambda f: Dots(f, "largest difference to InstanceNorm (no unit)", log=True),
    changes={
        "if LayerNorm over (C, H, W) were the same": {"LN over (C, H, W)": 0.0},
        "if GroupNorm were another": {"GN with C groups": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
