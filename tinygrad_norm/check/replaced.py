"""Explanations by something else in a letter's or a sum's place: in one term, in all, or in all that is computed from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed
from itertools import chain, combinations, islice
from typing import Any

import numpy as np

from ..derive.formula import Letter, Node, Path, Product, Total, letters, places, product_of, put
from ..engine.arrays import Array
from ..graph.table import number
from .case import Case
from .computed import quietly
from .fused import Fused, inward
from .judgement import Explanation, Given
from .line import explained, formula_of
from .measures import of_another_size, of_cut, of_one_index, of_part
from .other_sums import other_sums
from .variants import functions, in_less, of_letter, placed

_TOLD = 3  # causes that no number tells apart, at most
_LARGE = 4_000  # entries; of what is larger, nothing is tried here
_INSTEAD = "what stands instead"


def replaced(case: Case, given: Given) -> Explanation | None:
    """The derived formula with one letter, or one sum, that is another."""
    found = formula_of(case, given)
    if found is None or given.array.size > _LARGE or given.fit(case).exact:
        return None
    with np.errstate(all="ignore"):
        causes = list(islice(_Tried(case, given, found).causes(), _TOLD))
    causes = [c for c in causes if "the whole is" not in c] or causes
    if not causes:
        return None
    off = float(np.max(np.abs(given.array - case.truth[given.name]), initial=0))
    single = given.dtype == np.float64 and off <= case.gate(given.name, np.float32)
    return changed(explained(found, given, causes), status="imprecise" if single else "wrong")


class _Tried:
    """A formula whose letters may be others: what is computed from them is computed again."""

    def __init__(self, case: Case, given: Given, found: Fused) -> None:
        self.case, self.given, self.found = case, given, found
        self.mine = found.spread(given.array)
        self.gate = given.gate(case)
        self.terms = [inward(t) for t in found.terms]
        self.values = [np.asarray(found.value(t)) for t in found.terms]
        self.whole = np.sum(self.values, axis=0)
        self.reads = [set(letters(t)) for t in self.terms]
        self.summed = [any(isinstance(n, Total) for _, n in places(t)) for t in self.terms]
        self.lines = [(x, set(letters(x.expression))) for x in found.formula.lines]
        self.small = {x.letter.name for x in found.statistics()}
        self.above = set().union(*(r for x, r in self.lines if x.kind == "statistic"))
        self.sides: dict[tuple[str, bool], list[Node]] = {}
        self.spots: dict[tuple[Node, tuple[Path, ...]], tuple[Node, Array | None]] = {}

    def fits(self, value: Array | None) -> bool:
        if value is None or (value.shape == self.mine.shape and abs(value.item(0) - self.mine.item(0)) > self.gate):
            return False
        return bool(np.max(np.abs(value - self.mine), initial=0) <= self.gate)

    def total(self, values: Mapping[str, Any], how: str, terms: Sequence[Node] = ()) -> Array | None:
        """The gradient with these letters' values.

        how:    "all" that is computed from them again, all but the "statistics", or "none"
        terms:  written otherwise
        """
        other, touched = self._again(values, how)
        with np.errstate(all="ignore"):
            whole: Any = 0.0
            for term, value, reads in zip(terms or self.terms, self.values, self.reads):
                made = value if not touched & reads else other.value(term)
                if made is None or made.shape != self.found.shape:
                    return None
                whole = whole + made
        return np.asarray(whole)

    def _again(self, values: Mapping[str, Any], how: str = "all") -> tuple[Fused, set[str]]:
        """What is computed from these values, and of what that is different."""
        other, touched = self.found.with_lines(()), set(values)
        other.known.update(values)
        with np.errstate(all="ignore"):
            for line, reads in self.lines if how != "none" else ():
                name = line.letter.name
                if name not in values and touched & reads and not (how == "statistics" and name in self.small):
                    other.known[name] = other.at(line.expression)
                    touched.add(name)
        return other, touched

    def computed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        other, touched = self._again(values)
        return {n: other.known[n] for n in touched}

    def causes(self) -> Iterator[str]:
        told = set[str]()
        for attempt in (self._letters, self._exchanged, self._sums, self._statistics, self._factors):
            for words in attempt():
                if words not in told:
                    told.add(words)
                    yield words
            if told:
                return

    # Letters ----------------------------------------------------------------------------------------------------------

    def _letters(self) -> Iterator[str]:
        found, symbol = self.found, self.given.symbol
        read = set().union(*self.reads, *(r for _, r in self.lines))
        own = [a for a in found.arrays() if a.name in read and np.size(found.known[a.name]) > 1]
        for letter in sorted(own, key=lambda a: not any(a.name in r for r in self.reads)):
            right = np.asarray(found.known[letter.name])
            spots = [(k, form, path) for k, form, path, node in self._places() if node == letter]
            for words, value in of_letter(self.case, found, letter):
                if value.shape == right.shape and np.allclose(value, right, rtol=1e-14, atol=0):
                    continue
                where = self._where(letter.name, value)
                if where is not None:
                    yield f"your {symbol} has {words} where {letter.name} belongs{where}"
                    continue
                for k, form, path in spots if len(found.terms) > 1 or len(spots) > 1 else ():
                    if self._fits_there(k, form, [path], value):
                        yield f"the term {found.hand(found.terms[k])} of {symbol} has {words} where {letter.name} belongs{self._inside(form, path)}"
                for k, form in dict.fromkeys((k, form) for k, form, _ in spots) if len(found.terms) > 1 else ():
                    often = [path for j, f, path in spots if (j, f) == (k, form)]
                    if len(often) > 1 and self._fits_there(k, form, often, value):
                        yield f"the term {found.hand(found.terms[k])} of {symbol} has {words} where {letter.name} belongs, wherever it occurs"

    def _exchanged(self) -> Iterator[str]:
        """Two that were saved, each taken for the other."""
        read = set().union(*self.reads, *(r for _, r in self.lines))
        own = [x.letter for x in self.found.formula.lines if x.letter.name in read]
        for a, b in combinations(own, 2):
            values = {a.name: self.found.known[b.name], b.name: self.found.known[a.name]}
            for how, where in (("statistics", ", and in all that is computed from them"), ("none", ", in every term")):
                if self.fits(self.total(values, how)):
                    yield f"your {self.given.symbol} has {a.name} and {b.name} exchanged, each where the other belongs{where}"
                    break

    def _where(self, name: str, value: Array) -> str | None:
        """In what all that has to stand for the letter, to give these numbers."""
        again = self.total({name: value}, "all")
        if self.fits(again):
            return "" if name not in self.above else ", and in all that is computed from it"
        if name in self.above and self.fits(self.total({name: value}, "statistics")):
            return ", and in all that is computed from it but the statistics"
        if any(name in r for r in self.reads):
            if name in self.above and self.fits(self.total({name: value}, "none")):
                return ", in every term"
            if self.fits(self.total({name: value}, "none", self.found.terms)):
                return ", in every term"
            for inside, words in ((False, ", in every term, outside of the sums"), (True, ", inside every sum")):
                if self.fits(self._on_one_side(name, value, inside)):
                    return words
        elif name in self.above and name in self.small:
            later = {n: a for n, a in self.computed({name: value}).items() if n in self.small and n != name}
            if later and self.fits(self.total(later, "none")):
                return f", in {', '.join(later)} of every term"
        if name in self.small:
            later = {n: a for n, a in self.computed({name: value}).items() if n not in self.small}
            for n, a in later.items():
                if any(n in r for r in self.reads) and self.fits(self.total({n: a}, "none")):
                    return f", in {n} of every term"
        alone = self._direct({name: value}) if len(self.terms) > 1 else None
        if alone is not None and self.fits(alone):
            return ", and the terms with sums are missing: what is summed in the forward was treated as constant"
        size = 0.0 if again is None else float(np.sum(again * again))
        much = float(np.sum(again * self.mine)) / size if size and again is not None and np.isfinite(size) else 0.0
        if again is not None and much and self.mine.size > 2 and self.fits(much * again):
            return f", and the whole is {number(much)} times that"
        return None

    def _direct(self, values: Mapping[str, Any]) -> Array | None:
        """The terms without a sum only."""
        other, touched = self._again(values)
        direct = [t for t, s in zip(self.terms, self.summed) if not s]
        if not direct or not any(touched & r for r, s in zip(self.reads, self.summed) if not s):
            return None
        with np.errstate(all="ignore"):
            made = [other.value(t) for t in direct]
        return np.asarray(np.sum(made, axis=0)) if all(m is not None for m in made) else None  # type: ignore[arg-type]

    def _on_one_side(self, name: str, value: Array, inside: bool) -> Array | None:
        """Where it stands inside of a sum, or where it does not."""
        self.found.known[_INSTEAD] = value
        if (name, inside) not in self.sides:
            self.sides[name, inside] = [self._put_in(term, name, inside) for term in self.found.terms]
        terms = self.sides[name, inside]
        if all(new is term for new, term in zip(terms, self.found.terms)):
            return None
        whole: Any = 0.0
        for new, term, right in zip(terms, self.found.terms, self.values):
            made = right if new is term else quietly(self.found, new)
            if made is None:
                return None
            whole = whole + made
        return np.asarray(whole)

    def _put_in(self, term: Node, name: str, inside: bool) -> Node:
        new, there = term, Letter(_INSTEAD, self.found.axes, "statistic")
        for path, node in places(term):
            if isinstance(node, Letter) and node.name == name and bool(self._inside(term, path)) == inside:
                new = put(new, path, there) or new
        return new

    def _places(self) -> Iterator[tuple[int, Node, Path, Node]]:
        for k, term in enumerate(self.found.terms):
            for form in dict.fromkeys((term, self.terms[k])):
                for path, node in places(form):
                    yield k, form, path, node

    def _fits_there(self, k: int, form: Node, paths: Sequence[Path], value: Array) -> bool:
        self.found.known[_INSTEAD] = value
        key = form, tuple(paths)
        if key not in self.spots:
            new, before = form, None
            for path in paths:
                new = put(new, path, Letter(_INSTEAD, self.found.axes, "statistic")) or new
            if len(paths) == 1 and len(paths[0]) == 1 and isinstance(form, Product):
                before = np.asarray(self.found.at(put(form, paths[0], None)), np.float64)
            self.spots[key] = new, before
        new, before = self.spots[key]
        made = quietly(self.found, new) if before is None else before * value
        return made is not None and self.fits(self.whole - self.values[k] + made)

    def _inside(self, form: Node, path: Path) -> str:
        at = [node for p, node in places(form) if isinstance(node, Total) and len(p) < len(path) and path[: len(p)] == p]
        return f", inside {self.found.hand(at[-1])}" if at else ""

    # Sums -------------------------------------------------------------------------------------------------------------

    def _sums(self) -> Iterator[str]:
        """Each, and all at once: rounded, cut, of numbers in the wrong places, or those of another index."""
        found, symbol = self.found, self.given.symbol
        spots: dict[tuple[int, Node, Path], Total] = {
            (k, form, path): node
            for k, form, path, node in self._places()
            if isinstance(node, Total) and node.function in ("sum", "mean")
        }
        made: dict[Total, dict[str, Array]] = {node: dict(other_sums(self.found, node)) for node in dict.fromkeys(spots.values())}
        for (k, form, path), node in spots.items():
            for words, value in made[node].items():
                if self._fits_there(k, form, [path], value):
                    where = f"the term {found.hand(found.terms[k])} of {symbol}" if len(found.terms) > 1 else f"your {symbol}"
                    there = found.hand(node)
                    yield f"{where} {words.replace('in its place', f'in the place of {there}')}{'' if 'in its place' in words else f', in {there}'}"
        for forms in (found.terms, tuple(self.terms)):
            own = list(dict.fromkeys(n for t in forms for _, n in places(t) if n in made))
            if len(own) < 2:
                continue
            for words in made[own[0]]:
                if not all(words in made[n] for n in own):
                    continue
                change = {n: f"sum {j} otherwise" for j, n in enumerate(own)}
                for n, name in change.items():
                    found.known[name] = made[n][words]
                new = [_replaced(t, change, found.axes) for t in forms]
                values = [quietly(found, t) for t in new]
                if all(v is not None for v in values) and self.fits(np.sum(values, axis=0)):  # type: ignore[arg-type]
                    yield f"your {symbol} {words}, in every Σ and mean"

    # Statistics -------------------------------------------------------------------------------------------------------

    def _statistics(self) -> Iterator[str]:
        found, symbol = self.found, self.given.symbol
        small = [x.letter.name for x in found.statistics()]
        for words, every in chain(of_part(self.case, found), of_one_index(found)):
            for values in (every, *({n: a} for n, a in every.items())):
                for how in ("all", "statistics", "none") if values is every else ("all",):
                    if self.fits(self.total(values, how)):
                        yield f"your {symbol} has {', '.join(values)} {words}"
                        break
        for name, words, value in of_cut(found):
            for how, where in (("all", ", and what is computed from it follows"), ("statistics", "")):
                later = {n: a for n, a in self.computed({name: value}).items() if n in self.small and n != name}
                if self.fits(self.total({name: value, **(later if how != "all" else {})}, how)):
                    yield f"your {symbol} has a {name} that {words}{where}"
                    break
        for name, words, value in of_another_size(self.case, found):
            later = {n: a for n, a in self.computed({name: value}).items() if n in self.small and n != name}
            for values, how, where in (
                ({name: value}, "all", ", and in all that is computed from it"),
                (later, "none", ", in every term"),
            ):
                if self.fits(self.total(values, how)):
                    yield f"your {symbol} has {words} where {name} belongs{where}"
                    break
            else:
                for k, form, path, node in self._places():
                    if isinstance(node, Letter) and node.name in later and self._fits_there(k, form, [path], later[node.name]):
                        yield f"the term {found.hand(found.terms[k])} of {symbol} has {words} where {name} belongs, in its {node.name}"
        for k in range(1, len(small) + 1):
            for some in combinations(small, k):
                kinds = [dict(in_less("", placed(found, found.known[n]))) for n in some]
                for words in kinds[0]:
                    values = {n: kind[words] for n, kind in zip(some, kinds)}
                    if any(self.fits(self.total(values, how)) for how in ("statistics", "all")):
                        yield f"your {symbol} has {' and '.join(some)}{words}: what is kept between forward and backward keeps its precision"

    # Factors ----------------------------------------------------------------------------------------------------------

    def _factors(self) -> Iterator[str]:
        """Something multiplied in: to the whole, to one term, or inside one sum."""
        found, symbol = self.found, self.given.symbol
        yield from self._clipped()
        yield from self._clipped_letter()
        for words, value in in_less("", self.whole):
            if self.fits(value):
                yield f"your {symbol} is right, and then{words}"
        more = {w: a for letter in found.arrays() for w, a in functions(letter.name, placed(found, found.known[letter.name]))}
        if self.case.dy.size == found.known_as(found.terms[0]).size:
            more |= dict(functions("dy", found.spread(self.case.dy))) if self.case.dy.size == self.mine.size else {}
        more = {w: a for w, a in more.items() if np.all(np.isfinite(a))}
        pieces = [("your {symbol} is multiplied by {words}, which does not belong there", self.whole, np.zeros(()))]
        pieces += [
            (f"the term {found.hand(t)} of {{symbol}} is multiplied by {{words}}, which does not belong there", v, self.whole - v)
            for t, v in zip(found.terms, self.values)
        ]
        for text, value, rest in pieces if len(found.terms) > 1 else pieces[:1]:
            for words, a in more.items():
                made = value * a if np.broadcast_shapes(value.shape, a.shape) == value.shape else None
                if made is not None and self.fits(rest + made):
                    yield text.format(symbol=symbol, words=words)
                elif made is not None and value is self.whole and (size := float(np.sum(made * made))) > 0:
                    much = float(np.sum(made * self.mine)) / size
                    if self.mine.size > 2 and self.fits(much * made):
                        yield text.format(symbol=symbol, words=f"{number(much)}·{words}")
        for (k, form, path), node in {
            (k, form, path): node for k, form, path, node in self._places() if isinstance(node, Total)
        }.items():
            for words, a in more.items():
                found.known[_INSTEAD] = a
                inside = product_of(node.inside, Letter(_INSTEAD, found.axes, "statistic"))
                made = quietly(found, put(form, path, Total(inside, node.axes, node.function)))
                if made is not None and self.fits(self.whole - self.values[k] + made):
                    where = f"the term {found.hand(found.terms[k])} of {symbol}" if len(found.terms) > 1 else f"your {symbol}"
                    yield f"{where} has {words} inside {found.hand(node)}, where it does not belong"

    def _clipped(self) -> Iterator[str]:
        off = np.abs(self.mine - self.whole) > self.gate
        low, high = float(np.min(self.mine)), float(np.max(self.mine))
        if 1 < np.sum(off) < off.size and self.fits(np.clip(self.whole, low, high)):
            yield f"your {self.given.symbol} is clipped to [{number(low)}, {number(high)}]: no entry is larger, whatever it should be"

    def _clipped_letter(self) -> Iterator[str]:
        """A letter of one term that is clipped, to whatever numbers."""
        found = self.found
        for k, term in enumerate(found.terms):
            own = [
                n
                for p, n in places(term)
                if isinstance(n, Letter) and len(p) < 2 and np.size(found.known[n.name]) == self.mine.size
            ]
            for letter in own:
                right = np.broadcast_to(placed(found, found.known[letter.name]), self.mine.shape)
                with np.errstate(all="ignore"):
                    mine = (self.mine - self.whole + self.values[k]) / self.values[k] * right
                if not np.all(np.isfinite(mine)):
                    continue
                off = np.abs(mine - right) > 1e-9 * np.max(np.abs(right))
                low, high = float(np.min(mine)), float(np.max(mine))
                made = self.whole - self.values[k] + self.values[k] * np.clip(right, low, high) / right
                if 0 < np.sum(off) < off.size - 1 and self.fits(made):
                    ends = [
                        number(e)
                        for e, there in ((low, np.any(off & (mine > right))), (high, np.any(off & (mine < right))))
                        if there
                    ]
                    yield f"your {self.given.symbol} has {letter.name} clipped at {' and '.join(ends)} where {letter.name} belongs"


def _replaced(tree: Node, change: Mapping[Any, str], axes: tuple[str, ...]) -> Node:
    for path, node in places(tree):
        if node in change:
            return _replaced(put(tree, path, Letter(change[node], axes, "statistic")) or tree, change, axes)
    return tree
