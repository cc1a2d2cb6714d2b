"""Networks that train: ready-made ones, the loop with a bar, and a look inside.

net = tn.train.cnn(norm="batch_norm")
print(tn.train.fit(net, tn.data.digits("train", dtype="float32"), test=tn.data.digits("test", dtype="float32")))
"""

from .curves import curves, picture
from .divergence import Divergence
from .fitting import fit
from .history import History, overview
from .measuring import gradient_norms, score
from .networks import cnn, graph, gru, lstm, mlp, rnn, series, transformer
from .tasks import TASKS, Task, task
from .watching import Reading, Watch, watch

__all__ = [
    "TASKS",
    "Divergence",
    "History",
    "Reading",
    "Task",
    "Watch",
    "cnn",
    "curves",
    "fit",
    "gradient_norms",
    "graph",
    "gru",
    "lstm",
    "mlp",
    "overview",
    "picture",
    "rnn",
    "score",
    "series",
    "task",
    "transformer",
    "watch",
]
