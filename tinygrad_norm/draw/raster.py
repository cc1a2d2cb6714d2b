"""The built-in picture as PNG or PDF, with all that stands on it, where the package cairosvg is installed."""

from __future__ import annotations

GET = "pip install cairosvg"


def can_rasterize() -> bool:
    """Whether there is something to do it with."""
    try:
        import cairosvg  # noqa: F401
    except (ImportError, OSError):  # the package, or the library that it opens
        return False
    return True


def rasterize(picture: str, suffix: str) -> bytes:
    """SVG text as "png", two dots to a pixel, or "pdf"."""
    import cairosvg

    text = picture.encode()
    made = cairosvg.svg2png(bytestring=text, scale=2.0) if suffix == "png" else cairosvg.svg2pdf(bytestring=text)
    return bytes(made)
