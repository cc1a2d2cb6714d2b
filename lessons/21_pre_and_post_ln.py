# %% [markdown]
# # 21 · Pre- and post-LN, by depth
#
# A transformer block adds a branch to its input. LayerNorm may stand after the sum (Vaswani et al. 2017: post-LN) or before
# the branch (pre-LN). The same parts in another order: what reaches the depths, before the first step?

# %%
import numpy as np

import tinygrad_norm as tn

x, t = tn.data.reversing(32, seed=0)


def at_start(norm_first, layers, seed):
    """Block by block: σ of what goes on to the next, and the length of the gradient of a feed-forward matrix."""
    net = tn.train.transformer(layers=layers, norm_first=norm_first, seed=seed, dtype="float64")
    with tn.train.watch(net) as seen:
        tn.functional.cross_entropy(net(tn.tensor(x)).reshape(-1, 8), t.ravel()).backward()
    found = {(r.layer, r.name): r for r in seen.readings}
    stream = [found[f"blocks.{i}", "TransformerEncoderLayer"].std for i in range(layers)]
    return np.array(stream), np.array([found[f"blocks.{i}.linear2", "weight"].gradient for i in range(layers)])


def mean(norm_first, layers):
    return [np.mean(v, axis=0) for v in zip(*(at_start(norm_first, layers, seed) for seed in range(3)))]


# %% [markdown]
# ## The stream
#
# In pre-LN x itself goes on, and each block adds to it: its σ grows with depth. In post-LN every sum is normalized: σ = 1,
# everywhere, and for that every way back to the first block goes through all the LayerNorms.

# %%
LAYERS = 12
shown = {"pre": mean(True, LAYERS), "post": mean(False, LAYERS)}
for name, (stream, lengths) in shown.items():
    print(f"{name}-LN   σ of the stream, and ‖gradient‖ of the second feed-forward matrix")
    for i, (s, g) in enumerate(zip(stream, lengths)):
        print(f"   block {i:2d}  σ {s:.2f}   {g:.3f}  {'█' * round(80 * g)}")

# %% [markdown]
# ## Deeper
#
# The last LayerNorm of pre-LN divides by the σ of the stream, and behind many blocks less comes back (of 2 and of 8 it is still alike).
# In post-LN nothing makes up for the depth. Xiong et al. 2020 (arXiv:2002.04745, theorem 1) prove it for the last layer:
# of order 1/√L in pre-LN, and no smaller with L in post-LN. That is why post-LN needs a *warm-up*, a rate that
# begins small and rises: its first steps are too long.

# %%
DEPTHS = (2, 8, 18)
last = {name: [mean(first, n)[1][-1] for n in DEPTHS] for name, first in (("pre", True), ("post", False))}
for name, found in last.items():
    print(f"{name:4}-LN  ‖gradient‖ in the last of {DEPTHS} blocks: {np.round(found, 3)}")
share = np.array(last["post"]) / last["pre"]
print("post ÷ pre:", share.round(2))

# %%
assert np.allclose(shown["post"][0], 1, atol=0.01), "post-LN: every sum is normalized"
assert (np.diff(shown["pre"][0]) > 0).all(), "pre-LN: every block adds to the stream"
assert last["pre"][-1] < last["pre"][0], "near the output of pre-LN the gradient goes down with depth"
assert last["post"][-1] > last["post"][0], "and in post-LN it does not"
assert (np.diff(share) > 0).all()
assert share[-1] > 2
print("ok: the same parts in another order, and another gradient in the depths")
