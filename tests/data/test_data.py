"""What the data are, and that a seed makes the same each time."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import data


def test_digits():
    images, labels = data.digits()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.float64
    assert labels.shape == (1797,)
    assert labels.dtype == np.int64
    assert (images.min(), images.max()) == (0, 1)
    np.testing.assert_array_equal(images * 16, np.rint(images * 16))
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert data.digits(dtype="float32")[0].dtype == np.float32


def test_the_split_is_fixed_and_what_is_shuffled_is_all_of_it():
    images, labels = data.digits()
    (a, la), (b, lb) = data.digits("train"), data.digits("test")
    assert (len(a), len(b)) == (1500, 297)
    np.testing.assert_array_equal(np.concatenate([a, b]), images)
    np.testing.assert_array_equal(np.concatenate([la, lb]), labels)
    (a, la), (b, lb) = data.digits("train", shuffle=3), data.digits("test", 3)
    mixed, mixed_labels = np.concatenate([a, b]), np.concatenate([la, lb])
    assert not np.array_equal(mixed, images)
    np.testing.assert_array_equal(data.digits("test", shuffle=3)[0], b)
    assert not np.array_equal(data.digits("test", shuffle=4)[0], b)

    def rows(images, labels):
        return sorted(map(bytes, np.column_stack([images.reshape(1797, -1), labels])))

    assert rows(mixed, mixed_labels) == rows(images, labels), "each image keeps its label"


def test_digits_as_sequences():
    images, labels = data.digits("test")
    x, t = data.digit_rows("test")
    np.testing.assert_array_equal(x[:, 2, :], images[:, 2, :])
    x, t = data.digit_pixels("test")
    assert x.shape == (297, 64, 1)
    np.testing.assert_array_equal(x[:, 8 * 3 + 5, 0], images[:, 3, 5])
    np.testing.assert_array_equal(t, labels)


def test_adding():
    x, y = data.adding(4000, 11, seed=1)
    assert x.shape == (4000, 11, 2)
    marks = x[..., 1]
    assert set(np.unique(marks)) == {0, 1}
    assert (marks[:, :5].sum(1) == 1).all()
    assert (marks[:, 5:].sum(1) == 1).all()
    assert (marks.sum(0) > 0).all(), "every step is marked now and then"
    np.testing.assert_allclose(y, [row[row[:, 1] == 1, 0].sum() for row in x])
    # The mean of (y − 1)² is 1/6; its own variance is E[(y−1)⁴] − 1/36 = 1/15 − 1/36
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, abs=5 * np.sqrt((1 / 15 - 1 / 36) / 4000))
    assert x.dtype == y.dtype == np.float64
    assert data.adding(3, dtype="float32")[1].dtype == np.float32


def test_copying():
    x, y = data.copying(50, length=4, delay=7, symbols=3, seed=2)
    assert x.shape == y.shape == (50, 15)
    assert x.dtype == y.dtype == np.int64
    np.testing.assert_array_equal(y[:, -4:], x[:, :4])
    assert set(np.unique(x[:, :4])) == {1, 2, 3}
    assert (x[:, -5] == 4).all()
    assert not x[:, 4:-5].any()
    assert not x[:, -4:].any()
    assert not y[:, :-4].any()


def test_reversing():
    x, y = data.reversing(50, 6, symbols=4)
    np.testing.assert_array_equal(x, y[:, ::-1])
    assert set(np.unique(x)) == {0, 1, 2, 3}


def test_a_season_and_a_drift():
    waves = data.seasonal(100, 2, period=10, drift=0, noise=0)
    np.testing.assert_allclose(waves[10:], waves[:-10], atol=1e-12)
    assert waves.shape == (100, 2)
    assert np.std(waves, axis=0) == pytest.approx(np.sqrt(1 / 2 + 1 / 8))
    drifting = data.seasonal(4001, 40, drift=0.5, noise=0, seed=1)
    level = drifting[4000] - data.seasonal(4001, 40, drift=0, noise=0, seed=1)[4000]
    assert level.mean() / 4000 == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(4000 * 40))
    assert level.std() == pytest.approx(0.5 * np.sqrt(4000), rel=0.5)


def test_windows():
    series = np.arange(20.0)
    x, y = data.windows(series, 5, 3, stride=2)
    assert x.shape == (7, 5, 1)
    assert y.shape == (7, 3, 1)
    assert x[2, :, 0].tolist() == [4, 5, 6, 7, 8]
    assert y[2, :, 0].tolist() == [9, 10, 11]
    assert data.windows(np.ones((8, 2)), 5, 3)[1].shape == (1, 3, 2)


def test_karate_club():
    """Zachary's numbers: 78 friendships; the teacher, member 1, has 16, the president, member 34, has 17."""
    adjacency, edges, labels = data.karate_club()
    assert adjacency.shape == (34, 34)
    assert edges.shape == (78, 2)
    np.testing.assert_array_equal(adjacency, adjacency.T)
    assert adjacency.sum() == 2 * 78
    assert not np.diag(adjacency).any()
    degrees = adjacency.sum(0).astype(int).tolist()
    assert degrees == [16, 9, 10, 6, 3, 4, 4, 4, 5, 2, 3, 1, 2, 5, 2, 2, 2, 2, 2, 3, 2, 2, 2, 5, 3, 3, 2, 4, 3, 4, 4, 6, 12, 17]
    assert (edges[:, 0] < edges[:, 1]).all()
    assert np.bincount(labels).tolist() == [17, 17]
    assert (labels[0], labels[33]) == (0, 1)
    # 45 triangles, as is known of it
    assert round(np.trace(np.linalg.matrix_power(adjacency, 3))) == 6 * 45


def test_karate_club_as_networkx_has_it():
    networkx = pytest.importorskip("networkx")
    graph = networkx.karate_club_graph()
    _, edges, labels = data.karate_club()
    assert {tuple(e) for e in edges.tolist()} == {tuple(sorted(e)) for e in graph.edges}
    assert [graph.nodes[i]["club"] for i in range(34)] == [("Mr. Hi", "Officer")[label] for label in labels]


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: data.adding(5, seed=seed)[0],
        lambda seed: data.copying(5, seed=seed)[0],
        lambda seed: data.reversing(5, seed=seed)[0],
        lambda seed: data.seasonal(9, seed=seed),
        lambda seed: data.digits(shuffle=seed)[1],
        lambda seed: np.concatenate(list(data.batches(np.arange(50), size=7, shuffle=True, seed=seed))),
    ],
)
def test_a_seed_makes_the_same(make):
    np.random.seed(0)  # noqa: NPY002  the global state has no part in it
    first = make(4)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(first, make(4))
    assert not np.array_equal(first, make(5))


# Batches ----------------------------------------------------------------------------------------------------------------

X, T = np.arange(20).reshape(10, 2), np.arange(10) * 100


def test_batches_in_order():
    found = list(data.batches(X, T, size=4))
    assert [len(t) for _, t in found] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in found]), X)
    assert len(data.batches(X, size=4)) == 3
    assert [len(x) for x in data.batches(X, size=4, drop_last=True)] == [4, 4]
    assert len(data.batches(X, size=4, drop_last=True)) == 2
    assert list(data.batches(X, size=11, drop_last=True)) == []


def test_every_epoch_has_an_order_of_its_own_and_every_sample_once():
    b = data.batches(X, T, size=3, shuffle=True, seed=5)
    epochs = []
    for epoch in range(3):
        assert b.epoch == epoch
        found = list(b)
        x, t = np.concatenate([x for x, _ in found]), np.concatenate([t for _, t in found])
        np.testing.assert_array_equal(x[:, 0] * 50, t)
        assert sorted(t) == sorted(T)
        epochs.append(tuple(t))
    assert len(set(epochs)) == 3
    b.epoch = 1
    assert tuple(np.concatenate([t for _, t in b])) == epochs[1]


def test_resumed_is_not_interrupted():
    whole = data.batches(T, size=3, shuffle=True, seed=1)
    expected = [t.tolist() for _ in range(3) for t in whole]
    first, found = data.batches(T, size=3, shuffle=True, seed=1), []
    state = None
    while state is None:
        for t in first:
            found.append(t.tolist())
            if len(found) == 6:
                state = first.state_dict()
                break
    assert state == {"epoch": 1, "batch": 2}
    again = data.batches(T, size=3, shuffle=True, seed=1)
    again.load_state_dict(state)
    while again.epoch < 3:
        found += [t.tolist() for t in again]
    assert found == expected


def test_an_epoch_left_in_the_middle_begins_anew():
    b = data.batches(T, size=3, shuffle=True)
    first = next(iter(b))
    np.testing.assert_array_equal(next(iter(b)), first)
    assert b.epoch == 0


def test_stopping_after_the_last_batch_of_an_epoch():
    b = data.batches(T, size=5)
    b.load_state_dict({"epoch": 0, "batch": 2})
    assert list(b) == []
    assert b.state_dict() == {"epoch": 1, "batch": 0}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: data.digits("all"), "digits: split='all'; it is \"train\""),
        (lambda: data.digits(dtype="foo"), "digits: dtype='foo'; it is a floating-point dtype"),
        (lambda: data.digits(shuffle=-1), "digits: shuffle=-1"),
        (lambda: data.digits(shuffle=True), "digits: shuffle=True"),
        (lambda: data.adding(3, 1), "adding: length=1; it is a whole number from 2 on"),
        (lambda: data.copying(3, delay=0), "copying: delay=0"),
        (lambda: data.reversing(3, symbols=0), "reversing: symbols=0"),
        (lambda: data.seasonal(0), "seasonal: length=0"),
        (lambda: data.seasonal(noise=float("nan")), "seasonal: noise=nan; it is a finite number"),
        (lambda: data.karate_club("int64"), "karate_club: dtype='int64'"),
        (
            lambda: data.windows(np.ones(4), 3, 2),
            r"windows: series \(4,\) float64 with size=3 and horizon=2: .* at least 5 steps",
        ),
        (lambda: data.batches(X, T[:3], size=2), r"arrays of the shapes \[\(10, 2\), \(3,\)\]"),
        (lambda: data.batches(np.ones(()), size=2), r"arrays of the shapes \[\(\)\]"),
        (lambda: data.batches(size=2), "no arrays"),
        (lambda: data.batches([[1], [1, 2]], size=2), r"batches: \[\[1\], \[1, 2\]\] makes no array"),
        (lambda: data.digit_rows("all"), "digit_rows: split='all'"),
        (lambda: data.digit_pixels(np.array([0, 1])), r"digit_pixels: split=\(2,\) int64"),
        (lambda: data.digits(["train"]), r"digits: split=\['train'\]"),
        (lambda: data.Batches(tn.ones(4, 4), 2, False, 0, False), r"batches: \(4, 4\) float64. Give at least one"),
        (lambda: data.windows([[1], [1, 2]], 1, 1), "windows: .* makes no array"),
        (lambda: data.batches(X, size=0), "size=0"),
        (lambda: data.batches(X, size=2, shuffle=7), "shuffle=7; it is True or False"),
        (lambda: data.batches(X, size=2).load_state_dict(3), "3 is no state"),
        (lambda: data.batches(X, size=2).load_state_dict({"epoch": 0, "batch": 9}), "batch=9; it is a whole number from 0 to 5"),
    ],
)
def test_misuse_is_named(make, words):
    with pytest.raises(data.DataError, match=words):
        make()


def test_errors_are_the_projects_own():
    assert issubclass(data.DataError, tn.TinygradNormError)
    assert issubclass(data.DataError, ValueError)


def test_tensors_are_taken_by_their_values():
    x = tn.tensor(np.arange(6.0), requires_grad=True)
    (batch,) = data.batches(x * 2, size=6)
    assert type(batch) is np.ndarray
    np.testing.assert_array_equal(batch, x.data * 2)
    np.testing.assert_array_equal(data.windows(x, 4, 2)[1], [[[4.0], [5.0]]])


def test_a_loop_learns():
    """Optimizer, schedule and batches together: a line through the digits' brightness."""
    images, _ = data.digits("train", dtype="float64")
    x = images.reshape(len(images), -1)
    y = x.sum(1, keepdims=True)
    w = tn.zeros(64, 1, requires_grad=True)
    optimizer = tn.optim.AdamW([w], lr=0.1, weight_decay=0)
    scheduler = tn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5 * 47)
    for a, b in (pair for batch in [data.batches(x, y, size=32, shuffle=True)] for _ in range(5) for pair in batch):
        optimizer.zero_grad()
        loss = ((tn.from_numpy(a) @ w - tn.from_numpy(b)) ** 2).mean()
        loss.backward()
        optimizer.step()
        scheduler.step()
    assert loss.item() < 0.02 * np.var(y)
