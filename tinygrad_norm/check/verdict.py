"""What ``tn.check`` answers with: a judgement for each gradient, and how strong the probe was."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree import ElementTree

from ..graph import Graph
from ..graph.notebook import bundle
from ..graph.table import ascii_text, number, to_json
from .judgement import Judgement
from .letters import legend
from .link import Asked, Carried, LinkError
from .probes import Probe
from .proof import Proof
from .proof import summary as proved_of
from .repair import Repair


@dataclass(frozen=True)
class Verdict:
    """What ``tn.check`` found. Print it; ask ``.ok``; look into ``.judgements``, by the input's name.

    error:   why the candidate could not be judged, or not all of what it gave
    notes:   what it did besides: printed, changed its inputs, answered differently the second time
    bound:   which parameter was given what, where their names are not ours
    looked:  the shapes and numbers it was asked with
    limits:  for what it is right, where that is not everything
    yours:   your own probe's strength, where you gave one; the verdict is from ours
    repairs: the lines of your source that are wrong, and what makes which gradients right there
    proofs:  by input, what the candidate's own record says, where that was asked for: ``prove()``, ``tn.check(…, prove=True)``
    """

    candidate: str
    title: str
    options: str
    shapes: str
    probe: Probe
    judgements: Mapping[str, Judgement]
    notes: tuple[str, ...] = ()
    error: str | None = None
    yours: Probe | None = None
    order: int = 1
    graph: Graph | None = field(default=None, repr=False)
    looked: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    bound: str = ""
    repairs: tuple[Repair, ...] = ()
    proofs: Mapping[str, Proof] = field(default_factory=dict)
    prover: Callable[[], Mapping[str, Proof]] | None = field(default=None, repr=False, compare=False)
    asked: Asked | None = field(default=None, repr=False, compare=False)
    carried: Carried | None = field(default=None, repr=False, compare=False)

    def prove(self) -> Verdict:
        """The verdict with ``proofs``: the candidate is run on recorded tensors, and its own record held against the derived formula.

        What is proved is right for every input; of what is wrong, the difference is said as a formula, where that is short. Where
        the candidate cannot be recorded, that is said, and nothing else changes. Loads SymPy.
        """
        return self if self.prover is None or self.proofs else replace(self, proofs=self.prover())

    def link(self, base: str | None = None) -> str:
        """An address that holds the candidate's **source**, what it uses, the norm, the options and the seed: to be opened in the
        book's page "try it", with nothing installed, or given to ``tinygrad-norm check``.

        base:  the address of that page, such as "https://…/try.html"; by default the page's name alone

        Raises ``LinkError`` where the source cannot be had, where arrays or a forward of your own would have to travel, and for
        more than an address can hold.
        """
        if self.carried is None and self.asked is None:
            raise LinkError("link: this verdict does not know what was asked; make it with tn.check.")
        carried = self.carried or (self.asked.carried() if self.asked is not None else None)
        assert carried is not None
        return carried.address(base)

    @property
    def ok(self) -> bool:
        """Whether every gradient is right (or differs by design, as published)."""
        return self.error is None and all(j.ok for j in self.judgements.values())

    @property
    def judged(self) -> bool:
        """Whether anything could be judged at all."""
        return self.error is None or bool(self.judgements)

    @property
    def summary(self) -> str:
        if not self.judged:
            return f"not judged: {self.error}"
        wrong = [j.symbol for j in self.judgements.values() if not j.ok and j.status != "missing"]
        missing = [j.symbol for j in self.judgements.values() if j.status == "missing"]
        more = f"{', '.join(missing)} not given" if missing else ""
        share = f"{len(wrong)} of {len(self.judgements) - len(missing)}" + (f"; {more}" if more else "")
        told = [f"{', '.join(wrong)} ({share})"] if wrong else [more] if more else []
        told += [self.error] if self.error is not None else []
        if told:
            return f"not right: {'; '.join(told)}"
        design = [j.symbol for j in self.judgements.values() if j.status == "by design"]
        proved = proved_of(self.proofs, self.judgements)
        said = ", ".join(("right", *self.limits, *([proved] if proved else [])))
        return said + (f"; by design not the gradient: {', '.join(design)}" if design else "")

    def text(self, ascii: bool = False) -> str:
        """A line for each gradient, and below it what there is to say."""
        lines = [f"{self.candidate} against {self.title}    {self.shapes}" + (f"    {self.options}" if self.options else "")]
        lines += [f"bound: {self.bound}"] if self.bound else []
        lines += [f"note: {note}" for note in self.notes]
        wide = max((len(j.symbol) for j in self.judgements.values()), default=2)
        for j in self.judgements.values():
            if j.status in ("right", "missing") or j.max_abs == math.inf:
                said = number(j.relative) if j.status == "right" else ""
            else:
                said = f"max |Δ| {number(j.max_abs)} (rel {_percent(j.relative)}; rounding explains {number(j.allowed)})"
            lines.append(f"{j.symbol:<{wide}}  {j.status:<9} {said}".rstrip())
            lines += [f"{'':<{wide}}  {line}" for line in j.lines]
        for n, proof in self.proofs.items():
            lines.append(f"{self.judgements[n].symbol:<{wide}}  {proof}")
        lines += legend(self.graph, [line for j in self.judgements.values() for line in j.lines]) if not self.ok else []
        if self.judgements:
            lines.append(f"probe: {self.probe}")
        if self.looked and self.ok:
            lines.append(f"right at: {'; '.join(self.looked)}")
        for label, share in self.probe.squeezed:
            lines.append(f"       {label} is smaller than ε in {share:.0%} of its entries")
        if self.yours is not None:
            lines.append(f"your own probe: {self.yours}")
        lines.append(f"verdict: {self.summary}")
        text = "\n".join(lines)
        return ascii_text(text) if ascii else text

    def __str__(self) -> str:
        return self.text()

    def to_json(self, ascii: bool = False) -> str:
        """Everything but the arrays; what is not finite is null."""
        return to_json(
            {
                "candidate": self.candidate,
                "norm": self.title,
                "ok": self.ok,
                "summary": self.summary,
                "error": self.error,
                "notes": list(self.notes),
                "order": self.order,
                "bound": self.bound,
                "looked": list(self.looked),
                "limits": list(self.limits),
                "probe": {"known": self.probe.known, "passing": list(self.probe.passing)},
                "repairs": [{"gradients": list(r.gradients), "lines": [vars(line) for line in r.lines]} for r in self.repairs],
                "proofs": {n: vars(p) for n, p in self.proofs.items()},
                "your_probe": self.yours and {"known": self.yours.known, "passing": list(self.yours.passing)},
                "gradients": [
                    {**{k: v for k, v in vars(j).items() if k != "lines"}, "lines": list(j.lines)}
                    for j in self.judgements.values()
                ],
            },
            ascii,
        )

    def junit(self, name: str = "tinygrad-norm") -> ElementTree.Element:
        """A ``<testsuite>`` with a test for each gradient."""
        bad = sum(not j.ok for j in self.judgements.values())
        suite = ElementTree.Element("testsuite", name=name, tests=str(len(self.judgements) + (self.error is not None)))
        suite.set("failures", str(bad))
        suite.set("errors", str(int(self.error is not None)))
        for j in self.judgements.values():
            case = ElementTree.SubElement(suite, "testcase", classname=self.candidate, name=j.symbol)
            if j.name in self.proofs:
                ElementTree.SubElement(case, "system-out").text = str(self.proofs[j.name])
            if not j.ok:
                failure = ElementTree.SubElement(case, "failure", message=f"{j.symbol} is {j.status}", type=j.status)
                failure.text = "\n".join(j.lines)
        if self.error is not None:
            case = ElementTree.SubElement(suite, "testcase", classname=self.candidate, name="runs")
            ElementTree.SubElement(case, "error", message=self.error)
        return suite

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle("a verdict", self.text, "text", self.text, self.graph)


def _percent(relative: float) -> str:
    return f"{relative:.0%}" if 0.005 <= relative < 100 else number(relative)
