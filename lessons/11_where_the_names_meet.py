# %% [markdown]
# # 11 · Where the names meet, and where they do not
#
# Four norms are one function over other axes (lesson 10). So for some shapes two of them are the same.

# %%
import numpy as np

import tinygrad_norm as tn

F = tn.functional
rng = np.random.default_rng(0)
N, C, H, W = 3, 4, 2, 5
x = tn.tensor(rng.normal(size=(N, C, H, W)) * rng.uniform(0.5, 4, (N, C, 1, 1)) + rng.normal(0, 5, (N, C, 1, 1)))

# %% [markdown]
# - As many groups as channels: GroupNorm is InstanceNorm.
# - One group: it is LayerNorm over (C, H, W). But only without γ and β: GroupNorm's are per channel, LayerNorm's
#   per entry.
# - For a table (N, D), LayerNorm is BatchNorm of the transposed table.


# %%
def apart(a, b):
    return np.abs(a.data - b.data).max()


table = tn.tensor(rng.normal(2, 3, (6, 5)))
same = {
    "GN(C) and IN": apart(F.group_norm(x, C), F.instance_norm(x)),
    "GN(1) and LN over (C, H, W)": apart(F.group_norm(x, 1), F.layer_norm(x, (C, H, W))),
    "LN(X) and BN(Xᵀ)ᵀ": apart(F.layer_norm(table, 5), F.batch_norm(table.T, training=True).T),
}
for names, gap in same.items():
    print(f"{names:<30} {gap:.1e}")

# %% [markdown]
# And where they do not: for tokens. A Transformer's LayerNorm takes each token by itself, the mean over
# its features only. GroupNorm with one group, given (N, features, tokens), takes the mean over the tokens as well: a
# different function, that lets tokens see each other, future ones too.

# %%
tokens = tn.tensor(rng.normal(0, 1, (2, 7, 8)) * rng.uniform(0.3, 3, (2, 7, 1)), requires_grad=True)  # (N, tokens, features)
per_token = F.layer_norm(tokens, 8)
as_group = F.group_norm(tokens.transpose(0, 2, 1), 1).transpose(0, 2, 1)
first = np.zeros(tokens.shape)
first[0, 0, 0] = 1
reach = {}
for name, y in {"LayerNorm per token": per_token, "GroupNorm(1)": as_group}.items():
    (dx,) = tn.grad(y, tokens, first)
    reach[name] = int((np.abs(dx.data[0]).max(-1) > 0).sum())
    print(f"{name:<20} one output of the first token depends on {reach[name]} of 7 tokens")
print(f"and the two are {apart(per_token, as_group):.2f} apart")

# %%
assert max(same.values()) < 1e-12, "the names meet"
assert reach == {"LayerNorm per token": 1, "GroupNorm(1)": 7}
assert apart(per_token, as_group) > 0.5, "one group over tokens is not the Transformer's LayerNorm"
print("ok: the same name is not the same function, nor another name another")
