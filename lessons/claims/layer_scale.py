# %% [markdown]
# # What LayerScale scales
#
# A glossary: it "scales the normalized outputs". It scales the branch, x + λ·f(x), and begins with λ near 0, so that a deep net
# begins as the identity. Whether that helps depth: sixteen residual blocks, with and without.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, last_loss, standardized, trained

nn = tn.nn
BLOCKS, WIDTH = 16, 32


def linear(ins, outs, rng, gain):
    layer = nn.Linear(ins, outs)
    layer.weight.data = rng.normal(0, gain / np.sqrt(ins), (outs, ins)).astype(np.float32)
    nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    """x + λ·f(LayerNorm(x)); without λ where it is None."""

    def __init__(self, rng, init):
        he = 2**0.5
        self.f = nn.Sequential(
            nn.LayerNorm(WIDTH, backward="analytic"), linear(WIDTH, WIDTH, rng, he), nn.ReLU(), linear(WIDTH, WIDTH, rng, he)
        )
        self.scale = None if init is None else nn.LayerScale(WIDTH, init, backward="analytic")

    def forward(self, x):
        return x + self.f(x) if self.scale is None else self.scale(self.f(x), x)


def experiment(seed):
    (x, t), _ = standardized(seed, 1280)
    x, found = x.reshape(-1, 64), {}
    for name, init in (("no λ", None), ("λ = 0.1", 0.1), ("λ = 10⁻⁴", 1e-4)):
        rng = np.random.default_rng(seed)
        blocks = [Block(rng, init) for _ in range(BLOCKS)]
        net = nn.Sequential(
            linear(64, WIDTH, rng, 1), *blocks, nn.LayerNorm(WIDTH, backward="analytic"), linear(WIDTH, 10, rng, 1)
        )
        if init == 0.1:
            h = tn.tensor(rng.normal(size=(8, WIDTH)).astype(np.float32))
            found["y − (x + λ·f(x))"] = np.abs(blocks[0](h).data - (h.data + np.float32(0.1) * blocks[0].f(h).data)).max()
        found[name] = last_loss(trained(net, (x, t), optimizer="adam", lr=0.01, batch=32, epochs=2, seed=seed), 10)
    return found


# %% [markdown]
# ## The rule
#
# Corrected, if the block is x + λ·f(x). And it helps depth, if with λ = 0.1 the loss is lower than without, in every seed.


# %%
def rule(f):
    figure = "loss after 80 steps, 16 blocks: " + ", ".join(f"{f[k].mean():.2f} ({k})" for k in ("no λ", "λ = 0.1", "λ = 10⁻⁴"))
    if not (f["y − (x + λ·f(x))"] < 1e-5).all():
        return Verdict("undecided", figure, "The block is not x + λ·f(x).")
    if (f["λ = 0.1"] < f["no λ"]).all():
        return Verdict(
            "corrected",
            figure,
            "It scales what the branch computed, not what was normalized; and it helps depth, in every seed, with λ = 0.1.",
        )
    return Verdict("refuted here", figure, "It scales the branch, and does not help in every seed.")


claim = Claim(
    title="LayerScale scales the normalized outputs, and helps depth",
    says={45: "LayerScale scales the normalized outputs; it helps deep networks"},
    told_by="a glossary",
    source="Touvron et al. 2021 (arXiv:2103.17239), section 2: LayerScale",
    setting={
        "net": f"{BLOCKS} residual blocks LayerNorm–linear–ReLU–linear of width {WIDTH}, He's initial values",
        "data": "1,280 digits",
        "Adam": "lr 0.01, batch 32, 80 steps",
    },
    differs="Image transformers and hundreds of epochs there, with λ from 0.1 (depth 18) down to 10⁻⁶.",
    experiment=experiment,
    measure="mean training loss of the last 10 steps (nats), paired by seed; largest difference to x + λ·f(x)",
    decides="corrected, if y is x + λ·f(x) within 1e-5 and the loss with λ = 0.1 lower in every seed; refuted here, if not lower; undecided, if y is another",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in ("no λ", "λ = 0.1", "λ = 10⁻⁴")}, "training loss at the end (nats)"),
    changes={"if λ did not help": {"λ = 0.1": "no λ"}, "if another thing were scaled": {"y − (x + λ·f(x))": 1.0}},
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
