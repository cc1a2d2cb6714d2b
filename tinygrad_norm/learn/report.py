"""For a teacher: all exercises of a folder judged, as a JUnit file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from .exercise import Judged
from .state import Progress


class Row(NamedTuple):
    """An exercise: its name, the verdict on the file as it is, and what is known of the way there."""

    name: str
    judged: Judged
    progress: Progress


def junit(rows: Sequence[Row]) -> bytes:
    """A test for each exercise. Its properties: hints used, whether the solution was seen, attempts, checks, what was wrong."""
    suite = ElementTree.Element("testsuite", name="tinygrad-norm learn", tests=str(len(rows)))
    failed = [r for r in rows if not r.judged.ok]
    open_ = [r for r in failed if r.progress.word in ("", "skipped")]
    suite.set("failures", str(len(failed) - len(open_)))
    suite.set("skipped", str(len(open_)))
    suite.set("errors", "0")
    for r in rows:
        case = ElementTree.SubElement(suite, "testcase", classname="tinygrad_norm.learn", name=r.name)
        kept = ElementTree.SubElement(case, "properties")
        for key, value in {
            "passed": r.judged.ok,
            "counts": r.judged.ok and not r.progress.seen,
            "hints": r.progress.all_hints,
            "solution seen": r.progress.seen,
            "attempts": r.progress.attempts,
            "checks": r.judged.checks,
            "predicted": r.progress.predicted,
            "wrong": "; ".join(r.judged.terms) if not r.judged.ok else "",
        }.items():
            ElementTree.SubElement(kept, "property", name=key, value=_allowed(str(value)))
        if r in open_:
            ElementTree.SubElement(case, "skipped", message=r.progress.word or "not begun")
        elif not r.judged.ok:
            failure = ElementTree.SubElement(
                case, "failure", message=_allowed("; ".join(r.judged.terms) or "not solved"), type="wrong"
            )
            failure.text = _allowed("\n".join(r.judged.lines))
    whole = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    assert isinstance(whole, bytes)
    return whole


def _allowed(text: str) -> str:
    """Without characters that XML does not have: a file may have printed any."""
    return "".join(
        c if c in "\n\t" or 32 <= ord(c) < 0xD800 or 0xE000 <= ord(c) < 0xFFFE or ord(c) > 0xFFFF else "�" for c in text
    )
