# %% [markdown]
# # 21 · Which names meet
#
# Four norms are one function over other axes. For some shapes two of them are the same one (γ and β
# left out). Lesson 11 has three pairs; here are five others. Say for each `"the same"` or
# `"different"`; nothing is run before you have said all.
#
#     one    GroupNorm with one group, and LayerNorm over the features, for a table (N, D)
#     two    BatchNorm of images (N, C, H, W), and BatchNorm of the table (N·H·W, C) of their pixels
#     three  RMSNorm and LayerNorm, for rows that have mean 0 already
#     four   LayerNorm of each token, and GroupNorm with one group over (features, tokens)
#     five   BatchNorm of a batch of one image, and InstanceNorm of it

# %%
answers = {
    # >>> yours
    "one": "the same",
    "two": "the same",
    "three": "the same",
    "four": "different",
    "five": "the same",
    # --- stub
    # "one": "?",
    # "two": "?",
    # "three": "?",
    # "four": "?",
    # "five": "?",
    # <<<
}

# === for the teacher
from functools import cache

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import Exercise, Predictions, Wrong

F = tn.functional


@cache
def truth():
    """Both of each pair, on random numbers of many sizes."""
    rng = np.random.default_rng(0)
    x = tn.tensor(rng.normal(size=(3, 4, 2, 5)) * rng.uniform(0.5, 4, (3, 4, 1, 1)))
    table, tokens = tn.tensor(rng.normal(2, 3, (6, 5))), tn.tensor(rng.normal(size=(2, 7, 8)) * rng.uniform(0.3, 3, (2, 7, 1)))
    pixels, centred = x.transpose(0, 2, 3, 1).reshape(-1, 4), table - table.mean(-1, keepdims=True)
    pairs = {
        "one": (F.group_norm(table, 1), F.layer_norm(table, 5)),
        "two": (F.batch_norm(x, training=True).transpose(0, 2, 3, 1).reshape(-1, 4), F.batch_norm(pixels, training=True)),
        "three": (F.rms_norm(centred, 5, eps=1e-5), F.layer_norm(centred, 5)),
        "four": (F.layer_norm(tokens, 8), F.group_norm(tokens.transpose(0, 2, 1), 1).transpose(0, 2, 1)),
        "five": (F.batch_norm(x[:1], training=True), F.instance_norm(x[:1])),
    }
    gaps = {name: float(np.abs(a.data - b.data).max()) for name, (a, b) in pairs.items()}
    return {name: ("the same" if gap < 1e-12 else "different", f"max |Δ| {gap:.1e}") for name, gap in gaps.items()}


exercise = Exercise(
    goal="tell norms apart, and alike, by what is averaged with what",
    lesson="where_the_names_meet",
    claims=("group-norm-between", "one-group"),
    minutes=8,
    judge=Predictions(
        truth,
        dict.fromkeys(("one", "two", "three", "four", "five"), ("the same", "different")),
        {
            "one": "Which numbers of a table share a mean, if all its features are one group?",
            "two": "Which numbers share a mean in each: those of a channel, or of a column?",
            "three": "What does LayerNorm do that RMSNorm does not, and what is left of it where the mean is 0?",
            "four": "Does one token see another?",
            "five": "Over which axes is a channel's mean taken, and what is left of N?",
        },
    ),
    hints=(
        "For each of the two: which numbers share a mean?",
        "Way: write the axes of both down: (N, H, W), (C, H, W), (H, W), or a group's.",
        "Shape: four pairs are alike, one is not.",
        "the same, the same, the same, different, the same",
    ),
    wrong=(
        Wrong("", "", "say all 5 before anything is run"),
        Wrong('"four": "different"', '"four": "the same"', "four: not the same. Does one token see another?"),
        Wrong('"five": "the same"', '"five": "different"', "five: not different. Over which axes"),
        Wrong('"one": "the same"', '"one": "alike"', "open: one"),
    ),
)
