"""From the formula or the record to code that runs elsewhere.

One norm, fused, in Numba, C, Triton, PyTorch, JAX or NumPy: ``program`` lists what derivations come to; ``schedule`` says in which
order it goes over arrays; ``loops`` writes that in languages of loops (``numba_writer``, ``c_writer``), ``whole`` in languages of
arrays; ``runners`` run it, ``fused`` is what users hold.

A whole record leaves by ``jax`` and ``onnx``: ``recording`` runs a function so that all that depends on its arguments is on the
record (``following`` keeps hold of what it does with bare arrays), and it is played again under another table of meanings.
"""

from ..norms.arguments import lend_compiler
from .asking import kernel
from .errors import KernelError, KernelWarning
from .following import RecordError
from .fused import Kernel
from .jax import MissingJaxError, to_jax
from .onnx import to_onnx
from .onnx_file import MissingOnnxError
from .twins import twin

lend_compiler(twin)

__all__ = [
    "Kernel",
    "KernelError",
    "KernelWarning",
    "MissingJaxError",
    "MissingOnnxError",
    "RecordError",
    "kernel",
    "to_jax",
    "to_onnx",
]
