# %% [markdown]
# # LayerNorm knows neither batch nor mode
#
# A sample alone and the same sample among 31 others: LayerNorm gives it the same output and the same gradient, in training and in
# inference. BatchNorm does not; it has statistics of others in it, and in inference those of the past.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

nn = tn.nn


def experiment(seed):
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(1, 2, (32, 6)), rng.normal(size=(32, 6))
    found = {}
    for name, make in (("LN", nn.LayerNorm), ("BN", nn.BatchNorm1d)):

        def both(rows, training, make=make):
            layer = make(6, dtype="float64").train(training)
            t = tn.tensor(x[:rows], requires_grad=True)
            y = layer(t)
            (dx,) = tn.grad(y, t, dy[:rows])
            return y.data[:4], dx.data[:4]

        few, many, resting = both(4, True), both(32, True), both(32, False)
        found[f"{name}: y, batch 4 or 32"] = np.abs(few[0] - many[0]).max()
        found[f"{name}: dx, batch 4 or 32"] = np.abs(few[1] - many[1]).max()
        found[f"{name}: y, training or inference"] = np.abs(many[0] - resting[0]).max()
    return found


# %% [markdown]
# ## The rule
#
# Confirmed, if all of LayerNorm's differences are exactly 0 while BatchNorm's, under the same test, are not.


# %%
def rule(f):
    ln, bn = (np.array([v for k, v in f.items() if k.startswith(n)]) for n in ("LN", "BN"))
    figure = f"largest change for LN {ln.max():g}; least for BN {bn.min():.2f}"
    if (bn < 0.01).any():
        return Verdict("undecided", figure, "The test would not notice a norm that does depend on the batch.")
    if (ln == 0).all():
        return Verdict("confirmed", figure, "Forward and dx to the last bit; dγ and dβ are sums over the batch all the same.")
    return Verdict("refuted here", figure, "LayerNorm's output changed.")


claim = Claim(
    title="LayerNorm does not depend on the batch, and is the same in training and inference",
    says={12: "Layer Normalization does not depend on the batch and is the same in training and inference"},
    told_by="two glossaries and an encyclopedia",
    source="Ba et al. 2016 (arXiv:1607.06450), abstract and section 3",
    setting={"x, dy": "4 of 32 samples of 6 features, N(1, 2²), float64", "layers": "LayerNorm(6), BatchNorm1d(6)"},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="largest change of y and of dx for the same four samples",
    decides="confirmed, if LayerNorm's changes are exactly 0 and BatchNorm's above 0.01; undecided, if BatchNorm's are not",
    rule=rule,
    picture=lambda f: Dots(f, "largest change (no unit)"),
    changes={
        "if LayerNorm's y changed with the batch": {"LN: y, batch 4 or 32": 0.1},
        "if BatchNorm's did not": {"BN: y, batch 4 or 32": 0.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
