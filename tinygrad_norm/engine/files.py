"""Tensors in files: NumPy's .npz and .safetensors, without pickle, written whole or not at all."""

from __future__ import annotations

import os
from collections import OrderedDict
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DTypeError, TinygradNormError, describe
from .safetensors import Malformed, decoded, encoded, looks_like_it
from .tensor import Tensor

if TYPE_CHECKING:
    from pathlib import Path

_FORM = "__form__"  # how the arrays belong together, as JSON


class FileError(TinygradNormError, OSError):
    """A file that cannot be read or written, or that is not what it should be."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file; an old one of that name stays until the new one is whole. Raises ``OSError``, and then leaves nothing."""
    import tempfile  # takes as long as a third of NumPy

    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}.")
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _place(name: str, path: Any) -> Path:
    from pathlib import Path  # here, as what only files need is not for every start to pay

    try:
        return Path(path)
    except TypeError:
        raise DTypeError(f"{name}: path={describe(path)}; it is text, or a pathlib.Path.") from None


def save(obj: Any, path: str | os.PathLike[str]) -> Path:
    """Write tensors to a file that ``load`` reads, and NumPy, too: .npz, uncompressed, nothing pickled.

    obj:   a tensor, an array, a number, text, None, or lists, tuples and dicts (with text or whole numbers as keys) of such: a
           ``state_dict``, a checkpoint with its step and its optimizer's state
    path:  as given; no suffix is added. With the suffix .safetensors it is written in that format, which PyTorch's users exchange
           weights in; obj is then one dict of tensors and arrays by name, such as a ``state_dict``

    A tensor is saved as its values, with its name and whether it requires a gradient; its history is not. The file is written
    beside its place and then moved there. Returns the path. Raises ``DTypeError`` for what cannot be saved, saying where it
    stands, ``FileError`` where the system refuses.
    """
    place = _place("save", path)
    content = encoded(_by_name(obj)) if place.suffix == ".safetensors" else _as_npz(obj)
    try:
        write_whole(place, content)
    except OSError as error:
        raise FileError(f"save: {place}: {error.strerror or error}. Is its folder there, and may it be written to?") from None
    return place


def _by_name(obj: Any) -> dict[str, Any]:
    """The arrays of a flat dict."""
    if not isinstance(obj, dict):
        raise DTypeError(f"save: a .safetensors file holds a dict of tensors by name, not {describe(obj)}. Save it as .npz.")
    for name, value in obj.items():
        if not isinstance(value, (Tensor, np.ndarray, np.generic)):
            raise DTypeError(
                f"save: {describe(name)} is {describe(value)}; a .safetensors file holds tensors only. Save it as .npz."
            )
    return {name: value._data if isinstance(value, Tensor) else np.asarray(value) for name, value in obj.items()}


def _as_npz(obj: Any) -> bytes:
    arrays: dict[str, Any] = {}
    form = _taken_apart(obj, arrays, "")
    whole = BytesIO()
    import json

    arrays[_FORM] = np.array(json.dumps(form))
    np.savez(whole, **arrays)
    return whole.getvalue()


def _taken_apart(value: Any, arrays: dict[str, Any], where: str) -> Any:
    """A value as JSON, its arrays by number."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return ["plain", value]
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        data = value._data if isinstance(value, Tensor) else np.asarray(value)
        if data.dtype.kind not in "fiubc":
            raise DTypeError(f"save: {where or 'the object'} is an array of dtype {data.dtype}; only numbers are saved.")
        key = str(len(arrays))
        arrays[key] = data
        return ["tensor", key, value.requires_grad, value.name] if isinstance(value, Tensor) else ["array", key]
    if isinstance(value, dict):
        for k in value:
            if not isinstance(k, str) and type(k) is not int:  # an optimizer counts its parameters
                raise DTypeError(f"save: {where or 'the dict'} has the key {describe(k)}; keys are text or whole numbers.")
        kind = "ordered" if isinstance(value, OrderedDict) else "dict"
        return [kind, [[k, _taken_apart(v, arrays, f"{where}[{k!r}]")] for k, v in value.items()]]
    if isinstance(value, (list, tuple)):
        return [
            "tuple" if isinstance(value, tuple) else "list",
            [_taken_apart(v, arrays, f"{where}[{i}]") for i, v in enumerate(value)],
        ]
    raise DTypeError(
        f"save: {where or 'the object'} is {describe(value)}; saved are tensors, arrays, numbers, text, None, lists and dicts. Of a module "
        "save its state_dict()."
    )


def load(path: str | os.PathLike[str]) -> Any:
    """What ``save`` wrote; of any other .npz or .safetensors file a dict of arrays, of a .npy file the array.

    Nothing is unpickled, so a file from elsewhere can do no harm. Raises ``FileError`` for a file that is not there, or none of
    these.
    """
    import json

    place = _place("load", path)
    try:
        with place.open("rb") as file:  # NumPy leaves its own open where it fails
            if looks_like_it(file.read(9)) or place.suffix == ".safetensors":
                file.seek(0)
                return decoded(file.read())
            file.seek(0)
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found
            if _FORM not in found.files:
                return {name: found[name] for name in found.files}
            return _put_together(json.loads(str(found[_FORM])), found)
    except FileNotFoundError:
        raise FileError(f"load: there is no file {place}. Is its folder the right one?") from None
    except IsADirectoryError:
        raise FileError(f"load: {place} is a folder; name the file in it.") from None
    except Malformed as error:
        raise FileError(f"load: {place} is no whole .safetensors file: {error}.") from None
    except Exception:  # broken archives fail in many ways, and NumPy's advice on them would be to unpickle
        raise FileError(
            f"load: {place} cannot be read: it is neither a file that tn.save wrote nor plain .npz or .npy. (Files with pickled objects "
            "are not opened.)"
        ) from None


def _put_together(form: Any, arrays: Any) -> Any:
    kind, *rest = form
    if kind == "plain":
        return rest[0]
    if kind == "array":
        return arrays[rest[0]]
    if kind == "tensor":
        key, requires_grad, name = rest
        return Tensor(np.array(arrays[key]), bool(requires_grad), name)
    if kind in ("dict", "ordered"):
        pairs = [(k, _put_together(v, arrays)) for k, v in rest[0]]
        return OrderedDict(pairs) if kind == "ordered" else dict(pairs)
    values = [_put_together(v, arrays) for v in rest[0]]
    return tuple(values) if kind == "tuple" else values
