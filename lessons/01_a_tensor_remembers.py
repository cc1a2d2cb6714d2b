# %% [markdown]
# # 1 · A tensor remembers where it came from
#
# An array is a table of numbers. A *tensor* is an array that also remembers which operation made it,
# and from which inputs. That memory, the *record*, is all that automatic differentiation needs.

# %%
import numpy as np

import tinygrad_norm as tn

a = tn.tensor([1.0, 2.0, 3.0], requires_grad=True, name="a")
b = tn.tensor([4.0, 5.0, 6.0], requires_grad=True, name="b")
p = (a * b).named("p")
y = p.sum()

# %% [markdown]
# Three facts are on each tensor: the operation, its inputs, and when it was born. One that no operation made is a *leaf*.

# %%
for t in tn.graph(y).tensors:
    came_from = "a leaf" if t.op is None else f"{t.op.name} of {', '.join(x.name or '?' for x in t.inputs)}"
    print(f"born {t.birth}: {t.name or 'unnamed'} {t.shape}: {came_from}")

print(tn.graph(y))

# %% [markdown]
# To go backward, each operation needs one rule per input, its *pullback*: given the gradient `g` of its output,
# what is the gradient of that input? (`g` comes from behind; its name in the field is
# *cotangent*, and `dy` in code.) For `a·b` the rules are `g·b` and `g·a`. Here is that line of the
# table, read over plain NumPy arrays:

# %%
mul = p.op
g = np.ones(3)
for position, leaf in enumerate((a, b)):
    print(f"share of {leaf.name}:", mul.pullbacks[position](g, p.data, a.data, b.data))

# %% [markdown]
# `backward()` does this for every operation, from the youngest tensor to the oldest.

# %%
y.backward()
print("dy/da =", a.grad)
print("dy/db =", b.grad)

# %% [markdown]
# The check. y = Σ a·b, so dy/da must be b, and dy/db must be a. Try it: change `a * b` above to
# `a * a` and see this line fail.

# %%
assert np.array_equal(a.grad.data, b.data), "dy/da should be b"
assert np.array_equal(b.grad.data, a.data), "dy/db should be a"
print("ok: the record is enough to differentiate")
