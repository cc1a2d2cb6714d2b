"""A derivation on paper: LaTeX that compiles, a page that is whole and harmless, Markdown, plain ASCII."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import derive
from tinygrad_norm.derive.pages import join
from tinygrad_norm.derive.writer import GREEK, latex_name

NAMES = ["layer_norm", "batch_norm", "softmax", "cross_entropy", "weight_standardization", "normalize", "ada_norm", "weight_norm",
         "group_norm", "adaptive_instance_norm", "cosine_similarity"]  # fmt: skip
KATEX = {*GREEK.values(), "hat", "bar", "tilde", "mathrm", "cdot", "frac", "sqrt", "sum", "operatorname", "left", "right", "exp", "log",
         "tanh", "sin", "cos", "quad", "|", ",", "square", "ge", "le", "ne", "geq", "leq", "neq", "{", "}", " ", "text", "lvert", "rvert",
         "mathit", "prime", "Vert", "lVert", "rVert", "geqslant"}  # fmt: skip


def found():
    odd = derive(lambda **k: k["</script>"] * k["a_b&%"].tanh(), inputs={"</script>": ("<b>", "N"), "a_b&%": ("N",)})
    user = derive(
        lambda x, w: x / (1 + (x * x).mean(-1, True)).sqrt() * w.exp() * 1e-5, "w", inputs={"x": ("B", "N"), "w": ("N",)}
    )
    return [*(tn.derive(n) for n in NAMES), tn.derive("layer_norm", eps_mode="std"), tn.derive("layer_norm", order=2),
            tn.derive("normalize", p=3), user, odd]  # fmt: skip


@pytest.fixture(scope="module")
def derivations():
    return found()


def balanced(text):
    depth = 0
    for ch in re.sub(r"\\[{}|\\]", "", text):
        depth += {"{": 1, "}": -1}.get(ch, 0)
        assert depth >= 0
    return depth == 0


def test_latex_is_ascii_balanced_and_known_to_katex(derivations):
    for d in derivations:
        for text in (d.latex(), *re.findall(r"\$\$?([^$]+)\$\$?", d.markdown())):
            assert text.isascii(), text
            assert balanced(text), text
            assert text.count("\\left") - text.count("\\leftarrow") == text.count("\\right"), text
            assert set(re.findall(r"\\([a-zA-Z]+|.)", text)) <= KATEX, text
            assert not re.search(r"(?<!\\)[&#%~]", text), text


def test_layer_norm_in_latex():
    assert tn.derive("layer_norm").latex() == (
        r"dx = \mathrm{rstd}\,\left(g - \operatorname{mean}_{N}\left(g\right) - "
        r"\hat{x}\,\operatorname{mean}_{N}\left(g\,\hat{x}\right)\right),\quad g = dy\,\gamma"
    )


@pytest.mark.parametrize(
    ("name", "latex"),
    [("x̂", r"\hat{x}"), ("σ²", r"\sigma ^{2}"), ("rstd", r"\mathrm{rstd}"), ("dx", "dx"), ("m₂", "m_{2}"), ("a%b", r"a\square b"),
     ("‖x‖", r"\|x\|"), ("N′", "N'"), ("汉", r"\square")],
)  # fmt: skip
def test_names_in_latex(name, latex):
    assert latex_name(name) == latex


def compiles(derivations, folder):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    (folder / "d.tex").write_text(join(derivations, "latex"), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "d.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]
    assert "Overfull \\hbox" not in done.stdout, "a line runs out of the page"
    assert (folder / "d.pdf").stat().st_size > 1000


def test_latex_compiles(derivations, tmp_path):
    compiles(derivations[:-1], tmp_path)


def test_latex_with_odd_names_compiles(derivations, tmp_path):
    compiles(derivations[-1:], tmp_path)


class Page(HTMLParser):
    """Tags that open and close in order; what they say."""

    VOID = {"meta", "br", "hr", "img", "link", "input", "col"}  # noqa: RUF012

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> in <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)


def test_a_page_is_whole_and_harmless(derivations):
    for text in (*(d.html() for d in derivations), join(derivations, "html")):
        page = Page(text)
        assert page.open == []
        assert not {"script", "link", "img", "iframe", "b><", "object"} & set(page.tags)
        assert "<script" not in text.lower()
        assert not re.search(r"https?:|url\(|@import|javascript:", text.replace("http://www.w3.org/1998/Math/MathML", ""), re.I)
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert ("http-equiv", "Content-Security-Policy") in page.attributes
        policy = next(v for k, v in page.attributes if k == "content" and "default-src" in v)
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert {"math", "details", "summary", "mi", "mo"} <= set(page.tags)


def test_an_odd_name_is_only_a_name(derivations):
    odd = derivations[-1]
    page = Page(odd.html())
    assert "</script>" not in odd.html()
    assert any("</script>" in w for w in page.words)
    assert "&lt;/script&gt;" in odd.html()


def test_the_page_says_what_the_text_says(derivations):
    for d in derivations:
        words = "".join(Page(d.html()).words)
        assert d.title in words
        assert d.numpy_source() in words
        for s in d.steps:
            if s.kind in ("route", "rewrite"):
                assert s.rule in words


def test_markdown_has_the_formula_and_every_line(derivations):
    for d in derivations:
        text = d.markdown()
        assert d.latex() in text
        assert text.startswith(f"# {d.title}")
        assert text.count("$$") % 2 == 0
        for s in d.steps:
            assert s.kind != "rewrite" or f"**{s.rule}" in text


def test_the_text_has_every_line_and_an_ascii_form(derivations):
    for d in derivations:
        text = d.text()
        assert str(d.formula) in text
        assert "largest difference to the record's gradient" in text
        assert text.count("\n") > len(d.steps)
        assert d.text(ascii=True).isascii(), [c for c in d.text(ascii=True) if not c.isascii()]
        assert len(d.text(ascii=True).splitlines()) == len(text.splitlines())
    assert str(tn.derive("layer_norm").formula) in derivations[0].text()
    assert "rstd*(g - mean(g) - xhat*mean(g*xhat))" in derivations[0].text(ascii=True)


def test_several_in_one_file_of_each_kind(derivations):
    some = derivations[:3]
    assert join(some, "latex").count("\\begin{document}") == 1
    assert join(some, "html").count("<!doctype html>") == 1
    assert join(some, "numpy").count("import numpy as np") == 1
    assert join(some, "numpy").count("\ndef ") == 3
    compile(join(some, "numpy"), "several", "exec")
    for d in some:
        assert str(d.formula) in join(some, "text")
        assert d.latex() in join(some, "markdown")
