"""``python -m tinygrad_norm`` is the command ``tinygrad-norm``."""

import sys

from .cli import main

sys.exit(main())
