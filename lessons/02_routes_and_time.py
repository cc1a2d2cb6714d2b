# %% [markdown]
# # 2 · Gradients sum over routes, and time is a topological order
#
# If x reaches y by several routes, dy/dx is the *sum over the routes* of the product of the local
# derivatives along each. That is the whole chain rule. The trouble: routes multiply.

# %%
import tinygrad_norm as tn

x = tn.tensor(3.0, requires_grad=True, name="x")
y = (x * x).named("square") + x

routes = tn.graph(y).routes(x)
print(routes)

# %% [markdown]
# Three routes: two through `x * x` (one for each time x is used there) and one straight through.
# Their shares are 3, 3 and 1, so dy/dx = 2x + 1 = 7.
#
# ## Why nobody walks the routes
#
# A ladder in which every rung adds the last one to itself doubles the number of routes each time.

# %%
rung = tn.tensor(1.0, requires_grad=True, name="bottom")
bottom = rung
for _ in range(1000):
    rung = rung * 0.5 + rung * 0.5

count = tn.graph(rung).count_routes(bottom)
print(f"{len(tn.graph(rung).nodes)} tensors, {len(str(count))}-digit number of routes")

# %% [markdown]
# The backward pass handles each tensor *once*: when all that is younger has handed its share down, the
# tensor's gradient is complete, and it can hand it on. It needs an order in which every tensor comes
# after everything that used it. The record has one for free: inputs are always born before outputs,
# so **from youngest to oldest** is such an order. No search, no recursion.

# %%
rung.backward()
print("d(top)/d(bottom) =", bottom.grad)

# %% [markdown]
# What goes wrong in another order? Say `b = a + a; c = b·b; d = c + b`. b gets two shares, d's and c's. Handing on b's gradient
# before both have arrived loses one of them. Here is the whole backward pass, for any order:

# %%
a = tn.tensor(1.0, requires_grad=True, name="a")
b = a + a
c = b * b
d = c + b


def derivative(order):
    """dd/da, each tensor handing on what has arrived at it when its turn comes."""
    arrived = {d: 1.0}
    for t in order:
        for pull, source in zip(t.op.pullbacks, t.inputs):
            arrived[source] = arrived.get(source, 0.0) + pull(arrived[t], t.data, *(s.data for s in t.inputs))
    return arrived[a]


youngest_first, another = derivative([d, c, b]), derivative([d, b, c])
print("dd/da, from youngest to oldest:", youngest_first, "  b before c:", another)
births = [t.birth for t in tn.graph(d).tensors]
(da,) = tn.grad(d, a)

# %%
assert sum(r.share.item() for r in routes) == 7.0, "the routes must add up to 2x + 1"
assert count == 2**1000, "every rung doubles the routes"
assert bottom.grad.item() == 1.0
assert births == sorted(births), "birth order is a topological order"
assert da.item() == youngest_first == 10.0, "d = 4a² + 2a"
assert another == 2.0, "in another order c's share comes too late"
print("ok: many routes, one visit each")
