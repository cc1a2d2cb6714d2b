# %% [markdown]
# # 32 · Claims, put to the test
#
# Five sentences that are told about normalization. Say for each what an experiment will show:
# `"confirmed"`; `"bounded"`: true under a condition that you can name, and shown false outside it;
# or `"corrected"`: not true, no condition saves it, and another sentence is. Nothing is run before
# you have said all. What decides them stands in lessons 5, 10, 12, 14 and 15.
#
#     one-law-of-scale      Weights times 10 and a learning rate times 100: a normalized network trains in just the same way.
#     which-mean            In LayerNorm's dx, the means are taken over the batch.
#     mean-zero-std-one     After normalizing, x̂ has mean 0 and standard deviation 1.
#     no-batch-no-mode      LayerNorm treats each sample by itself, and does the same in training and in use.
#     the-term-that-vanishes  The route through the mean inside the variance is zero, so it does not matter.
#
# Afterwards: `tinygrad-norm claims one-law-of-scale` shows what was done, who says so, and what
# came.

# %%
answers = {
    # >>> yours
    "one-law-of-scale": "confirmed",
    "which-mean": "corrected",
    "mean-zero-std-one": "bounded",
    "no-batch-no-mode": "confirmed",
    "the-term-that-vanishes": "bounded",
    # --- stub
    # "one-law-of-scale": "?",
    # "which-mean": "?",
    # "mean-zero-std-one": "?",
    # "no-batch-no-mode": "?",
    # "the-term-that-vanishes": "?",
    # <<<
}

# === for the teacher
from functools import cache

from tinygrad_norm.learn import Exercise, Predictions, Wrong, claim, run

NAMES = ("one-law-of-scale", "which-mean", "mean-zero-std-one", "no-batch-no-mode", "the-term-that-vanishes")

ALSO = {"the-term-that-vanishes": ". (And in lesson 5: cut from the record, it makes second derivatives wrong)"}


@cache
def truth():
    """The experiments, run here with few seeds."""
    found = {}
    for name in NAMES:
        verdict = run(name, claim(name), quick=True).verdict
        found[name] = (verdict.word, f"{verdict.figure}{ALSO.get(name, '')}")
    return found


exercise = Exercise(
    goal="hold a sentence about networks against an experiment, after saying what you expect",
    lesson="a_norm_for_a_series_and_for_a_graph",
    minutes=15,
    judge=Predictions(
        truth,
        dict.fromkeys(NAMES, ("confirmed", "bounded", "corrected")),
        {
            "one-law-of-scale": "A gradient with respect to a weight that is ten times as large is a tenth: how far does lr·100 then carry it?",
            "which-mean": "Which numbers act on one number of y (exercise 20)?",
            "mean-zero-std-one": "What does ε do where σ is as small as √ε, and can you name when it does not matter?",
            "no-batch-no-mode": "Is there anything in LayerNorm that two samples share?",
            "the-term-that-vanishes": "On paper Σc = 0. And when it is differentiated once more (lesson 5), or in 16 digits, where x is a million and σ is 1?",
        },
    ),
    hints=(
        "For each: is there a case in which it fails, and if so, is a condition enough to save it?",
        "Way: scale, axes, ε, what is shared, rounding: one of these decides each sentence.",
        "Shape: two are confirmed, two bounded, one corrected.",
        "confirmed, corrected, bounded, confirmed, bounded",
    ),
    wrong=(
        Wrong("", "", "say all 5 before anything is run"),
        Wrong('"which-mean": "corrected"', '"which-mean": "confirmed"', "which-mean: not confirmed"),
        Wrong('"mean-zero-std-one": "bounded"', '"mean-zero-std-one": "confirmed"', "can you name when it does not matter?"),
        Wrong('"one-law-of-scale": "confirmed"', '"one-law-of-scale": "bounded"', "a tenth"),
    ),
)
