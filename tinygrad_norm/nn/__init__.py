"""Modules, and data for the lessons that train something."""

from .digits import digits
from .modules import LayerNorm, Module

__all__ = ["LayerNorm", "Module", "digits"]
