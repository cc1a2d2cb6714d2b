"""Data small enough to ship or to make on the spot, as NumPy arrays, and batches of it.

Made data come from a seed: the same seed, the same numbers, on any machine with the same NumPy.
"""

from .arguments import DataError
from .batching import Batches, batches
from .digits import digit_pixels, digit_rows, digits
from .karate import karate_club
from .sequences import adding, copying, reversing
from .series import seasonal, windows

__all__ = [
    "Batches",
    "DataError",
    "adding",
    "batches",
    "copying",
    "digit_pixels",
    "digit_rows",
    "digits",
    "karate_club",
    "reversing",
    "seasonal",
    "windows",
]
