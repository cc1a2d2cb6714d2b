# %% [markdown]
# # 18 · A training loop from nothing
#
# Training is four lines, again and again: compute the loss, go backward, move every parameter a little against its
# gradient, forget the gradient. Optimizers, schedules, bars and files are comfort around these four.

# %%
import numpy as np

import tinygrad_norm as tn

F, nn = tn.functional, tn.nn
images, labels = tn.data.digits("train", shuffle=0, dtype="float32")
held_out, their_labels = tn.data.digits("test", shuffle=0, dtype="float32")


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32, seed=0), nn.ReLU(), nn.Linear(32, 10, seed=1))


def accuracy(net):
    with tn.no_grad():
        return (net(tn.tensor(held_out)).data.argmax(-1) == their_labels).mean()


# %% [markdown]
# ## The four lines
#
# Who knows nothing gives each of ten digits the share 1/10, and has the loss log 10 = 2.303. So does a network at its start. Once
# through all samples is an *epoch*.

# %%
net, losses = network(), []
for _ in range(5):
    for x, t in tn.data.batches(images, labels, size=32, shuffle=True, seed=0):
        loss = F.cross_entropy(net(tn.tensor(x)), t)
        loss.backward()
        for p in net.parameters():
            p.data = p.data - 0.1 * p.grad.data
            p.grad = None
        losses.append(loss.item())
print(
    f"loss {losses[0]:.3f} at first (log 10 = {np.log(10):.3f}), {np.mean(losses[-47:]):.3f} in the last epoch; test {accuracy(net):.1%}"
)

# %% [markdown]
# ## The same with names
#
# `tn.optim.SGD` does the inner loop, and `tn.train.fit` the outer; the numbers are the same ones, to the last bit, if the
# order of the samples is.

# %%
again, order = network(), tn.data.batches(images, labels, size=32, shuffle=True, seed=0)
optimizer = tn.optim.SGD(again.parameters(), lr=0.1)
named = []
for _ in range(5):
    order.load_state_dict({"epoch": 0, "batch": 0})  # as above, where every epoch makes its batches anew
    for x, t in order:
        optimizer.zero_grad()
        loss = F.cross_entropy(again(tn.tensor(x)), t)
        loss.backward()
        optimizer.step()
        named.append(loss.item())
print("by the optimizer: the largest difference of a loss is", max(abs(a - b) for a, b in zip(losses, named)))

fitted = network()
run = tn.train.fit(fitted, (images, labels), lr=0.1, epochs=5, batch=32, test=(held_out, their_labels), progress=False)
print(run)

# %% [markdown]
# ## What goes wrong without the fourth line
#
# Gradients add up in `.grad`. Forget to forget them, and each step goes along the sum of all steps before.

# %%
heap, sums = network(), []
for x, t in tn.data.batches(images, labels, size=32, shuffle=True, seed=0):
    F.cross_entropy(heap(tn.tensor(x)), t).backward()
    sums.append(float(np.linalg.norm(heap[3].weight.grad.data)))
    for p in heap.parameters():
        p.data = p.data - 0.1 * p.grad.data
print(f"‖gradient‖ of the last layer when never forgotten: {sums[0]:.2f} at step 1, {sums[-1]:.2f} at step {len(sums)}")

# %%
assert abs(losses[0] - np.log(10)) < 0.2, "it starts by knowing nothing"
assert accuracy(net) > 0.9
assert np.allclose(losses, named, rtol=1e-4), "the optimizer does what the loop does"
assert run.running > 0.9
assert sums[-1] > 3 * sums[0], "what is not forgotten adds up"
print("ok: loss, backward, step, forget")
