"""Optimizers and schedules: PyTorch's names, argument order and defaults, and step for step its numbers.

optimizer = tn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
scheduler = tn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)
for x, t in tn.data.batches(images, labels, size=32, shuffle=True, seed=0):
    optimizer.zero_grad()
    F.cross_entropy(net(x), t).backward()
    optimizer.step()
"""

from . import lr_scheduler
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
