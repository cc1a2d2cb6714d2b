"""A backward held against a norm inside anybody's test: it passes, or fails with the verdict as its message."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..engine import Tensor, TinygradNormError
from ..norms import Norm
from .checking import check
from .verdict import Verdict


def assert_backward(candidate: Any, norm: str | Norm | Callable[..., Tensor], **how: Any) -> Verdict:
    """``tn.check(candidate, norm, **how)``, which must be right; returns the verdict.

    Raises ``AssertionError`` with the verdict as its message where a gradient is not right, and where the candidate could not be
    judged; for misuse what ``tn.check`` raises.
    """
    __tracebackhide__ = True
    try:
        verdict = check(candidate, norm, **how)
    except TinygradNormError as error:
        said = str(error)
        if not said.startswith("check: "):
            raise
        raise type(error)(f"assert_backward: {said.removeprefix('check: ')}") from None
    if not verdict.ok:
        raise AssertionError(f"the backward is not right\n{verdict}" if verdict.judgements else f"not judged\n{verdict}")
    return verdict


assert_backward.__signature__ = inspect.signature(check)  # type: ignore[attr-defined]  # the options are check's
