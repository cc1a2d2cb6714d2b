"""The command line: parses, calls the other rooms, prints."""

from .main import main

__all__ = ["main"]
