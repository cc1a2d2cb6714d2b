"""A verdict that travels: what goes into a link comes out of it, what is no link is named, and nothing runs unasked."""

from __future__ import annotations

import ast
import base64
import builtins
import json
import re
import threading
import zlib
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn
from tinygrad_norm.check import carried
from tinygrad_norm.check.carried import SourceError, source_of
from tinygrad_norm.check.carried import _text as carried_text
from tinygrad_norm.check.link import LONGEST, Carried, LinkError, is_link, read
from tinygrad_norm.check.repeated import answer, repeat

from .people import CASES

EPS = 1e-5
table = {"not": "text"}


def mean(a: np.ndarray) -> np.ndarray:
    return a.mean(-1, keepdims=True)


count = lambda a: prod(a.shape) // a.shape[-1]  # noqa: E731


def without_variance(dy, x, weight, bias, eps=EPS):
    c = x - mean(x)
    rstd = (mean(c * c) + eps) ** -0.5
    axes = tuple(range(x.ndim - 1))
    assert count(x) > 0
    return rstd * (dy * weight - mean(dy * weight)), (dy * c * rstd).sum(axes), dy.sum(axes)


def forward(x, weight, bias, eps=EPS):
    c = x - mean(x)
    rstd = (mean(c * c) + eps) ** -0.5
    return c * rstd * weight + bias, (c * rstd, rstd, weight)


def from_cache(dy, cache):
    xhat, rstd, weight = cache
    g = dy * weight
    return rstd * (g - mean(g) - xhat * mean(g * xhat)), (dy * xhat).sum(0), dy.sum(0)


class Held:
    scale = EPS

    @staticmethod
    def backward(dy, x, weight, eps=1e-6):
        rstd = ((x * x).mean(-1, keepdims=True) + eps) ** -0.5
        return rstd * dy * weight, (dy * x * rstd).sum(tuple(range(x.ndim - 1)))


def uses_a_table(dy, x):
    return dy * len(table)


def same(one, other):
    """Two verdicts that say the same, but for the numbers of lines."""
    assert one.summary == other.summary
    for n, j in one.judgements.items():
        kept = [[line for line in k.lines if not re.match(r"(and )?line \d+: ", line)] for k in (j, other.judgements[n])]
        assert kept[0] == kept[1]
        assert (j.status, j.max_abs) == (other.judgements[n].status, other.judgements[n].max_abs)


def test_a_link_holds_the_source_and_what_it_uses_and_nothing_else():
    verdict = tn.check(without_variance, "layer_norm", eps=1e-3, seed=5, shape=(3, 6))
    held = read(verdict.link())
    assert "def mean(" in held.source
    assert "from math import prod" in held.source
    assert "EPS = 1e-05" in held.source
    assert "import pytest" not in held.source
    assert (held.name, held.norm) == ("without_variance", "layer_norm")
    assert held.options == {"eps": 1e-3}
    assert held.how == {"seed": 5, "shape": (3, 6)}
    again = repeat(held)
    same(verdict, again)
    assert again.link() == verdict.link()
    assert verdict.link("https://example.org/book/try.html#old").startswith("https://example.org/book/try.html#v1.")


@pytest.mark.thorough
def test_a_forward_and_a_class_travel():
    for verdict in (tn.check(from_cache, "layer_norm", forward=forward), tn.check(Held.backward, "rms_norm", dtype=np.float32)):
        same(verdict, repeat(read(verdict.link())))


@pytest.mark.thorough
@pytest.mark.parametrize("case", CASES[::7], ids=lambda c: c.name)
def test_what_travels_gets_the_verdict_it_had(case, monkeypatch):
    def undecorated(value, name=""):
        tree = ast.parse(carried_text(value, name))
        if not isinstance(tree.body[0], (ast.FunctionDef, ast.ClassDef)):
            return ast.unparse(tree)
        tree.body[0].decorator_list = [
            d for d in tree.body[0].decorator_list if ast.unparse(d).split("(")[0] not in ("right", "wrong")
        ]
        return ast.unparse(tree)

    monkeypatch.setattr(carried, "_text", undecorated)
    verdict = tn.check(case.candidate, case.norm, **case.options)
    same(verdict, repeat(read(verdict.link())))


words = st.text(max_size=40)
values = st.one_of(
    st.integers(-9, 9), st.floats(-1e9, 1e9), st.booleans(), words, st.tuples(st.integers(0, 9), st.integers(0, 9))
)


@settings(max_examples=40, deadline=None)
@given(
    words,
    st.sampled_from(["", "f", "C.backward", "größe"]),
    words,
    st.dictionaries(st.sampled_from(["eps", "num_groups", "eps_mode", "π"]), values, max_size=3),
    st.fixed_dictionaries({}, optional={"shape": st.tuples(st.integers(1, 9)), "seed": st.integers(1, 99), "dtype": words}),
)
def test_there_and_back(source, name, norm, options, how):
    made = Carried(source, name, norm, options, how)
    link = made.address("https://example.org/try.html")
    assert is_link(link)
    assert set(link) <= set("https://example.org/try.html#ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert read(link) == read(link.partition("#")[2]) == made


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda b: base64.urlsafe_b64encode(b).decode().rstrip("="))))
def test_what_is_no_link_is_named(text):
    with pytest.raises(LinkError, match="link: "):
        read(f"try.html#v1.{text}")


def packed(plain, compressed=True):
    data = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return "#v1." + base64.urlsafe_b64encode(zlib.compress(data) if compressed else data).decode()


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("https://example.org/", "holds no check"),
        ("#v2.eNo", "of version v2"),
        (packed({"source": "x" * 300_000}), "more than"),
        (packed({"source": "x"})[:-12], "end is missing|damaged"),
        (packed({"source": "x"}, compressed=False), "damaged"),
        (packed(b"[" * 100_000), "damaged"),
        (packed([1]), "no check"),
        (packed({"source": 1}), "no check"),
        (packed({"source": "", "more": 1}), "no check"),
        (packed({"source": "", "options": 1}), "options is 1"),
        (packed({"source": "", "name": "f()"}), "no name of a function"),
        (packed({"source": "", "name": "../f"}), "no name of a function"),
        (packed({"source": "", "how": {"inputs": 1}}), "no argument of a check"),
        (packed({"source": "", "how": {"order": True}}), "no argument of a check"),
        (packed({"source": "", "how": {"shape": ["a"]}}), "no argument of a check"),
        (packed({"source": "", "how": {"shape": [100_000, 100_000]}}), "no argument of a check"),
        (packed({"source": "", "how": {"saved": {"a": 1}}}), "no argument of a check"),
        (packed({"source": "", "how": {"seed": -1}}), "no argument of a check"),
        (packed({"source": "", "how": {"forward": "os.system('x')"}}), "no argument of a check"),
        (packed({"source": "", "options": {"limit": 1e9}}), "not all of these are options"),
    ],
)
def test_a_hostile_or_damaged_link_says_what_it_is(link, says):
    with pytest.raises(LinkError, match=says):
        read(link)


def test_reading_runs_nothing(tmp_path):
    place = tmp_path / "here"
    held = read(Carried(f"open({str(place)!r}, 'w')", "f", "layer_norm").address())
    assert not place.exists()
    with pytest.raises(tn.TinygradNormError, match=r"^candidate\.py: there is no f in it"):
        repeat(held)
    assert place.exists(), "repeating does, and says so"


@pytest.mark.thorough
def test_what_cannot_travel_says_why():
    x = np.ones((2, 3))
    for verdict, says in (
        (tn.check(lambda dy, x: dy, "softmax", dim=-1), "a lambda; give it a name"),
        (tn.check(uses_a_table, "softmax", dim=-1), "uses_a_table uses table, a dict, which is no text"),
        (tn.check(without_variance, "layer_norm", inputs={"input": x}), "do not travel; ask with shape="),
        (tn.check(uses_a_table, lambda x: x * 2, inputs=(x,)), "a forward of your own"),
        (tn.check(np.multiply, "softmax", dim=-1), "no source"),
    ):
        with pytest.raises(LinkError, match=says):
            verdict.link()
    with pytest.raises(LinkError, match=rf"makes a link of \d+, and {LONGEST} is the most"):
        Carried(np.random.default_rng(0).bytes(9000).hex()).address()
    with pytest.raises(LinkError, match=r"options .* do not travel"):
        Carried("", options={"eps": object()}).address()


def test_a_nested_function_and_what_it_closes_over():
    half = 0.5

    def scaled(dy, x):
        return dy * half

    name, text = source_of(scaled)
    assert name == "scaled"
    names = {}
    exec(text, names)
    assert names["scaled"](4.0, None) == 2.0
    exec("def made(dy, x): return dy", names)
    with pytest.raises(SourceError, match="has no source"):
        source_of(names["made"])


@pytest.mark.thorough
def test_without_threads_and_without_what_is_compiled_the_verdict_is_the_same(monkeypatch):
    link = tn.check(without_variance, "layer_norm").link()
    before = repeat(read(link))
    importing = builtins.__import__

    def bare(name, *args, **kwargs):
        if name.partition(".")[0] in ("numba", "torch", "jax", "onnx", "pygraphviz", "cairosvg", "matplotlib"):
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    def no_thread(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    monkeypatch.setattr(builtins, "__import__", bare)
    again = repeat(read(link))
    same(before, again)
    assert any("no thread can be started" in note for note in again.notes)
    assert json.loads(answer(link))["text"] == again.text()


def test_what_the_page_gets_when_nothing_can_be_judged():
    assert json.loads(answer("#v1.zzz"))["text"].startswith("link: it is damaged")
    told = json.loads(answer(Carried("def f_backward(dy, x): return dy").address()))
    assert told["judged"] is False
    assert "which norm f_backward belongs to" in told["text"]
