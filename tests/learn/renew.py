"""Run claims again and store what comes: results/, pictures/ and README.md in lessons/claims.

    python -m tests.learn.renew                     # every claim
    python -m tests.learn.renew batch-of-two        # some
    python -m tests.learn.renew --words             # no run: titles, sentences, verdicts and pictures anew from stored figures

One process at a time for a claim; several for several are fine.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from tinygrad_norm.engine.files import write_whole
from tinygrad_norm.learn import claim, claim_names, claims_folder, readme, run, stored


def store(names: list[str], words: bool, folder: Path) -> None:
    for name in names:
        one = claim(name)
        if words:
            old = stored(name)
            if old is None:
                continue
            result = replace(
                old,
                title=one.title,
                says=dict(one.says),
                opposed=one.opposed,
                verdict=one.judge(old.figures),
                setting=dict(one.setting),
            )
        else:
            result = run(name, one)
        result.save(folder / "results")
        write_whole(folder / "pictures" / f"{name}.svg", one.picture(result.figures).svg(result.title))
        print(f"{name:32} {result.verdict.word:12} {result.seconds:6.1f} s  {result.verdict.figure}", flush=True)
    found = [r for n in claim_names() if (r := stored(n)) is not None]
    write_whole(folder / "README.md", readme(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--words", action="store_true")
    args = parser.parse_args()
    store(args.names or claim_names(), args.words, claims_folder())
