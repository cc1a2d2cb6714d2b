"""The source of a function and of all it needs, in one piece that runs on its own."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

_PLAIN = (int, float, complex, str, bytes, bool, type(None))
_FUTURE = "from __future__ import annotations"


class SourceError(ValueError):
    """There is no source, or it would not run elsewhere."""


def source_of(function: Any, *others: Any) -> tuple[str, str]:
    """(what the function is called, Python text that defines it, the others and what they use: imports, functions, classes, numbers).

    Raises ``SourceError`` for what was not written in a file or a notebook's cell, for a lambda, and for what uses values that are
    no text.
    """
    made = _Gathered()
    name, *_ = [made.take(f) for f in (function, *others)]
    text = made.text()
    try:
        compile(text, "candidate.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise SourceError(f"the source of {name} does not stand on its own: {error}.") from None
    return name, text


class _Gathered:
    """Imports and numbers first, then definitions, each after those that it uses."""

    def __init__(self) -> None:
        self.head: dict[str, None] = {}
        self.body: dict[int, str] = {}
        self.known: dict[str, Any] = {}

    def text(self) -> str:
        nodes = [n for t in self.body.values() for n in ast.walk(ast.parse(t))]
        annotated = any(getattr(n, "annotation", None) or getattr(n, "returns", None) for n in nodes)
        future = [_FUTURE] if annotated else []
        return "\n\n\n".join(p for p in ("\n".join([*future, *self.head]), *self.body.values()) if p) + "\n"

    def take(self, value: Any) -> str:
        """Add a function or a class; what it is called."""
        method = ""
        if isinstance(value, MethodType):
            if not isinstance(value.__self__, type):
                raise SourceError(f"{value.__qualname__} is bound to an object, which is no text. Make it a function.")
            value = value.__func__
        if isinstance(value, FunctionType):
            value = inspect.unwrap(value)
            owner, _, last = value.__qualname__.rpartition(".")
            if owner and not owner.endswith("<locals>"):
                holder = value.__globals__.get(owner)
                if not isinstance(holder, type):
                    raise SourceError(f"{value.__qualname__} stands in a class that is not at hand. Make it a function.")
                value, method = holder, f".{last}"
        if not isinstance(value, (FunctionType, type)):
            raise SourceError(f"{type(value).__name__} was not written with def or class, so there is no source of it.")
        self._define(value)
        return f"{value.__name__}{method}"

    def _define(self, value: Any, name: str = "") -> None:
        if id(value) in self.body:
            return
        text = _text(value, name)
        self.body[id(value)] = ""  # under way: functions may call each other
        self.known.setdefault(value.__name__, value)
        around = _around(value)
        for name in sorted(_free(text)):
            if name in around and getattr(builtins, name, None) is not around[name]:
                self._name(name, around[name], value.__qualname__)
        del self.body[id(value)]
        self.body[id(value)] = text

    def _name(self, name: str, value: Any, user: str) -> None:
        if self.known.setdefault(name, value) is not value:
            raise SourceError(f"{name} is one thing here and another there, and a link has one file.")
        inner = inspect.unwrap(value) if type(value).__module__.partition(".")[0] in ("numba", "functools") else value
        if isinstance(value, ModuleType) and _is_installed(value.__name__, getattr(value, "__file__", None)):
            self.head[f"import {value.__name__}" + f" as {name}" * (name != value.__name__)] = None
        elif isinstance(inner, (FunctionType, type)) and not _is_installed(inner.__module__, _file(inner)):
            if inner.__name__ not in (name, "<lambda>"):
                raise SourceError(f"{user} uses {inner.__name__} under another name, {name}.")
            self._define(inner, name)
        elif (where := _place(value)) is not None:
            module, own = where
            self.head[f"from {module} import {own}" + f" as {name}" * (name != own)] = None
        elif isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(isinstance(v, _PLAIN) for v in value)):
            self.head[f"{name} = {value!r}"] = None
        else:
            raise SourceError(f"{user} uses {name}, a {type(value).__name__}, which is no text; make it part of the function.")


def _text(value: Any, name: str = "") -> str:
    """The definition as it was written, and nothing else; of a lambda what gives it that name."""
    try:
        text = textwrap.dedent(_of_class(value) if isinstance(value, type) else inspect.getsource(value)).strip()
        body = ast.parse(text).body
    except (OSError, TypeError, SyntaxError, ValueError):
        body = []
    only = body[0] if len(body) == 1 else None
    if isinstance(only, ast.Assign) and isinstance(only.value, ast.Lambda) and [ast.unparse(t) for t in only.targets] == [name]:
        return text
    if not isinstance(only, (ast.FunctionDef, ast.ClassDef)):
        lambdas = value.__name__ == "<lambda>"
        why = (
            "is a lambda; give it a name with def"
            if lambdas
            else "has no source here; write it in a file or in a notebook's cell"
        )
        raise SourceError(f"{value.__qualname__} {why}.")
    return text


def _of_class(value: type) -> str:
    """By its file: its module may be gone by now."""
    code = next(f.__code__ for f in _functions(value)) if any(_functions(value)) else None
    if code is None:
        return inspect.getsource(value)
    lines = linecache.getlines(code.co_filename)
    around = [
        n
        for n in ast.walk(ast.parse("".join(lines)))
        if isinstance(n, ast.ClassDef) and n.name == value.__name__ and n.lineno <= code.co_firstlineno <= (n.end_lineno or 0)
    ]
    if not around:
        raise OSError
    first = min([around[0].lineno, *(d.lineno for d in around[0].decorator_list)])
    return "".join(lines[first - 1 : around[0].end_lineno])


def _functions(value: type) -> Iterator[FunctionType]:
    for member in vars(value).values():
        inner = getattr(member, "__func__", getattr(member, "fget", member))
        if isinstance(inner, FunctionType) and inner.__qualname__.startswith(f"{value.__qualname__}."):
            yield inner


def _around(value: Any) -> Mapping[str, Any]:
    """The names that its source can mean."""
    function = value if isinstance(value, FunctionType) else next(_functions(value), None)
    if function is None:
        return vars(sys.modules[value.__module__]) if value.__module__ in sys.modules else {}
    cells = {n: c.cell_contents for n, c in zip(function.__code__.co_freevars, function.__closure__ or ()) if n != "__class__"}
    return {**function.__globals__, **cells}


class _Bare(ast.NodeTransformer):
    """Without annotations: they are not looked at when it runs."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _free(text: str) -> set[str]:
    """The names that a definition takes from outside."""

    def names(table: symtable.SymbolTable) -> Iterator[str]:
        top = table.get_type() == "module"
        yield from (s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global()))
        for inner in table.get_children():
            yield from names(inner)

    bare = ast.unparse(ast.fix_missing_locations(_Bare().visit(ast.parse(text))))
    return set(names(symtable.symtable(bare, "candidate.py", "exec")))


def _file(value: Any) -> str | None:
    function = value if isinstance(value, FunctionType) else next(_functions(value), None)
    return None if function is None else function.__code__.co_filename


def _is_installed(module: str, file: str | None) -> bool:
    """Whether another machine can have it, too."""
    first = module.partition(".")[0]
    if first in sys.stdlib_module_names and first != "__main__":
        return True
    return first == "tinygrad_norm" or (file is not None and ("site-packages" in file or "dist-packages" in file))


def _place(value: Any) -> tuple[str, str] | None:
    """From where it can be imported, and as what."""
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", "")
    if not isinstance(module, str) or module in ("__main__", "builtins") or not str(name).isidentifier():
        return None
    try:
        return (module, name) if getattr(__import__(module, fromlist=[name]), name, None) is value else None
    except ImportError:
        return None
