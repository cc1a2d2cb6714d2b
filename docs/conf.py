"""Sphinx's settings. They stand beside the sources, which ``python -m docs`` writes."""

from __future__ import annotations

from typing import Any

from docs.prose import rst
from tinygrad_norm import __version__ as release

project = "tinygrad_norm"
author = "The tinygrad_norm authors"
copyright = author
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["extra", "doctrees", "jupyter"]

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_extra_path = ["extra"]
html_show_search_summary = False  # it would ask for pages, which no file URL may
html_copy_source = False
html_show_sourcelink = False
pygments_style = "xcode"
pygments_dark_style = "github-dark"

myst_enable_extensions = ["deflist", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_type_aliases = {name: name for name in ("ArrayLike", "DTypeLike", "Array", "Figures", "Answers")}
python_use_unqualified_type_names = True
maximum_signature_line_length = 72
add_module_names = False


def setup(app: Any) -> None:
    """The house's docstrings are no reStructuredText."""
    app.connect("autodoc-process-docstring", _as_rst)


def _as_rst(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    lines[:] = rst("\n".join(lines)).splitlines()
