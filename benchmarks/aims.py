"""What the benchmarks should reach: a contender of ours is to need at most so many times what another needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .growth import WARM
from .kernel_cases import IMAGES
from .kernels import FIRST, GAIN, SHARED, TWO
from .layer_norm import SHAPES
from .peers import Row
from .training import NETWORKS


class Aim(NamedTuple):
    """``ours`` ÷ ``other`` at most ``most`` in this case of this benchmark; better still: ``moonshot``."""

    benchmark: str
    case: str
    ours: str
    other: str
    most: float
    moonshot: float = 0.0


def _sized(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


AIMS = [
    *(Aim("layer_norm", _sized(shape), "recorded", "PyTorch primitives", 0.7, 0.5) for shape in SHAPES),
    Aim("layer_norm", "8×64", "analytic", "PyTorch native", 0.8),
    Aim("layer_norm", "64×256", "analytic", "PyTorch native", 1.0),
    *(
        Aim("kernels", f"{name} {_sized(shape)}", "compiled", "PyTorch", most)
        for name in ("layer_norm", "rms_norm", "normalize")
        for shape, most in zip(SHAPES, (0.6, 0.6, 0.8, 1.0, 1.0))
    ),
    *(
        Aim("kernels", f"{name} {_sized(shape)}", "compiled", "PyTorch", 1.0)
        for name in ("softmax", "log_softmax", "batch_norm")
        for shape in SHAPES
    ),
    *(
        Aim("kernels", f"{name} {_sized(shape)}", "compiled", "PyTorch", 1.0)
        for name in ("batch_norm", "group_norm", "instance_norm")
        for shape in IMAGES
    ),
    *(
        Aim("kernels", f"{name} {_sized(shape)}", "compiled", "PyTorch", 0.4)
        for name in ("dynamic_tanh", "ada_norm", "power_norm_v", "batch_renorm", "scale_norm", "conditional_layer_norm")
        for shape in SHAPES
    ),
    *(
        Aim("kernels", f"{name} {_sized(shape)}", "compiled", "PyTorch", 0.4)
        for name in ("global_response_norm", "filter_response_norm")
        for shape in IMAGES
    ),
    *(Aim("kernels", TWO.format(case), "two threads", "one thread", 1.0) for case in SHARED),
    *(Aim("kernels", GAIN.format(case), "a plain stream", "compiled", 1.25) for case in SHARED),
    Aim("kernels", FIRST, "cached", "allowed", 1.0),
    Aim("functions", "conv2d (64, 16, 8, 8) → 32, 3×3, forward and backward", "ours", "PyTorch", 1.5),
    Aim("functions", "conv2d (8, 32, 32, 32) → 32, 3×3, forward and backward", "ours", "PyTorch", 1.5),
    Aim("functions", "erf, forward", "ours", "PyTorch", 4.0),
    Aim("functions", "gelu, forward", "ours", "PyTorch", 2.0),
    Aim("functions", "gelu, forward and backward", "ours", "PyTorch", 2.0),
    Aim("functions", "x**3, forward", "ours", "NumPy's x·x·x", 1.5),
    *(
        Aim("training", network.name, ours, "PyTorch", most)
        for network, most in zip(NETWORKS, (1.1, 1.5, 1.5, 1.5))
        for ours in ("ours", "ours, analytic", "ours, compiled")
    ),
    Aim("scaling", "stack of 4,000 pieces beside 1,000, backward", "four times as much", "as much", 5.0),
    Aim("scaling", "concatenate of 4,000 pieces beside 1,000, backward", "four times as much", "as much", 5.0),
    Aim("scaling", "512 slices x[:, t] beside 128, backward", "four times as much", "as much", 5.0),
    Aim("importing", "a whole process, wall time", "import tinygrad_norm", "import numpy", 1.3),
    Aim("importing", "a whole process, processor time", "import tinygrad_norm", "import numpy", 1.3),
    Aim("memory", "LayerNorm 8192×1024 from primitives, peak, forward and backward", "ours", "PyTorch", 1.0),
    Aim("memory", "a chain of eight tanh, 4096×1024, peak, forward and backward", "ours", "PyTorch", 1.0),
    *(
        Aim(
            "growth",
            f"a small MLP with LayerNorm, garbage collector {collector}, {what}",
            "at the end",
            f"after {WARM:,} steps",
            1.0,
        )
        for collector in ("on", "off")
        for what in ("allocated", "resident")
    ),
]

Tables = Mapping[str, Mapping[str, Iterable[Row]]]  # benchmark → allocator setting → its rows


def ratio(figures: Mapping[str, float], ours: str, other: str) -> float | None:
    """To two decimals, as printed and judged; None where one of them was not measured."""
    mine, its = figures.get(ours), figures.get(other)
    return None if mine is None or not its else round(mine / its, 2)


def found(aim: Aim, tables: Tables) -> dict[str, float]:
    """The ratio in each allocator setting."""
    pairs = {
        setting: ratio(row.figures, aim.ours, aim.other)
        for setting, rows in tables.get(aim.benchmark, {}).items()
        for row in rows
        if row.case == aim.case
    }
    return {setting: value for setting, value in pairs.items() if value is not None}


def word(aim: Aim, values: Iterable[float]) -> str:
    """Reached where it is reached in every setting."""
    worst = max(values, default=None)
    if worst is None:
        return "not measured"
    return "missed" if worst > aim.most else "moonshot" if worst <= aim.moonshot else "reached"


def told(aim: Aim) -> str:
    return f"{aim.benchmark}: {aim.case}: {aim.ours} ÷ {aim.other}"
