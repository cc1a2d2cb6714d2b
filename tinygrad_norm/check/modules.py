"""What a module of PyTorch's says of itself: which norm it is, by which options, for which shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_NORMS = {
    "LayerNorm": "layer_norm",
    "RMSNorm": "rms_norm",
    "GroupNorm": "group_norm",
    "LocalResponseNorm": "local_response_norm",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "CrossEntropyLoss": "cross_entropy",
    "CosineSimilarity": "cosine_similarity",
    **{f"{kind}{n}d": "batch_norm" for kind in ("BatchNorm", "LazyBatchNorm") for n in (1, 2, 3)},
    **{f"InstanceNorm{n}d": "instance_norm" for n in (1, 2, 3)},
    "SyncBatchNorm": "batch_norm",
}
_OPTIONS = ("eps", "num_groups", "size", "alpha", "beta", "k", "dim", "reduction", "label_smoothing", "ignore_index")
_ROOM = {"1d": (), "2d": (3, 5), "3d": (2, 3, 2)}


@dataclass(frozen=True)
class Told:
    """What a module is: the norm, its own options, the shape of an input, and the parameters it has not."""

    norm: str
    options: Mapping[str, Any]
    shape: tuple[int, ...] | None
    without: tuple[str, ...]


def told_by(obj: Any) -> Told | None:
    """None for what is no module of ``torch.nn``."""
    module = getattr(obj, "_orig_mod", obj)  # a compiled one
    kind = type(module)
    if not kind.__module__.startswith("torch.nn.") or kind.__name__ not in _NORMS:
        return None
    norm = _NORMS[kind.__name__]
    options = {n: getattr(module, n) for n in _OPTIONS if hasattr(module, n) and not callable(getattr(module, n))}
    options = {n: v for n, v in options.items() if isinstance(v, (int, float, str))}
    if norm in ("layer_norm", "rms_norm") and getattr(module, "eps", 0.0) is None:
        options["eps"] = float(np.finfo(np.float64).eps)  # the dtype's, and that is what it is asked in
    if norm == "batch_norm":
        options["training"] = bool(module.training or module.running_mean is None)
    if norm == "instance_norm":
        options["use_input_stats"] = bool(module.training or not module.track_running_stats)
    shape = None
    if hasattr(module, "normalized_shape"):
        shape = (4, *module.normalized_shape)
    elif hasattr(module, "num_groups"):
        shape = (3, module.num_channels, 3)
    elif isinstance(getattr(module, "num_features", None), int) and module.num_features:
        room = _ROOM.get(kind.__name__[-2:], ())
        shape = (4, module.num_features, *(room or (() if norm == "batch_norm" else (5,))))
    learned = ("weight", "bias") if norm not in ("softmax", "log_softmax", "cross_entropy") else ()
    return Told(norm, options, shape, tuple(n for n in learned if getattr(module, n, None) is None))
