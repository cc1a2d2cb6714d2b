"""One benchmark in a process of its own: what it found as lines of JSON, first of all the machine."""

from __future__ import annotations

import importlib
import json
import sys

from .machine import described
from .peers import Options

if __name__ == "__main__":
    name, seconds, steps, only = sys.argv[1:]
    print(json.dumps(described()), flush=True)
    for row in importlib.import_module(f"benchmarks.{name}").rows(Options(float(seconds), int(steps), only)):
        print(json.dumps(row), flush=True)
