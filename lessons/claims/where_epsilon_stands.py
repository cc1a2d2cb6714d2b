# %% [markdown]
# # Where ε stands
#
# Some texts write (x − μ)/√(σ² + ε), others (x − μ)/(σ + ε), now and then one above code that does the other. For σ = 1 nobody
# can tell them apart. Where σ is small, as of a row that is almost constant, they are two functions with two gradients.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Lines, Verdict

F = tn.functional
SIGMAS = (1.0, 1e-2, 1e-3, 1e-4, 1e-5)
EPS = 1e-5


def experiment(seed):
    z = np.random.default_rng(seed).normal(size=64)
    z = (z - z.mean()) / z.std()
    found = {}
    for mode, word in (("variance", "inside"), ("std", "outside")):
        for sigma in SIGMAS:
            y = F.layer_norm(tn.tensor(sigma * z), 64, eps=EPS, eps_mode=mode).data
            found[f"rms {word} {sigma:g}"] = np.sqrt((y**2).mean())
        x = tn.tensor(np.ones(64), requires_grad=True)  # a constant row: the worst case of both
        (dx,) = tn.grad(F.layer_norm(x, 64, eps=EPS, eps_mode=mode), x, np.eye(64)[0])
        found[f"gradient {word}"] = np.abs(dx.data).max()
    return found


# %% [markdown]
# ## The rule
#
# Were the two the same function, x̂ would have the same size whatever σ is. "Corrected", if at σ = ε the sizes differ by more
# than a factor of 10 and the inside form is √(σ²/(σ² + ε)) of a unit, as every framework has it.


# %%
def rule(f):
    inside, outside = f["rms inside 1e-05"], f["rms outside 1e-05"]
    ratio, slope = (outside / inside).mean(), (f["gradient outside"] / f["gradient inside"]).mean()
    figure = f"at σ = ε: rms of x̂ {inside.mean():.4f} inside, {outside.mean():.2f} outside"
    if (outside > 10 * inside).all() and np.allclose(inside, 1e-5 / np.sqrt(1e-10 + EPS)):
        return Verdict(
            "corrected",
            figure,
            f"√(σ² + ε) and σ + ε are two functions: {ratio:.0f} times apart at σ = ε, and on a constant row the gradient of the second is "
            f"{slope:.0f} times as long. Frameworks compute the first; the LayerNorm paper has no ε at all.",
        )
    return Verdict("confirmed", figure, "The two are as good as the same.")


claim = Claim(
    title="y = γ·(x − μ)/√(σ² + ε) + β, or /(σ + ε)?",
    says={1: "y = γ(x − μ)/√(σ² + ε) + β", 2: "y = γ(x − μ)/(σ + ε) + β"},
    told_by="an article, an encyclopedia and a blog (inside the root); two glossaries (outside, one of them above code that has it inside)",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), algorithm 1: inside; Ba et al. 2016 (arXiv:1607.06450), eq. 4: no ε",
    setting={"x": "64 numbers, float64", "ε": EPS, "σ": SIGMAS},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="root of the mean of x̂²; largest entry of dx for a cotangent (1, 0, …) on a constant row",
    decides="corrected, if at σ = ε the outside form is more than 10 times the inside form, and that is σ/√(σ² + ε); else confirmed",
    rule=rule,
    picture=lambda f: Lines(
        {w: {f"{s:g}": f[f"rms {w} {s:g}"] for s in SIGMAS} for w in ("inside", "outside")},
        "σ of x",
        "rms of x̂ (1 = unit variance)",
        log=True,
    ),
    changes={"if both forms gave x̂ the same size": {"rms outside 1e-05": "rms inside 1e-05"}},
    seeds=3,
    opposed=True,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
