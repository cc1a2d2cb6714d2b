"""The format safetensors, which PyTorch's users exchange weights in: a length, a table of contents in JSON, the raw numbers.

    8 bytes         n, unsigned, the lowest byte first
    n bytes         {"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …, "__metadata__": {"format": "pt"}}
    the rest        the numbers, row by row, the lowest byte first; the offsets count from here, and leave no gaps

Nothing in it is run. Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .arrays import Array
from .errors import DTypeError, describe

_WORDS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
    "C64": "<c8",
}
_DTYPES = {np.dtype(code).newbyteorder("=").str: word for word, code in _WORDS.items()}
_METADATA = "__metadata__"
_LONGEST = 100_000_000  # of a header, as the format says


class Malformed(ValueError):
    """What is wrong with bytes that should be in this format."""


def encoded(arrays: Mapping[str, Array]) -> bytes:
    """Arrays by name as the bytes of a file. ``DTypeError`` for a name or a dtype that the format does not have."""
    for name, a in arrays.items():
        if not isinstance(name, str) or name == _METADATA:
            raise DTypeError(
                f"save: {describe(name)} cannot be a name in a .safetensors file; names are text, and not {_METADATA!r}."
            )
        if a.dtype.newbyteorder("=").str not in _DTYPES:
            raise DTypeError(f"save: {name!r} is {describe(a)}; a .safetensors file has no such dtype. Cast it, or save as .npz.")
    header: dict[str, Any] = {_METADATA: {"format": "pt"}, **dict.fromkeys(arrays)}
    pieces, end = [], 0
    for name in sorted(arrays, key=lambda k: -arrays[k].itemsize):  # wide ones first: each begins at a multiple of its width
        a = arrays[name]
        word = _DTYPES[a.dtype.newbyteorder("=").str]
        piece = np.asarray(a, _WORDS[word], order="C").tobytes()
        header[name] = {"dtype": word, "shape": list(a.shape), "data_offsets": [end, end + len(piece)]}
        pieces.append(piece)
        end += len(piece)
    import json

    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *pieces])


def looks_like_it(start: bytes) -> bool:
    """Whether a file that begins with these nine bytes may be meant to be in this format."""
    return len(start) == 9 and start[8:] == b"{"


def decoded(content: bytes) -> dict[str, Array]:
    """The arrays of a file, by name, in the header's order. bfloat16, which NumPy has not, becomes float32, exactly.

    Raises ``Malformed``: for a header that is cut off or no such table, for a dtype or a shape that does not fit its offsets, for
    offsets that overlap, leave a gap or lead out of the file, and for a file that is longer or shorter than they say.
    """
    import json

    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(len(content) - 8, _LONGEST):
        raise Malformed(
            f"its header should have {size} bytes, and {max(len(content) - 8, 0)} follow: it is cut off, or no such file"
        )
    try:
        header = json.loads(content[8 : 8 + size].decode(), object_pairs_hook=_once)
    except Malformed:
        raise
    except (ValueError, RecursionError):
        raise Malformed("its header is no JSON") from None
    if not isinstance(header, dict):
        raise Malformed("its header is no table")
    header.pop(_METADATA, None)
    data = memoryview(content)[8 + size :]
    entries = {name: _entry(name, entry) for name, entry in header.items()}
    reached = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != reached:
            raise Malformed(
                f"{name!r} begins at {begin}, where {reached} is due: the offsets {'overlap' if begin < reached else 'leave a gap'}"
            )
        reached = end
    if reached != len(data):
        raise Malformed(
            f"its tensors take {reached} bytes, and there are {len(data)}: it is {'cut off' if reached > len(data) else 'too long'}"
        )
    return {name: _array(word, shape, data[begin:end]) for name, (word, shape, begin, end) in entries.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Malformed(f"{next(n for n in names if names.count(n) > 1)!r} stands in its header twice")
    return found


def _entry(name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """dtype, shape, begin and end of a tensor, that fit each other."""
    try:
        word, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in [*shape, begin, end])
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole:
        raise Malformed(f"{name!r} has not a dtype, a shape and two offsets")
    if not isinstance(word, str) or word not in (*_WORDS, "BF16"):
        raise Malformed(f"{name!r} is of dtype {describe(word)}, which is not read; {', '.join(_WORDS)} and BF16 are")
    width = 2 if word == "BF16" else np.dtype(_WORDS[word]).itemsize
    if end - begin != width * math.prod(shape):
        raise Malformed(
            f"{name!r}, {word} of shape {tuple(shape)}, has {width * math.prod(shape)} bytes, its offsets say {end - begin}"
        )
    return word, tuple(shape), begin, end


def _array(word: str, shape: tuple[int, ...], data: memoryview) -> Array:
    if word == "BF16":  # the upper half of a float32
        upper: Array = np.frombuffer(data, "<u2").astype(np.uint32)
        return (upper << 16).view(np.float32).reshape(shape)
    values: Array = np.frombuffer(data, _WORDS[word]).reshape(shape)
    return values.astype(values.dtype.newbyteorder("="))
