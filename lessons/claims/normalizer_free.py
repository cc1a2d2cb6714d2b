# %% [markdown]
# # Deep without a norm
#
# In a residual net of He's initial values every block doubles the mean square of h: 2¹⁶ after sixteen. What BatchNorm does there can be
# done without it: scale the branches down, by a λ that begins at 0 (SkipInit) or by 1/√L.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, last_loss, standardized, trained

nn = tn.nn
BLOCKS, WIDTH = 16, 32
KINDS = ("plain", "BN", "SkipInit", "1/√L")


def linear(ins, outs, rng, gain):
    layer = nn.Linear(ins, outs)
    layer.weight.data = rng.normal(0, gain / np.sqrt(ins), (outs, ins)).astype(np.float32)
    nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    def __init__(self, kind, rng):
        norm = [nn.BatchNorm1d(WIDTH, backward="analytic")] if kind == "BN" else []
        self.f = nn.Sequential(*norm, linear(WIDTH, WIDTH, rng, 2**0.5), nn.ReLU(), linear(WIDTH, WIDTH, rng, 2**0.5))
        self.scale = nn.SkipInit(backward="analytic") if kind == "SkipInit" else None
        self.factor = np.float32(BLOCKS**-0.5 if kind == "1/√L" else 1)

    def forward(self, x):
        return self.scale(self.f(x), x) if self.scale is not None else x + self.factor * self.f(x)


def experiment(seed):
    (x, t), _ = standardized(seed, 1280)
    x, found = x.reshape(-1, 64), {}
    for kind in KINDS:
        rng = np.random.default_rng(seed)
        net = nn.Sequential(linear(64, WIDTH, rng, 1), *[Block(kind, rng) for _ in range(BLOCKS)], linear(WIDTH, 10, rng, 1))
        h = tn.tensor(x[:64])
        for layer in list(net)[:-1]:
            branch, before = (layer.f(h).data if isinstance(layer, Block) else None), h
            h = layer(h)
        found[f"mean square of h at the start, {kind}"] = np.square(h.data).mean()
        found[f"branch ÷ skip, last block, {kind}"] = np.linalg.norm(branch) / np.linalg.norm(before.data)
        run = trained(net, (x, t), optimizer="adam", lr=0.01, batch=32, epochs=2, seed=seed)
        found[f"loss, {kind}"] = min(last_loss(run, 10), 99.0)
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if without any norm one of the two scalings ends below BatchNorm's loss plus 0.1 in every seed, and the plain net does not.


# %%
def rule(f):
    figure = "loss after 80 steps, 16 blocks: " + ", ".join(f"{f[f'loss, {k}'].mean():.2f} ({k})" for k in KINDS)
    good = [k for k in ("SkipInit", "1/√L") if (f[f"loss, {k}"] < f["loss, BN"] + 0.1).all()]
    plain = (f["loss, plain"] >= f["loss, BN"] + 0.1).all()
    if good and plain:
        return Verdict(
            "confirmed",
            figure,
            f"By {' and by '.join(good)}. BatchNorm does it, too: its last branch is {f['branch ÷ skip, last block, BN'].mean():.2f} of the skip, a plain one {f['branch ÷ skip, last block, plain'].mean():.1f}.",
        )
    if good:
        return Verdict("undecided", figure, "The plain net trains as well: this depth needs nothing.")
    return Verdict("refuted here", figure, "Neither scaling reaches BatchNorm.")


claim = Claim(
    title="Initial values and scaled branches can replace normalization",
    says={46: "Normalizer-free networks: initialization and scaling replace normalization"},
    told_by="a glossary",
    source="De, Smith 2020 (arXiv:2002.10444), SkipInit; Brock et al. 2021 (arXiv:2101.08692)",
    setting={
        "net": f"{BLOCKS} residual blocks (norm–)linear–ReLU–linear of width {WIDTH}, He's initial values",
        "data": "1,280 digits",
        "Adam": "lr 0.01, batch 32, 80 steps",
    },
    differs="A small net and 80 steps; hundreds of layers and ImageNet there.",
    experiment=experiment,
    measure="mean training loss of the last 10 steps (nats; 99: beyond that, or diverged); ‖branch‖/‖skip‖ before training",
    decides="confirmed, if SkipInit or 1/√L ends below BN's loss + 0.1 in every seed and the plain net in none; undecided, if the plain one does; else refuted here",
    rule=rule,
    picture=lambda f: Dots({k: f[f"loss, {k}"] for k in KINDS}, "training loss at the end (nats; 99: beyond)", log=True),
    changes={
        "if the plain net trained as well": {"loss, plain": "loss, SkipInit"},
        "if neither did": {"loss, SkipInit": 9.0, "loss, 1/√L": 9.0},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
