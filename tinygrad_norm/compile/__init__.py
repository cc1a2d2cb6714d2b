"""From the formula or the record to code that runs elsewhere.

A whole record leaves by ``jax`` and ``onnx``: ``recording`` runs a function so that all that depends on its arguments is on the
record (``following`` keeps hold of what it does with bare arrays), and it is played again under another table of meanings.
"""

from .following import RecordError
from .jax import MissingJaxError, to_jax
from .onnx import to_onnx
from .onnx_file import MissingOnnxError

__all__ = ["MissingJaxError", "MissingOnnxError", "RecordError", "to_jax", "to_onnx"]
