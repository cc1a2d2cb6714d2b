# %% [markdown]
# # What stands in Stable Diffusion's U-Net
#
# A glossary lists Stable Diffusion, VAEs and GANs among the users of LayerNorm. The convolutions of the U-Net and of its autoencoder
# are normalized by GroupNorm with 32 groups (LayerNorm stands in the transformer blocks between them). Is that a distinction
# without a difference? On a feature map whose channels differ, the two can be held against each other.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F, nn = tn.functional, tn.nn


def experiment(seed):
    images, _ = tn.data.digits("train", seed)
    conv = nn.Conv2d(1, 320, 3, padding=1, seed=seed, dtype="float64")  # 320 channels, as the first level has
    h = conv(tn.tensor(images[:4][:, None]))
    group = F.group_norm(h, 32).data
    layer = F.layer_norm(h, h.shape[1:]).data
    place = F.layer_norm(h.permute(0, 2, 3, 1), 320).data.transpose(0, 3, 1, 2)
    size = lambda a: np.sqrt((a**2).mean())  # noqa: E731
    return {
        "LN over C, H, W": size(group - layer) / size(group),
        "LN over C at each place": size(group - place) / size(group),
        "GN with 1 group for 32": size(F.group_norm(h, 1).data - layer) / size(layer),
    }


# %% [markdown]
# ## The rule
#
# Corrected, if the output differs by more than a tenth of its size from LayerNorm's, whichever axes are meant.


# %%
def rule(f):
    off = np.minimum(f["LN over C, H, W"], f["LN over C at each place"])
    figure = f"GN(32) on 320 channels differs from LN by {100 * off.min():.0f} % of its size or more"
    if (off > 0.1).all():
        return Verdict(
            "corrected",
            figure,
            "The convolutions of that U-Net use GroupNorm with 32 groups, another function; its attention blocks use LayerNorm. Who uses what "
            "is for the papers to say: run here is only whether it matters.",
        )
    return Verdict("confirmed", figure, "GroupNorm with 32 groups is as good as LayerNorm here.")


claim = Claim(
    title="Stable Diffusion, VAEs, GANs and reinforcement learning use LayerNorm",
    says={51: "Layer Normalization is used in Stable Diffusion, VAEs, GANs, reinforcement learning"},
    told_by="a glossary",
    source="Rombach et al. 2022 (arXiv:2112.10752) and its code, model.py: Normalize = GroupNorm(num_groups=32); Ho et al. 2020 (arXiv:2006.11239), appendix B: group normalization",
    setting={
        "h": "digits through a convolution of 320 channels at its start, (4, 320, 8, 8)",
        "norms": "GroupNorm(32), LayerNorm",
    },
    differs="At the start; what is used where is read in the papers, not run.",
    experiment=experiment,
    measure="root mean square of the difference of the outputs, relative to the output",
    decides="corrected, if more than 0.1 from both LayerNorms; else confirmed",
    rule=rule,
    picture=lambda f: Dots({f"GN(32) to {k}": f[k] for k in list(f)[:2]}, "difference ÷ size of the output (no unit)"),
    changes={"if they were the same function": {"LN over C, H, W": 0.0}},
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
