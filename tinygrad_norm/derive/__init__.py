"""From the tape to the closed form. The only room that knows SymPy, and it imports it when asked for a formula."""

from ..graph.routes import lend_closed_form
from .asking import derive
from .closed_form import closed_form
from .errors import DerivationError, NotSymbolicError

lend_closed_form(closed_form)

__all__ = ["DerivationError", "NotSymbolicError", "closed_form", "derive"]
