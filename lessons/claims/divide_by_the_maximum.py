# %% [markdown]
# # Dividing by the maximum
#
# "Dividing by the maximum brings the data between 0 and 1." If none is negative. Else the least is −|min|/max, and if all are
# negative even the order is turned around.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict


def experiment(seed):
    x = np.random.default_rng(seed).normal(size=200)
    found = {}
    for name, data in (("positive data", np.abs(x)), ("data around 0", x), ("negative data", -np.abs(x) - 0.1)):
        scaled = data / data.max()
        found[f"least of {name}"], found[f"largest of {name}"] = scaled.min(), scaled.max()
    return found


# %% [markdown]
# ## The rule
#
# Bounded, if positive data comes to lie between 0 and 1 and other data does not.


# %%
def rule(f):
    inside = {
        k: (f[f"least of {k}"] >= 0).all() and (f[f"largest of {k}"] <= 1).all()
        for k in ("positive data", "data around 0", "negative data")
    }
    figure = f"data around 0 comes to lie between {f['least of data around 0'].min():.2f} and {f['largest of data around 0'].max():.0f}"
    if all(inside.values()):
        return Verdict("confirmed", figure, "Whatever the data is.")
    if inside["positive data"]:
        return Verdict(
            "bounded", figure, "True of data that is nowhere negative. (x − min)/(max − min) is between 0 and 1 for any."
        )
    return Verdict("refuted here", figure, "Not even positive data.")


claim = Claim(
    title="Dividing by the maximum gives values between 0 and 1",
    says={50: "Dividing by the maximum brings the data between 0 and 1"},
    told_by="a blog",
    source="LeCun et al. 1998, “Efficient BackProp”, section 4.3, has what to do instead: mean 0, equal variances",
    setting={"x": "200 numbers: |z|, z, −|z| − 0.1, z normal"},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="least and largest of x/max(x)",
    decides="bounded, if between 0 and 1 for positive data and not for some other",
    rule=rule,
    picture=lambda f: Dots({k: f[k] for k in f if "negative" not in k}, "x ÷ max(x) (no unit)", at={"0": 0.0, "1": 1.0}),
    changes={
        "if all came to lie between 0 and 1": {
            k: v for n in ("data around 0", "negative data") for k, v in ((f"least of {n}", 0.0), (f"largest of {n}", 1.0))
        },
        "if positive data did not": {"least of positive data": -1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
