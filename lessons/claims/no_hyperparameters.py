# %% [markdown]
# # BatchNorm has no hyperparameters?
#
# Four are in its constructor alone, and a fifth is which statistics are used when. Change one, and what comes out in inference
# is something else.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

nn = tn.nn
OTHERS = {
    "momentum 0.1 → 0.01": {"momentum": 0.01},
    "ε 10⁻⁵ → 10⁻³": {"eps": 1e-3},
    "no running statistics": {"track_running_stats": False},
    "the axis: LayerNorm's": None,
}


def experiment(seed):
    rng = np.random.default_rng(seed)
    batches, test = rng.normal(3, 0.1, (100, 16, 6)), rng.normal(3, 0.1, (16, 6))

    def inference(options):
        layer = nn.LayerNorm(6, dtype="float64") if options is None else nn.BatchNorm1d(6, dtype="float64", **options)
        for x in batches:
            layer(tn.tensor(x))
        return layer.eval()(tn.tensor(test)).data

    usual = inference({})
    return {name: np.sqrt(np.square(inference(o) - usual).mean()) for name, o in OTHERS.items()}


# %% [markdown]
# ## The rule
#
# Corrected, if every one of them changes what comes out by more than a hundredth of its σ.


# %%
def rule(f):
    figure = f"another momentum, ε, mode, axis: the output changes by {', '.join(f'{f[k].mean():.2g}' for k in OTHERS)} σ"
    which = [k for k in OTHERS if (f[k] > 0.01).all()]
    if len(which) == len(OTHERS):
        return Verdict(
            "corrected", figure, "Momentum, ε, the axes and which statistics are used when: few, rarely tuned, and not none."
        )
    if not which:
        return Verdict("confirmed", figure, "None of them matters.")
    return Verdict("bounded", figure, f"Only these matter here: {', '.join(which)}.")


claim = Claim(
    title="BatchNorm has no hyperparameters",
    says={41: "Batch Normalization has no hyperparameters to tune"},
    told_by="a blog",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), algorithms 1 and 2: ε, and moving averages; Wu, Johnson 2021 (arXiv:2105.07576) on the rest",
    setting={
        "layer": "BatchNorm1d(6), PyTorch's defaults",
        "data": "100 batches of 16 samples, N(3, 0.1²)",
        "then": "inference on 16 more",
    },
    differs="Exact. Nothing is trained: only the running statistics move.",
    experiment=experiment,
    measure="root mean square of the change of the output in inference (no unit: σ of x̂)",
    decides="corrected, if each change is above 0.01; confirmed, if none is",
    rule=rule,
    picture=lambda f: Dots(f, "rms change of the output in inference (no unit)", log=True),
    changes={"if none changed anything": dict.fromkeys(OTHERS, 0.0), "if momentum did not": {"momentum 0.1 → 0.01": 0.0}},
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
