# %% [markdown]
# # 28 · More than one machine: the same record, spread
#
# NumPy ends where one core does. What was written with tn need not: `tn.to_jax` records a function once and plays the record with
# JAX, which compiles it and spreads it over devices. Here a processor plays eight of them.

# %%
import numpy as np

import tinygrad_norm as tn

try:
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
except ImportError:
    jax = None
    print("JAX is not here: what runs on devices is left out. Install it, pip install jax, and run this again.")
try:
    jax and jax.config.update("jax_num_cpu_devices", 8)
except RuntimeError:
    print("JAX runs already, with the devices it has. In a process of its own this lesson has eight.")

# %% [markdown]
# ## A network, written once
#
# Parameters, and the running statistics that BatchNorm moves, are arguments: what a function elsewhere is to change, it must be
# given, and give back. `functional_call` puts them in the network's place.

# %%
net = tn.train.cnn(norm="batch_norm", seed=0)


def objective(params, buffers, x, t):
    logits = tn.nn.functional_call(net, (params, buffers), x)
    return tn.functional.cross_entropy(logits, t), buffers  # by now the updated ones


def step(params, buffers, x, t):
    loss_and_gradient = jax.value_and_grad(tn.to_jax(objective), has_aux=True)
    (loss, buffers), gradient = loss_and_gradient(params, buffers, x, t)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), buffers, loss


# %% [markdown]
# ## One device, and eight
#
# Only where the arrays lie is different: parameters on every device, of the batch a part on each. The step is that of the whole
# batch; where a sum crosses devices, JAX adds it up. On a real mesh: `jax.distributed.initialize()`, all of `jax.devices()`, and
# each process hands in its part by `jax.make_array_from_process_local_data`. The network does not change.

# %%
images, labels = tn.data.digits("train", dtype="float32")
order = np.argsort(images[:64].sum((1, 2)))  # by brightness: no two devices get alike parts
batch = images[order], labels[order]


def train(devices, steps=15):
    mesh = Mesh(np.array(jax.devices()[:devices]), ("batch",))
    everywhere, spread = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("batch"))
    state = [jax.device_put({k: v.numpy() for k, v in of}, everywhere) for of in (net.named_parameters(), net.named_buffers())]
    x, t = jax.device_put(batch, spread)
    losses, compiled = [], jax.jit(step)
    for _ in range(steps):
        *state, loss = compiled(*state, x, t)
        losses.append(float(loss))
    return losses, state[1]


if jax:
    many = min(8, len(jax.devices()))
    (one, statistics), (spread, same) = train(1), train(many)
    print(f"loss on 1 device {one[0]:.6f} → {one[-1]:.6f}, on {many} {spread[0]:.6f} → {spread[-1]:.6f}")

# %% [markdown]
# ## Whose mean is it?
#
# Many a library normalizes by each device's own part of the batch, and calls the other thing SyncBatchNorm. Here there is one batch:
# its mean is the mean, and a part's is another. What have the parts to tell each other? A part counts once for each sample: its mean
# in the mean, and beside its own squared deviations also how far its mean lies from that of *all*, squared. On the way back two sums
# are enough, of dy and of dy·x̂.

# %%
first = tn.nn.functional_call(
    net[1], {k[2:]: v for k, v in net.named_parameters() if k.startswith("1.")}, (tn.tensor(batch[0][:, None]),)
)
whole = first.data.mean((0, 2, 3))
parts = np.array([p.mean((0, 2, 3)) for p in np.split(first.data, 8)])
at = np.abs(parts - whole).max(0).argmax()  # where they differ most
print("mean of one channel over the batch", f"{whole[at]:.3f}", "· over the eight parts", *(f"{p:.3f}" for p in parts[:, at]))
squares = sum(len(p) * (p.var((0, 2, 3)) + (m - whole) ** 2) for p, m in zip(np.split(first.data, 8), parts)) / len(first.data)
if jax:
    _, after_one_step = train(many, 1)
    running = np.asarray(after_one_step["2.running_mean"])

# %% [markdown]
# ## What does not leave
#
# A record holds one course of things, and none of the numbers it was recorded on. What depends on values otherwise is refused by name.


# %%
def branches(x):
    return x * 2 if x.sum() > 0 else x


try:
    jax and tn.to_jax(branches)(np.ones(3))
except tn.TinygradNormError as error:
    refused = str(error)
    print(refused)

# %%
assert np.abs(parts - whole).max() > 0.05, "a part's mean is another than the batch's"
assert np.allclose(squares, first.data.var((0, 2, 3)), rtol=1e-4), "the parts' own deviations, and those of their means"
if jax:
    assert np.allclose(one, spread, rtol=1e-3), "on as many devices as you like: the same losses, to rounding"
    assert all(np.allclose(statistics[k], same[k], rtol=1e-3, atol=1e-5) for k in statistics)
    assert np.allclose(running, 0.1 * whole, rtol=1e-4, atol=1e-6), "the statistics are the whole batch's"
    assert "tn.where" in refused
print("ok: one function, one device or many")
