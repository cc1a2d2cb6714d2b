"""Within which a dtype holds a number and its cube: as ``norms/ranges.py`` has it."""

import numpy as np

ENDS = {name: (float(np.finfo(name).tiny) ** 0.9, float(np.finfo(name).max) ** 0.9) for name in ("float32", "float64")}
