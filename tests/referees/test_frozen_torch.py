"""PyTorch's own samples for the normalizations, with its values and gradients, frozen: the suite has them without torch.

``freeze_torch.py`` wrote the file. Values, gradients and gradients of gradients, for both ways to go backward. Where ε is
−½ and the variance smaller, PyTorch has NaN, and so must ours, in the same places. ``REFUSED`` is all that we refuse.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.referees.torch_samples import FROZEN, Record, Refused, judge, load, save, spoiled

ABOUT, RECORDS = load()
WAYS = ("recorded", "analytic")
COUNTS = {
    "batch_norm": 12,
    "cosine_similarity": 9,
    "cross_entropy": 21,
    "group_norm": 25,
    "instance_norm": 9,
    "layer_norm": 31,
    "local_response_norm": 11,
    "log_softmax": 14,
    "normalize": 8,
    "rms_norm": 7,
    "softmax": 14,
}
AXIS = "an axis of a tensor that has none"
REFUSED = {
    **dict.fromkeys(("softmax-6", "softmax:with_dtype-6", "log_softmax-6", "log_softmax:with_dtype-6"), AXIS),
    **dict.fromkeys(("normalize-5", "cosine_similarity-3"), AXIS),
    **dict.fromkeys(("normalize-3", "normalize-4"), "p is not above 0"),
    **dict.fromkeys(("batch_norm-3", "batch_norm-4"), "an input without an axis of channels"),
}


@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_sample(record, backward):
    if record.name in REFUSED:
        with pytest.raises(Refused, match=REFUSED[record.name]):
            judge(record, backward)
    else:
        judge(record, backward)


def test_how_many_there_are():
    assert Counter(record.op for record in RECORDS) == COUNTS
    assert sum(COUNTS.values()) == len({record.name for record in RECORDS}) == 161
    assert ABOUT["skipped"] == {}, "no sample was too large"
    assert FROZEN.stat().st_size < 300_000


def test_what_the_samples_try():
    """That they are as hard as they look: NaN among them, empty arrays, up to five axes, a written buffer."""
    assert sum(np.isnan(record.y).any() for record in RECORDS) >= 5
    assert sum(not record.y.size for record in RECORDS) >= 5
    assert {record.arrays[0].ndim for record in RECORDS} == {0, 1, 2, 3, 4, 5}
    written = [r for r in RECORDS if any(not np.array_equal(a, r.arrays[i]) for i, a in r.after.items())]
    assert {record.op for record in written} == {"batch_norm", "instance_norm"}
    for record in RECORDS:
        assert all(np.abs(v).max(initial=1) > 0.1 for v in (record.dy, *record.vs))
        if record.op not in ("cross_entropy", "local_response_norm") and record.y.size > 4 and "p" not in record.kwargs:
            assert np.nanmax(np.abs(record.second[0])) > 1e-6, record.name


def test_a_judge_that_rejects():
    """Each result of each record, wrong by a millionth in one entry."""
    rejected = 0
    for record in (r for r in RECORDS if r.op in ("layer_norm", "batch_norm", "rms_norm") and r.name not in REFUSED):
        for wrong in spoiled(record):
            with pytest.raises(AssertionError, match="Not equal to tolerance"):
                judge(wrong, "recorded")
            rejected += 1
    assert rejected > 200


def test_a_formula_that_caches_its_statistics_is_caught(monkeypatch):
    """Right at order 1 and wrong at order 2: the mistake the second gradients are here for."""

    def cached(x, shape, weight=None, bias=None, eps=1e-5, backward="recorded"):
        with tn.no_grad():
            centred = x.data - x.data.mean(-1, keepdims=True)
            rstd = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        dx = lambda g, out, x: rstd * (g - g.mean(-1, keepdims=True) - centred * rstd**2 * (g * centred).mean(-1, keepdims=True))  # noqa: E731
        y = tn.engine.Op("cached", "cached({0})", lambda x: centred * rstd, (dx,))(x)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    record = next(r for r in RECORDS if r.op == "layer_norm" and r.arrays[0].shape == (1, 2) and len(r.arrays) == 3)
    monkeypatch.setattr(tn.functional, "layer_norm", cached)
    with pytest.raises(AssertionError, match="gradient of the gradient, of tensor 0"):
        judge(record, "recorded")


def test_what_is_saved_is_what_is_loaded(tmp_path):
    save(RECORDS, ABOUT, tmp_path / "again.npz")
    about, records = load(tmp_path / "again.npz")
    assert about == ABOUT
    assert len(records) == len(RECORDS)
    for mine, other in zip(records, RECORDS):
        assert set(vars(mine)) == set(vars(other)) == set(Record.__dataclass_fields__)
        np.testing.assert_equal(vars(mine), vars(other))
    assert [p.name for p in tmp_path.iterdir()] == ["again.npz"]
    RECORDS[0].arrays[0], kept = RECORDS[0].arrays[0] + 1e-9, RECORDS[0].arrays[0]
    with pytest.raises(ValueError, match="float16"):
        save(RECORDS, ABOUT, tmp_path / "again.npz")
    RECORDS[0].arrays[0] = kept
