"""``tinygrad_norm.functional`` where PyTorch has it."""

from ..functional import *  # noqa: F403
from ..functional import __all__ as __all__
