# %% [markdown]
# # One feature a thousand times another
#
# The example of marketing texts: age in years, income in thousands of times as much. Unscaled, income is all that a step sees. Three
# remedies: standardize the columns, a BatchNorm in front, a LayerNorm in front. The third takes the mean of age and income of a person.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict, trained

nn = tn.nn


def people(seed):
    """Age, visits, income; buys, if young and often there: income says nothing."""
    rng = np.random.default_rng(seed)
    age, visits, income = rng.normal(45, 12, 1280), rng.normal(10, 3, 1280), rng.normal(45000, 12000, 1280)
    buys = ((visits - 10) / 3 - (age - 45) / 12 + 0.3 * rng.normal(size=1280) > 0).astype(np.int64)
    return np.stack([age, visits, income], 1).astype(np.float32), buys


def experiment(seed):
    x, t = people(seed)
    scaled = (x - x[:1024].mean(0)) / x[:1024].std(0)
    found = {}
    for name, inputs, first in (
        ("as they are", x, nn.Identity()),
        ("standardized", scaled, nn.Identity()),
        ("BatchNorm in front", x, nn.BatchNorm1d(3, backward="analytic")),
        ("LayerNorm in front", x, nn.LayerNorm(3, backward="analytic")),
    ):
        best = 0.0
        for lr in (1e-8, 1e-3, 0.1):
            net = nn.Sequential(first, nn.Linear(3, 2, seed=seed))
            run = trained(net, (inputs[:1024], t[:1024]), test=(inputs[1024:], t[1024:]), lr=lr, batch=32, epochs=4, seed=seed)
            best = max(best, run.running or 0.0)
        found[name] = best
    return found


# %% [markdown]
# ## The rule
#
# Good is 85 % right in every seed, at the best of three rates. "A normalization layer cures it" is confirmed, if both are good and the
# net without is not; bounded, if one of them.


# %%
def rule(f):
    figure = "right: " + ", ".join(f"{v.mean():.2f} ({k})" for k, v in f.items())
    good = {k: bool((v >= 0.85).all()) for k, v in f.items()}
    if good["as they are"]:
        return Verdict("undecided", figure, "There is nothing to cure.")
    cured = [k for k in ("BatchNorm in front", "LayerNorm in front") if good[k]]
    if len(cured) == 2:
        return Verdict("confirmed", figure, "By both.")
    if cured == ["BatchNorm in front"]:
        return Verdict(
            "bounded",
            figure,
            "True of BatchNorm, which standardizes each column, as one can do beforehand. LayerNorm takes the mean of age and income: what is left is which column is which.",
        )
    return Verdict("refuted here", figure, "Not by BatchNorm.")


claim = Claim(
    title="A normalization layer cures features of different scale",
    says={59: "Without normalization the feature with the largest numbers dominates; a normalization layer takes care of that"},
    told_by="a blog and advertising for courses, by the example of age and income",
    source="LeCun et al. 1998, “Efficient BackProp”, section 4.3; Ioffe, Szegedy 2015 (arXiv:1502.03167), section 2, for layers",
    setting={
        "net": "(norm–)linear 3 → 2",
        "data": "1,024 people, 256 held out: age, visits, income, of which income says nothing",
        "SGD": "batch 32, 128 steps, the best of the rates 10⁻⁸, 0.001, 0.1",
    },
    differs="Made data, so that what is right is known.",
    experiment=experiment,
    measure="share of right answers on 256 people held out (guessing: 0.5)",
    decides="good: at least 0.85 in every seed; confirmed, if both norms are good and none is not; bounded, if BatchNorm alone; undecided, if none is good, too",
    rule=rule,
    picture=lambda f: Dots(f, "share of right answers", at={"guessing": 0.5}),
    changes={
        "if the large feature did no harm": {"as they are": "standardized"},
        "if LayerNorm cured it, too": {"LayerNorm in front": "standardized"},
    },
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
