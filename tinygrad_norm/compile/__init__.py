"""From the formula to code that runs elsewhere: one norm, fused, in Numba, C, Triton, PyTorch, JAX or NumPy.

``program`` lists what derivations come to; ``schedule`` says in which order it goes over arrays; ``loops`` writes that in
languages of loops (``numba_writer``, ``c_writer``), ``whole`` in languages of arrays; ``runners`` run it, ``kernel`` is what users hold.
"""

from ..norms.arguments import lend_compiler
from .asking import kernel
from .errors import KernelError, KernelWarning
from .kernel import Kernel
from .twins import twin

lend_compiler(twin)

__all__ = ["Kernel", "KernelError", "KernelWarning", "kernel"]
