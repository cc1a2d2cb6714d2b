"""From the tape to the closed form. The only room that knows SymPy, and it imports it when asked for a formula.

How a derivation flows through the room: ``recording`` runs the forward (``drawing`` has its numbers) at sizes that can be told
apart, and makes a ``record``; ``questions`` hears what it asks, of sizes that ``following`` follows; ``axes`` names the axes; ``letters`` reads the record in ``symbols``, and ``finding`` gives letters to what nobody named (x̂, rstd, a softmax);
``conditions`` are factors such as [x > 0]. ``deriving`` reads the engine's own backward pass over these symbols and has it
rewritten: by ``rules`` into one line, or in ``stages``, a line for each cotangent. ``plain`` makes trees of the result
(``tree``, ``formula``), which every hand writes (``writer``, ``source``, ``pages``). ``equality`` compares in numbers, at
``extremes`` too, and by the normal forms (``normal``, ``functions``) of a ``proof``, which says each ``assumption``. An ``exercise`` asks for a line: it is read (``reading``), put on the ``blackboard`` with its letters' meanings and
numbers, judged by the equality (``recorded``), and ``mistakes`` says by which term it is wrong.
"""

from ..graph.routes import lend_closed_form
from .asking import derive
from .closed_form import closed_form
from .errors import DerivationError, NotSymbolicError, ReadingError

lend_closed_form(closed_form)

__all__ = ["DerivationError", "NotSymbolicError", "ReadingError", "closed_form", "derive"]
