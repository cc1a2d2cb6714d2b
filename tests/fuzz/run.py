"""So many calls, spread over every public name, always the same ones; ``python -m tests.fuzz 20000`` prints what they met."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from random import Random

from tests.fuzz.finding import Finding
from tests.fuzz.judge import Report, judge
from tests.fuzz.targets import Call, Target, discover


def weight(target: Target) -> float:
    """NumPy's functions are many, and most have no recorded op; the rooms that derive and check take seconds a call."""
    return 0.2 if target.slow else 1 if target.kind in ("numpy", "graph") else 4


def shares(targets: list[Target], calls: int) -> dict[str, int]:
    whole = sum(map(weight, targets))
    return {t.name: max(1, round(calls * weight(t) / whole)) for t in targets}


def reports(target: Target, calls: int) -> Iterable[tuple[Call, Report]]:
    """The first so many calls of a target: a longer run begins with the shorter one."""
    for k in range(calls):
        call = target.write(target.drawer, Random(f"{target.name} {k}"))
        report = judge(call, target)
        if report.outcome not in ("error", "argument"):
            target.drawer.worked()
        yield call, report


def grouped(findings: Iterable[Finding]) -> dict[tuple[str, str], list[Finding]]:
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.group].append(finding)
    return {k: sorted(v, key=lambda f: len(f.call)) for k, v in sorted(groups.items())}


def text(groups: dict[tuple[str, str], list[Finding]]) -> str:
    """One paragraph a kind: how often, the shortest call, what came."""
    lines = []
    for (kind, where), found in groups.items():
        names = list(dict.fromkeys(f.target for f in found))
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        lines.append(
            f"{kind} ({len(found)} calls; {', '.join(names[:6])}{more}) {where}\n    {found[0].call}\n    {found[0].what}"
        )
    return "\n".join(lines)


def main(calls: int) -> int:
    """Run and print; the number of kinds found."""
    findings: list[Finding] = []
    outcomes: Counter[str] = Counter()
    targets = discover()
    share = shares(targets, calls)
    for target in targets:
        for _, report in reports(target, share[target.name]):
            findings += report.findings
            outcomes[report.outcome] += 1
    groups = grouped(findings)
    print(text(groups))
    print(f"{sum(outcomes.values())} calls of {len(targets)} names: {dict(outcomes)}; {len(groups)} kinds of findings")
    return len(groups)
