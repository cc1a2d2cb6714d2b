"""No raw exception: every public name, called with what fits and what does not.

A call is fine when an independent referee (PyTorch or NumPy under the same name; differences for slopes) confirms what
it gave, or when it raised one of the project's own errors, which names operation, operand and way out. Everything else
fails, with a line that repeats it. A plain ``pytest`` makes 1,500 calls, ``pytest --all`` 20,000 where PyTorch is there to
judge them, ``FUZZ_CALLS=n`` n of them; ``python -m tests.fuzz 20000`` prints what they find grouped.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.fuzz import referee
from tests.fuzz.run import grouped, reports, shares, text
from tests.fuzz.targets import ONLY_OPS_CALL, Target, discover

TARGETS = discover()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what is saved by a call is saved there


@pytest.fixture(scope="session")
def calls(pytestconfig: pytest.Config) -> dict[str, int]:
    """How often each target is called."""
    return shares(TARGETS, int(os.environ.get("FUZZ_CALLS", 20_000 if pytestconfig.option.all and referee.torch else 1_500)))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name.replace(" =", "="))
def test_every_call_is_confirmed_or_refused_by_name(target: Target, calls: dict[str, int]) -> None:
    found = [f for _, report in reports(target, calls[target.name]) for f in report.findings]
    assert not found, f"{len(found)} of {calls[target.name]} calls\n{text(grouped(found))}"


def test_everything_public_is_called() -> None:
    """Discovery finds what is exported; a name that it leaves out is an exception, a dtype or a module."""
    names = {t.name for t in TARGETS}
    for space, module in (("tn", tn), ("F", tn.functional), ("nn", tn.nn)):
        for n in module.__all__:
            f = getattr(module, n)
            if callable(f) and not (isinstance(f, type) and issubclass(f, (BaseException, np.generic))):
                assert f"{space}.{n}" in names
    for n in dir(tn.Tensor):
        assert n.startswith("_") or n in ONLY_OPS_CALL or f"Tensor.{n}" in names


@pytest.mark.thorough
def test_most_names_meet_a_call_that_works() -> None:
    """A generator whose calls are all refused looks at nothing but refusals."""
    wanted = [
        t
        for t in discover()
        if t.name.startswith(("F.", "Tensor.", "tn.", "nn."))
        and t.kind in ("function", "method", "operator", "module", "forward")
        and not t.slow
    ]
    dead = [t.name for t in wanted if all(r.outcome in ("error", "argument") for _, r in reports(t, 40))]
    assert len(dead) <= len(wanted) // 20, dead


def test_the_judge_sees_what_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults put in on purpose: each is found."""
    pytest.importorskip("torch", reason="PyTorch is not installed: nobody says what softmax should give")

    def kinds(name: str, broken: object) -> set[str]:
        monkeypatch.setattr(tn.functional, name, broken)
        target = next(t for t in discover() if t.name == f"F.{name}")
        found = {f.kind for _, report in reports(target, 60) for f in report.findings}
        monkeypatch.undo()
        return found

    honest = tn.functional.softmax

    def off(input: tn.Tensor, dim: int) -> tn.Tensor:
        return honest(input, dim) * 1.001

    def raw(input: tn.Tensor, dim: int) -> tn.Tensor:
        raise ValueError("no")

    def unnamed(input: tn.Tensor, dim: int) -> tn.Tensor:
        raise tn.ShapeError("that does not go. Try another.")

    def flat(input: tn.Tensor, dim: int) -> tn.Tensor:
        return honest(tn.tensor(tn.tensor(input).detach().numpy(), requires_grad=True), dim)

    def writes(input: tn.Tensor, dim: int) -> tn.Tensor:
        if isinstance(input, tn.Tensor) and not input.requires_grad and input.dtype.kind == "f":
            a = input._data
            a.flags.writeable = True
            a += 1
        return honest(input, dim)

    assert "not the referee's value" in kinds("softmax", off)
    assert "raw ValueError" in kinds("softmax", raw)
    assert "message does not name the operation" in kinds("softmax", unnamed)
    assert "gradient" in kinds("softmax", flat)
    assert "input mutated" in kinds("softmax", writes)
