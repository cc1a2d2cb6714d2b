"""A verdict that travels: an address whose fragment holds what was asked, the candidate's source, the norm, options and seed.

    try.html#v1.eNpVjk…        v1, then base64url of zlib of JSON

A fragment is sent to no server. Reading one runs nothing; who repeats what it holds runs somebody's code (``repeated.py``).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine import TinygradNormError, describe
from ..norms import Norm
from .carried import SourceError, source_of

BASE = "try.html"
"""The book's page that opens a link, where no address of a book is given."""
LONGEST = 8_000  # characters of a fragment: chats and mail programs cut longer addresses
_VERSION = "v1"
_MOST = 200_000  # characters of JSON, however small it was made
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FRAGMENT = re.compile(r"(?:^|#)(?P<version>v\d+)\.(?P<data>[^#]*)$")
_MOST_NUMBERS = 1_000_000  # of an input: a link is no way to fill somebody's memory


def _is_shape(v: Any) -> bool:
    return isinstance(v, tuple) and all(type(n) is int and n > 0 for n in v) and math.prod(v) <= _MOST_NUMBERS


def _is_words(v: Any) -> bool:
    return isinstance(v, dict) and all(isinstance(w, str) for w in v.values())


_HOW: dict[str, Callable[[Any], bool]] = {
    "shape": _is_shape,
    "dtype": lambda v: isinstance(v, str) or _is_words(v),
    "saved": _is_words,
    "order": lambda v: type(v) is int,
    "seed": lambda v: type(v) is int and v >= 0,
    "framework": lambda v: isinstance(v, str),
    "wrt": lambda v: isinstance(v, str) or (isinstance(v, tuple) and all(isinstance(w, str) for w in v)),
    "forward": lambda v: isinstance(v, str) and _NAME.fullmatch(v) is not None,
    "prove": lambda v: v is True,
}


class LinkError(TinygradNormError, ValueError):
    """A link that cannot be made, or that is damaged, too long, or of a version that is not known here."""


@dataclass(frozen=True)
class Carried:
    """What a link holds.

    source:   Python, as it was written; it is text here, and nothing has run it
    name:     the backward in it, ``f`` or ``Class.backward``; empty: the first that is found
    norm:     the registered norm it belongs to; empty: told by its name
    options:  the norm's
    how:      other arguments of ``tn.check``, those that are not the default: shape, dtype, saved, order, seed, …
    """

    source: str
    name: str = ""
    norm: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)

    def address(self, base: str | None = None) -> str:
        """As a link. base: the address of the page that opens it, such as "https://…/try.html".

        Raises ``LinkError`` for what no JSON holds and for more than a link can be.
        """
        plain = {n: v for n, v in vars(self).items() if v or n == "source"}
        try:
            text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise LinkError(f"link: the options {describe(dict(self.options))} do not travel: {error}.") from None
        data = base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"), 9)).decode().rstrip("=")
        if len(data) > LONGEST:
            raise LinkError(
                f"link: the candidate's source, {len(self.source)} characters, makes a link of {len(data)}, and {LONGEST} is the most: "
                "longer addresses are cut on their way. Send the file."
            )
        return f"{BASE if base is None else base.partition('#')[0]}#{_VERSION}.{data}"


def is_link(text: str) -> bool:
    """Whether it looks like a link, or a link's fragment; a file may be called so."""
    return _FRAGMENT.search(text) is not None


def read(link: str) -> Carried:
    """What a link, or its fragment, holds. Nothing is run. Raises ``LinkError`` for one that is none, damaged or of another version."""
    found = _FRAGMENT.search(link.strip())
    if found is None:
        raise LinkError(f"link: {describe(link[:60])} holds no check: its fragment begins with #{_VERSION}.")
    if found["version"] != _VERSION:
        raise LinkError(f"link: it is of version {found['version']}, {_VERSION} is known here: upgrade tinygrad_norm.")
    try:
        packed = base64.b64decode(found["data"] + "=" * (-len(found["data"]) % 4), altchars=b"-_", validate=True)
        opener = zlib.decompressobj()
        text = opener.decompress(packed, _MOST)
        if opener.unconsumed_tail:
            raise LinkError(f"link: it holds more than {_MOST} characters; none that this package makes does.")
        if not opener.eof:
            raise LinkError("link: its end is missing; copy all of it.")
        plain = json.loads(text.decode("utf-8", "surrogatepass"))
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        if isinstance(error, LinkError):
            raise
        raise LinkError(f"link: it is damaged: {error}. Copy all of it, from # to the end.") from None
    return _carried(plain)


def _carried(plain: Any) -> Carried:
    kinds = {"source": str, "name": str, "norm": str, "options": dict, "how": dict}
    if not isinstance(plain, dict) or not set(plain) <= set(kinds) or not isinstance(plain.get("source"), str):
        raise LinkError("link: what it holds is no check: a source, and perhaps name, norm, options and how.")
    for n, value in plain.items():
        if not isinstance(value, kinds[n]):
            raise LinkError(f"link: its {n} is {describe(value)}; expected {kinds[n].__name__}.")
    if plain.get("name") and not _NAME.fullmatch(plain["name"]):
        raise LinkError(f"link: {describe(plain['name'][:60])} is no name of a function.")
    options, how = ({n: _tuples(v) for n, v in plain.get(part, {}).items()} for part in ("options", "how"))
    for n, value in how.items():
        if n not in _HOW or not _HOW[n](value):
            raise LinkError(f"link: {describe(n)} = {describe(value)} is no argument of a check that travels.")
    if set(options) & {*_HOW, "norm", "candidate", "inputs", "grad_output", "limit", "device"}:
        raise LinkError(f"link: {', '.join(sorted(options))}: not all of these are options of a norm.")
    return Carried(**{**plain, "options": options, "how": how})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Asked:
    """A check as it was asked for, of which a link can be made."""

    candidate: Any
    norm: Any
    options: Mapping[str, Any]
    how: Mapping[str, Any]
    own: bool = False  # with arrays of the user's own

    def carried(self) -> Carried:
        """What goes into a link. Raises ``LinkError`` where the source cannot be had, and for what does not travel."""
        if self.norm is not None and not isinstance(self.norm, (str, Norm)):
            raise LinkError("link: a forward of your own does not travel with its inputs; a link is for a registered norm.")
        if self.own:
            raise LinkError("link: arrays of your own (inputs=, grad_output=) do not travel; ask with shape= instead.")
        how = {
            n: _plain(v)
            for n, v in self.how.items()
            if v is not None and v is not False and (n, v) not in (("seed", 0), ("order", 1))
        }
        try:
            name, source = source_of(self.candidate, *filter(None, [how.get("forward")]))
            how |= {"forward": how["forward"].__name__} if "forward" in how else {}
        except SourceError as error:
            raise LinkError(f"link: {error}") from None
        return Carried(
            source,
            name,
            self.norm.name if isinstance(self.norm, Norm) else self.norm or "",
            {n: _plain(v) for n, v in self.options.items()},
            how,
        )


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Mapping):
        return {str(n): _plain(v) for n, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    return value
