# %% [markdown]
# # What m counts
#
# "m is the number of samples in the batch." For vectors it is. Of images BatchNorm takes one mean a channel, over all places of
# all samples: m = N·H·W, and so stands in every formula of its gradient.

# %%
import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Claim, Dots, Verdict

F = tn.functional
N, C, H, W = 4, 3, 5, 2


def error(shape, m, rng):
    """Of dx by the formula with this m."""
    x, dy = rng.normal(size=shape), rng.normal(size=shape)
    t = tn.tensor(x, requires_grad=True)
    (dx,) = tn.grad(F.batch_norm(t, None, None, training=True, eps=0.0), t, dy)
    axes = (0, *range(2, len(shape)))
    c = x - x.mean(axes, keepdims=True)
    xhat = c / np.sqrt((c * c).mean(axes, keepdims=True))
    total = lambda a: a.sum(axes, keepdims=True)  # noqa: E731
    return np.abs((dy - total(dy) / m - xhat * total(dy * xhat) / m) * xhat / c - dx.data).max()


def experiment(seed):
    rng = np.random.default_rng(seed)
    return {
        "vectors (N, C), m = N": error((N, C), N, rng),
        "images (N, C, H, W), m = N": error((N, C, H, W), N, rng),
        "images (N, C, H, W), m = N·H·W": error((N, C, H, W), N * H * W, rng),
    }


# %% [markdown]
# ## The rule
#
# The formula is right with one m, and wrong with another.


# %%
def rule(f):
    vectors, samples, places = f.values()
    figure = f"error of dx for images: {samples.min():.1f} with m = N, {places.max():.1g} with m = N·H·W"
    if (vectors < 1e-9).all() and (samples < 1e-9).all():
        return Verdict("confirmed", figure, "m = N for images, too.")
    if (vectors < 1e-9).all() and (places < 1e-9).all() and (samples > 0.1).all():
        return Verdict(
            "bounded", figure, "True of vectors (N, C). Of images (N, C, H, W) m is N·H·W, the numbers that share a mean."
        )
    return Verdict("refuted here", figure, "Neither is m.")


claim = Claim(
    title="m is the number of samples in the batch",
    says={42: "m is the number of samples in the batch"},
    told_by="a blog",
    source="Ioffe, Szegedy 2015 (arXiv:1502.03167), section 3.2: “we use the effective mini-batch of size m′ = |B| = m·pq”",
    setting={"x": f"({N}, {C}) and ({N}, {C}, {H}, {W}), random, float64", "ε": 0.0},
    differs="Exact: nothing is trained.",
    experiment=experiment,
    measure="largest error of dx by the formula with this m",
    decides="bounded, if m = N is within 1e-9 for vectors and off by more than 0.1 for images, where N·H·W is within 1e-9",
    rule=rule,
    picture=lambda f: Dots(f, "largest error of dx (units of dy/σ)", log=True),
    changes={
        "if m = N were right for images": {"images (N, C, H, W), m = N": 0.0},
        "if it were wrong for vectors": {"vectors (N, C), m = N": 1.0},
    },
    seeds=3,
)

# %%
if __name__ == "__main__":
    tn.learn.show(claim)
