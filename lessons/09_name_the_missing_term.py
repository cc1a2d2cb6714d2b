# %% [markdown]
# # 9 · Name the missing term
#
# Three backward passes of LayerNorm, each wrong in one place. Read each, guess the term (routes: *direct*, *μ*, *σ²*, as in
# lesson 5), and only then run the cell below it. The right one, for reference:
#
#     dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),   g = dy·γ

# %%
import numpy as np

import tinygrad_norm as tn


def mean(a):
    return a.mean(-1, keepdims=True)


def statistics(x, eps):
    c = x - mean(x)
    rstd = (mean(c * c) + eps) ** -0.5
    return rstd, c * rstd


# %% [markdown]
# ## One
#
# Written from memory, term by term.


# %%
def one(dy, x, weight, bias, eps):
    rstd, x_hat = statistics(x, eps)
    g = dy * weight
    n = x.shape[-1]
    c = x - mean(x)
    d_var = (g * c).sum(-1, keepdims=True) * -0.5 * rstd**3
    d_mu = -(g * rstd).sum(-1, keepdims=True)
    dx = g * rstd + d_var * 2 * c + d_mu / n
    return dx, (dy * x_hat).sum(0), dy.sum(0)


# %%
first = tn.check(one, "layer_norm")
print(first)

# %% [markdown]
# `d_mu` was divided by n, `d_var` was not. How was that found? dx was split into the shares of the routes, and
# the candidate fitted by them: 1·direct + 1·μ + 8·σ², with nothing left over. Eight is N, the number of entries averaged.
#
# ## Two
#
# Shorter, and it runs a network that trains. (Many wrong ones do.)


# %%
def two(dy, x, weight, bias, eps):
    rstd, x_hat = statistics(x, eps)
    dx = rstd * (dy - mean(dy) - x_hat * mean(dy * x_hat)) * weight
    return dx, (dy * x_hat).sum(0), dy.sum(0)


# %%
second = tn.check(two, "layer_norm")
print(second)

# %% [markdown]
# Here no share of a route is wrong by a factor; all of them are mixed up, and no combination of them fits. This one is in the
# library of known mistakes. The library is read off the record: for each edge, what can be forgotten there.
#
# ## Three
#
# With statistics from another library.


# %%
def three(dy, x, weight, bias, eps):
    rstd = (x.var(-1, keepdims=True, ddof=1) + eps) ** -0.5
    x_hat = (x - mean(x)) * rstd
    g = dy * weight
    return rstd * (g - mean(g) - x_hat * mean(g * x_hat)), (dy * x_hat).sum(0), dy.sum(0)


# %%
third = tn.check(three, "layer_norm")
print(third)

# %% [markdown]
# Two gradients are wrong for one reason, and both are told it. dβ, which reads no statistics, is right: that alone would
# have pointed there.

# %% [markdown]
# ## Beyond the library
#
# (Two known mistakes at once are found, too: when no single one gives these numbers, pairs are tried.) Nobody has made this one yet:
# the formula is altered in thousands of ways, none of them gives these numbers, and no mistake is named. What can still be said is
# *where*: the file is read line by line beside the formula, and the line is shown that departs from it, with what belongs there.


# %%
def strange(dy, x, weight, bias, eps):
    rstd, x_hat = statistics(x, eps)
    g = dy * weight
    return rstd * (g - mean(g) - 0.9 * np.tanh(x_hat) * mean(g * x_hat)), (dy * x_hat).sum(0), dy.sum(0)


unknown = tn.check(strange, "layer_norm")
print(unknown)

# %%
assert first.judgements["input"].mistakes == ("σ²: sum for mean",)
assert second.judgements["input"].mistakes == ("γ after instead of before",)
assert third.judgements["input"].mistakes == third.judgements["weight"].mistakes == ("σ²: its value with N − 1",)
assert third.judgements["bias"].ok
assert not unknown.ok, "wrong all the same"
assert unknown.judgements["input"].mistakes == (), "but nothing is claimed"
print("ok: wrong is a start, which term is an answer")
