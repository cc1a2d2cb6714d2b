"""Every stored verdict is that of its rule, every rule can fail, and the table is made from what is stored."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tinygrad_norm import FileError, OptionError
from tinygrad_norm.learn import (
    WORDS,
    Claim,
    Verdict,
    agreement,
    claim,
    claim_names,
    claims_folder,
    overview,
    page,
    read,
    readme,
    run,
    stored,
)

NAMES = claim_names()
ALL = {name: claim(name) for name in NAMES}
RESULTS = {name: found for name in NAMES if (found := stored(name)) is not None}


def test_every_claim_is_stored():
    assert list(RESULTS) == NAMES
    kept = {p.stem for p in (claims_folder() / "results").iterdir()}
    assert kept == set(NAMES) == {p.stem for p in (claims_folder() / "pictures").iterdir()}


def test_all_sentences_have_a_page():
    assert set(range(1, 52)) <= {k for one in ALL.values() for k in one.says}


def test_stored_verdicts_are_those_of_the_rules():
    for name, result in RESULTS.items():
        one = ALL[name]
        assert one.judge(result.figures) == result.verdict, name
        assert result.seeds == list(range(one.seeds)), name
        assert (result.title, result.says, result.opposed) == (one.title, dict(one.says), one.opposed), name


def test_every_rule_can_fail():
    for name, result in RESULTS.items():
        changes = ALL[name].otherwise(result.figures)
        assert changes, name
        for words, verdict in changes.items():
            assert verdict.word != result.verdict.word, f"{name}: {words}"


def test_the_rules_hold_for_the_few_seeds_of_quick():
    """The same rule, and the same word, on the first of the seeds that are stored."""
    for name, result in RESULTS.items():
        few = {k: v[: ALL[name].few] for k, v in result.figures.items()}
        assert ALL[name].judge(few).word == result.verdict.word, name


def test_readme_and_pictures_are_made_from_what_is_stored():
    folder = claims_folder()
    assert (folder / "README.md").read_text(encoding="utf-8") == readme(list(RESULTS.values()))
    for name, result in RESULTS.items():
        drawn = ALL[name].picture(result.figures).svg(result.title)
        assert (folder / "pictures" / f"{name}.svg").read_text(encoding="utf-8") == drawn, name


def test_the_readme_says_the_stored_verdicts():
    path = claims_folder().parents[1] / "README.md"
    if not path.exists():
        pytest.skip("the README is not beside the tests")
    said = re.findall(r"^- \[([\w-]+)\]\(lessons/claims/(\w+)\.py\), ([a-z]+(?: here)?)", path.read_text(encoding="utf-8"), re.M)
    assert len(said) == 10
    for name, file, word in said:
        assert file == name.replace("-", "_")
        assert RESULTS[name].verdict.word == word, name


def test_every_page_names_its_source_and_prints():
    for name, result in RESULTS.items():
        one = ALL[name]
        assert re.search(r"arXiv:\d{4}\.\d{4,5}|\b(19|20)\d\d\b", one.source), name
        for field in (one.title, one.told_by, one.differs, one.measure, one.decides):
            assert field.strip(), name
        text = page(one, result)
        assert all(part in text for part in (result.verdict.word, result.title, "what would change it"))
        assert all(line == line.rstrip() for line in text.splitlines())
    assert all(name in overview(list(RESULTS.values())) for name in NAMES)
    assert max(map(len, overview(list(RESULTS.values()), columns=80).splitlines()[:-1])) <= 80


def test_files_are_lessons():
    for name in NAMES:
        text = (claims_folder() / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
        assert text.startswith("# %% [markdown]\n# # "), name
        assert text.rstrip().endswith('if __name__ == "__main__":\n    tn.learn.show(claim)'), name
        body = re.search(r"^def experiment.*?(?=^# %%)", text, re.S | re.M)
        assert body is not None, name
        assert len(body.group().splitlines()) <= 60, name


@pytest.mark.parametrize("name", ["table-one", "three-terms"])
def test_a_claim_runs_again(name):
    result = run(name, ALL[name], quick=True)
    assert result.seeds == list(range(ALL[name].few))
    assert result.verdict.word == RESULTS[name].verdict.word
    assert np.isfinite(result.seconds)


def test_a_result_comes_back_from_its_file(tmp_path):
    result = RESULTS["table-one"]
    strange = replace(result, figures={"x": np.array([1 / 3, np.inf]), "y": np.array([0.0, 1e-300])})
    back = read(strange.save(tmp_path))
    assert all(np.array_equal(back.figures[k], v) for k, v in strange.figures.items())
    assert replace(back, figures={}) == replace(strange, figures={})
    for content in ("{", "[]", '{"form": "another"}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(FileError, match="is no result of a claim"):
            read(tmp_path / "bad.json")
    with pytest.raises(FileError, match="No such file"):
        read(tmp_path / "none.json")


def test_what_depends_on_the_processor_is_said():
    here = RESULTS["table-one"]
    other = replace(here, verdict=Verdict("confirmed", "", ""), processor="Abacus", seeds=[0])
    assert agreement(here, here).ok
    assert agreement(None, here).ok
    found = agreement(other, here)
    assert not found.ok
    assert re.search(r"stored confirmed, here corrected .*another processor than Abacus.*3 seeds here, 1 there", found.text)


def test_seeds_must_have_the_same_figures():
    one = Claim(**{**ALL["three-terms"].__dict__, "experiment": lambda seed: {f"x{seed}": 1.0}})
    with pytest.raises(OptionError, match="seed 1 gives the figures x1, and seed 0 x0"):
        run("bad", one)
    for seeds in (0, -1):
        with pytest.raises(OptionError, match="seeds"):
            run("bad", one, seeds)


def test_a_rule_gives_one_of_the_five_words():
    one = ALL["three-terms"]
    for wrong in (Verdict("false", "", ""), "confirmed", None):
        bad = Claim(**{**one.__dict__, "rule": lambda f, wrong=wrong: wrong})
        with pytest.raises(OptionError, match=f"one of {', '.join(WORDS)}"):
            bad.judge({"x": [1.0]})
    with pytest.raises(OptionError, match="'width' is no figure; there are x"):
        Claim(**{**one.__dict__, "changes": {"so": {"width": 1.0}}}).otherwise({"x": np.ones(2)})


def test_names_that_are_none():
    with pytest.raises(OptionError, match=r"'table-two' is no claim; did you mean table-one"):
        claim("table-two")
    assert claim("table_one").title == ALL["table-one"].title
