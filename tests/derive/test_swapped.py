"""Attributes that are others for a while."""

from __future__ import annotations

import pytest

from tinygrad_norm.derive.swapped import swapped


class _Base:
    plain = 1


class _Some(_Base):
    own = 2


def test_inside_and_outside():
    with swapped(_Some, {"own": 3, "plain": 4}):
        assert (_Some.own, _Some.plain, _Base.plain) == (3, 4, 1)
        with swapped(_Some, {"own": 5}), pytest.raises(ZeroDivisionError), swapped(_Some, {"own": 6}):
            raise ZeroDivisionError
        assert _Some.own == 3
    assert (_Some.own, _Some.plain) == (2, 1)
    assert "plain" not in vars(_Some)


@pytest.mark.parametrize("other", [3, 4])
def test_who_came_first_may_leave_first(other):
    """As two threads may have it; both may bring the same."""
    first, second = swapped(_Some, {"own": 3}), swapped(_Some, {"own": other})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert _Some.own == other
    second.__exit__(None, None, None)
    assert _Some.own == 2
