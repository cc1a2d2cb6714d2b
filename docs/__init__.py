"""The book: its pages are made from lessons, claims, norms, docstrings and pictures. ``python -m docs`` builds it."""
