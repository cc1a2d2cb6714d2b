"""``python -m benchmarks layer_norm [--seconds 4]``, ``norms``: us beside the peers. ``engine``: us beside NumPy.

``pictures``: what drawing costs.
"""

import sys

from . import engine, layer_norm, norms, pictures

BENCHMARKS = {"layer_norm": layer_norm.main, "norms": norms.main, "engine": engine.main, "pictures": pictures.main}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        sys.exit(f"usage: python -m benchmarks {{{','.join(BENCHMARKS)}}} [--seconds 4]")
    sys.exit(BENCHMARKS[sys.argv[1]](sys.argv[2:]))
