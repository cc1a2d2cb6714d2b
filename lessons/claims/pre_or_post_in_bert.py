# %% [markdown]
# # Where LayerNorm stands in BERT and GPT
#
# Two glossaries write that BERT and GPT normalize before each sublayer, an encyclopedia that they do so after it. The papers: BERT
# and the first GPT after the sum, as Vaswani et al.; GPT-2 "moved to the input of each sub-block". What tells them apart without a
# paper: only after post-LN is every token's output normalized.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

nn = tn.nn
PLACES = {"post (BERT, GPT-1)": False, "pre (GPT-2)": True}


def experiment(seed):
    x = tn.tensor(np.random.default_rng(seed).normal(size=(4, 8, 32)))
    found, outputs = {}, []
    for name, first in PLACES.items():
        layers = [
            nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=first, seed=9 * seed + i, dtype="float64")
            for i in range(6)
        ]
        h = x
        for layer in layers:
            h = layer(h)
        outputs.append(h.data)
        found[f"σ of a token's output, {name}"] = h.data.std(-1).mean()
    found["difference with the same weights"] = np.sqrt(np.square(outputs[0] - outputs[1]).mean())
    return found


# %% [markdown]
# ## The rule
#
# Two sentences are opposed, so at most one is right of a model. Corrected, if the two places make different functions of the same
# weights, and post-LN's output is normalized and pre-LN's is not: then the papers' words settle which is which.


# %%
def rule(f):
    post, pre, apart = f.values()
    figure = (
        f"after 6 layers a token has σ = {post.mean():.3f} post, {pre.mean():.2f} pre; the outputs differ by {apart.mean():.1f}"
    )
    if (apart < 1e-9).all():
        return Verdict("confirmed", figure, "Both: the two places make no difference.")
    if np.allclose(post, 1, atol=1e-3) and (pre > 1.1).all():
        return Verdict(
            "corrected",
            figure,
            "Of both together neither: BERT and GPT-1 are post-LN, GPT-2 and those after it pre-LN with one LayerNorm more at the end.",
        )
    return Verdict("undecided", figure, "The outputs do not tell which is which.")


claim = Claim(
    title="BERT and GPT have LayerNorm before each sublayer, or after it",
    says={37: "Layer Normalization before each sublayer in BERT and GPT; in another text after each"},
    told_by="two glossaries (before) and an encyclopedia (after)",
    source="Devlin et al. 2018 (arXiv:1810.04805), section 3, as Vaswani et al. 2017 (arXiv:1706.03762), section 3.1; Radford et al. 2019 (GPT-2), section 2.3",
    setting={
        "net": "6 encoder layers, width 32, 4 heads, at their start",
        "x": "4 × 8 tokens, random, float64",
        "weights": "the same in both",
    },
    differs="At the start, small; which model has which is read in the papers, not run.",
    experiment=experiment,
    measure="standard deviation over the features of a token's output; root mean square of the difference of the outputs",
    decides="corrected, if the outputs differ, post-LN's σ is 1 within 0.001 and pre-LN's above 1.1; confirmed, if they do not differ",
    rule=rule,
    picture=lambda f: Dots(
        {k.removeprefix("σ of a token's output, "): f[k] for k in list(f)[:2]},
        "σ of a token's output after 6 layers (no unit)",
        at={"1": 1.0},
    ),
    changes={
        "if both places were one function": {"difference with the same weights": 0.0},
        "if pre-LN's output were normalized": {"σ of a token's output, pre (GPT-2)": 1.0},
    },
    seeds=3,
    opposed=True,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
