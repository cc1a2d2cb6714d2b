# %% [markdown]
# # GroupNorm: between which two?
#
# One glossary says between Layer and Instance Normalization, another between Batch and Layer Normalization. The number of groups
# G is what one turns: at both ends of it stands a norm. Neither is BatchNorm, because no group reaches beyond its sample.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

F = tn.functional
GROUPS = (1, 2, 3, 6, 12)


def experiment(seed):
    x, t = np.random.default_rng(seed).normal(size=(8, 12, 4, 4)), tn.tensor
    x = x * np.exp(np.random.default_rng(seed + 1).normal(size=(8, 12, 1, 1)))  # channels of different size, sample by sample
    others = {
        "LN": F.layer_norm(t(x), (12, 4, 4)).data,
        "IN": F.instance_norm(t(x)).data,
        "BN": F.batch_norm(t(x), None, None, training=True).data,
    }
    group = {g: F.group_norm(t(x), g).data for g in GROUPS}
    return {f"{name}, G = {g}": np.sqrt(((group[g] - y) ** 2).mean()) for name, y in others.items() for g in GROUPS}


# %% [markdown]
# ## The rule
#
# An end of the scale is a norm that GroupNorm is at G = 1 or at G = C, to rounding. Corrected, if the ends are LayerNorm and
# InstanceNorm and BatchNorm is nowhere: then one of the two sentences is right.


# %%
def rule(f):
    ends = (f["LN, G = 1"] < 1e-12).all(), (f["IN, G = 12"] < 1e-12).all()
    nearest = np.min([f[f"BN, G = {g}"] for g in GROUPS], axis=0)
    figure = f"G = 1: LN within {f['LN, G = 1'].max():.1g}; G = C: IN within {f['IN, G = 12'].max():.1g}; BN never nearer than {nearest.min():.2f}"
    if all(ends) and (nearest > 0.1).all():
        return Verdict(
            "corrected",
            figure,
            "Between Layer (G = 1) and Instance Normalization (G = C): the first text is right, the second is not.",
        )
    if (nearest < 1e-12).all():
        return Verdict("confirmed", figure, "Between Batch and Layer Normalization.")
    return Verdict("undecided", figure, "Neither pair stands at the ends.")


claim = Claim(
    title="GroupNorm is a compromise between Layer and Instance, or between Batch and Layer Normalization",
    says={
        18: "Group Normalization: a compromise between Layer and Instance Normalization; in another text between Batch and Layer Normalization"
    },
    told_by="two glossaries, against each other",
    source="Wu, He 2018 (arXiv:1803.08494), section 3.1 and figure 2",
    setting={"x": "(8, 12, 4, 4), channels of different size, float64", "G": GROUPS, "ε": 1e-5},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="root mean square of the difference between GroupNorm's output and the other norm's",
    decides="corrected, if LN at G = 1 and IN at G = C are met within 1e-12 and BN at no G within 0.1; confirmed (Batch and Layer), if BN is met",
    rule=rule,
    picture=lambda f: Lines(
        {n: {g: f[f"{n}, G = {g}"] for g in GROUPS} for n in ("LN", "IN", "BN")},
        "groups of 12 channels",
        "rms difference to GroupNorm",
    ),
    changes={
        "if BatchNorm were met at one G": {f"BN, G = {g}": 0.0 for g in GROUPS},
        "if InstanceNorm were not met": {"IN, G = 12": 0.5},
    },
    seeds=3,
    opposed=True,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
