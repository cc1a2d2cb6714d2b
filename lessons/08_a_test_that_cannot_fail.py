# %% [markdown]
# # 8 · A test that cannot fail
#
# You derived a backward pass by hand, and you test it: `y.sum().backward()`, compare, equal, done. This lesson is about
# why that test says nothing, and how to tell before you trust one.

# %%
import numpy as np

import tinygrad_norm as tn

rng = np.random.default_rng(0)
x = rng.normal(size=(4, 8)) * np.array([[0.3], [1.0], [3.0], [10.0]])  # four rows, four sizes


def mean(a):
    return a.mean(-1, keepdims=True)


def forward(x):
    return tn.functional.layer_norm(x, 8)


def with_formula(formula):
    """A backward of LayerNorm without γ and β, with this formula for dx."""

    def backward(dy, x):
        c = x - mean(x)
        rstd = 1 / np.sqrt(mean(c * c) + 1e-5)
        return formula(dy, c, c * rstd, rstd)

    return backward


right = with_formula(lambda g, c, x_hat, rstd: rstd * (g - mean(g) - x_hat * mean(g * x_hat)))
wrong = {
    "the variance forgotten": with_formula(lambda g, c, x_hat, rstd: rstd * (g - mean(g))),
    "a sign wrong": with_formula(lambda g, c, x_hat, rstd: rstd * (g - mean(g) + x_hat * mean(g * x_hat))),
    "a sum for a mean": with_formula(lambda g, c, x_hat, rstd: rstd * (g - mean(g) - 8 * x_hat * mean(g * x_hat))),
    "c for x̂": with_formula(lambda g, c, x_hat, rstd: rstd * (g - mean(g) - c * mean(g * c))),
}

# %% [markdown]
# ## The loss y.sum()
#
# Its cotangent is all ones. Adding one number to a row of x does not change y, so every row of J maps ones to zero: the
# true gradient is 0. And a wrong formula? Every one below starts with g − mean(g), which is zero, and g·x̂ is x̂,
# of mean zero. Zero times whatever was wrong is zero.

# %%
ones, random = np.ones((4, 8)), rng.normal(size=(4, 8))


def error(backward, dy, x):
    return np.abs(backward(dy, x) - right(dy, x)).max()


print(f"{'max |Δ| to the right formula':<28}  dy = 1    dy random")
for name, backward in wrong.items():
    print(f"{name:<28}  {error(backward, ones, x):.0e}    {error(backward, random, x):.2f}")

# %% [markdown]
# All four pass the first test. The numbers that a test asks with are its *probe*. `tn.check` counts how many of *all* the mistakes it
# knows would pass with a probe of yours. (It judges by one of its own, which it makes sure is strong; *at this shape only*, as it
# cannot know other shapes of a function it is given.) What the sum does notice is a mistake in the mean's own term: drop that, and
# zero does not come out.

# %%
verdict = tn.check(right, forward, inputs=[x], grad_output=ones)
print(verdict)

# %% [markdown]
# ## Other losses people test with
#
# `(y**2).sum()` looks better: its cotangent 2y differs from entry to entry. But Σy² over a row is 8, up to ε, whatever x
# is: stretching a row changes nothing either. The true gradient is as good as zero again, and now it is the mean's term
# that nobody looks at, since mean(2y) = 0. J projects onto what is orthogonal to ones and to x̂. The sum lies along the
# first and tests the first projection only, 2y along the second and tests the second only.

# %%
y = forward(tn.tensor(x)).data
probes = {
    "y.sum()": ones,
    "(y**2).sum()": 2 * y,
    "(y * random).sum()": random,
}
passing, unseen = {}, {}
for loss, dy in probes.items():
    yours = tn.check(right, forward, inputs=[x], grad_output=dy).yours
    passing[loss], unseen[loss] = len(yours.passing), yours.passing
    print(f"{loss:<20} {passing[loss]:>2} of {yours.known} known mistakes would pass")

# %% [markdown]
# A random cotangent costs one line, and leaves none. γ = 1, as every layer starts, is a weak probe, too: who forgets it multiplies by 1.
#
# ## The inputs are a probe, too
#
# Somebody wrote c where x̂ belongs, and tested it with a random cotangent on inputs that were standardized first, as data
# often is. Where σ = 1, c *is* x̂: the test passes, to ε. Any row with another σ can tell them apart; so inputs should be of many sizes,
# some as small as √ε, so that a forgotten ε shows.

# %%
standardized = (x - mean(x)) / np.sqrt(mean((x - mean(x)) ** 2))
culprit = wrong["c for x̂"]
print(f"on standardized rows: {error(culprit, random, standardized):.0e}")
rows = standardized * np.array([[0.3], [1.0], [3.0], [10.0]])
print(f"on rows of four sizes: {error(culprit, random, rows):.2f}")

# %%
assert all(error(backward, ones, x) < 1e-12 for backward in wrong.values()), "with dy = 1 every wrong formula passes"
assert all(error(backward, random, x) > 0.01 for backward in wrong.values()), "with a random dy none does"
assert verdict.ok, "the right formula is right"
assert passing["y.sum()"] > verdict.probe.known / 2, "the sum lets most of them pass"
assert passing["(y * random).sum()"] == 0
assert "μ: term dropped" in unseen["(y**2).sum()"], "the square does not see the mean's term"
assert not {name for name in unseen["(y**2).sum()"] if "σ²" in name}, "but does see the variance's"
assert "μ: term dropped" not in unseen["y.sum()"], "with the sum it is the other way round"
assert error(culprit, random, standardized) < 1e-4, "the culprit passes on standardized rows"
assert error(culprit, random, rows) > 0.01, "and is exposed on rows of other sizes"
print("ok: a test is worth what it would reject")
