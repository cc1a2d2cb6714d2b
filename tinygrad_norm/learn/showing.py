"""A claim's file run as a script, or cell by cell: few seeds, and the page."""

from __future__ import annotations

from .claim import Claim
from .pages import page
from .running import run


def show(claim: Claim) -> None:
    """Run with few seeds, and print all of it."""
    print(page(claim, run("this claim", claim, quick=True)))
