# %% [markdown]
# # 18 · Name the term before you run it
#
# Five backwards of LayerNorm's dx (g = dy·γ, means over the row). One is right. Read, decide, and
# write a word for each; nothing is run before you have said all five. (Where two would fit, the
# nearer to the code.)
#
#     one    rstd·(g − mean(g) − x̂·Σ(g·x̂))
#     two    rstd·(g − x̂·mean(g·x̂))
#     three  rstd·(g − mean(g) + x̂·mean(g·x̂))
#     four   γ·rstd·(dy − mean(dy) − x̂·mean(dy·x̂))
#     five   rstd·g − rstd·(mean(g) + x̂·mean(g·x̂))
#
# The words: `"right"`, `"mean forgotten"`, `"sum for mean"`, `"sign"`, `"γ too late"`.

# %%
answers = {
    # >>> yours
    "one": "sum for mean",
    "two": "mean forgotten",
    "three": "sign",
    "four": "γ too late",
    "five": "right",
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

import tinygrad_norm as tn
from tinygrad_norm.learn import Exercise, Predictions, Wrong


def mean(a):
    return a.mean(-1, keepdims=True)


def planted(formula):
    def backward(dy, x, weight, bias, eps):
        c = x - mean(x)
        rstd = (mean(c * c) + eps) ** -0.5
        return formula(dy, dy * weight, c * rstd, rstd, weight), (dy * c * rstd).sum(0), dy.sum(0)

    return backward


FORMULAS = {
    "one": lambda dy, g, h, r, w: r * (g - mean(g) - h * (g * h).sum(-1, keepdims=True)),
    "two": lambda dy, g, h, r, w: r * (g - h * mean(g * h)),
    "three": lambda dy, g, h, r, w: r * (g - mean(g) + h * mean(g * h)),
    "four": lambda dy, g, h, r, w: w * r * (dy - mean(dy) - h * mean(dy * h)),
    "five": lambda dy, g, h, r, w: r * g - r * (mean(g) + h * mean(g * h)),
}
WORDS = {
    "sum for mean": "σ²: sum for mean",
    "mean forgotten": "μ: term dropped",
    "sign": "σ²: sign",
    "γ too late": "γ after instead of before",
}


@cache
def truth():
    """What ``tn.check`` says of each."""
    found = {}
    for name, formula in FORMULAS.items():
        dx = tn.check(planted(formula), "layer_norm").judgements["input"]
        word = "right" if dx.ok else next((w for w, m in WORDS.items() if m in dx.mistakes), "?")
        told = next((line for line in dx.lines if not line.startswith("your dx =")), "")
        found[name] = (word, "Multiplied out it is the formula." if dx.ok else told)
    return found


exercise = Exercise(
    goal="read a backward and name what is wrong with it, before anything is run",
    lesson="name_the_missing_term",
    minutes=10,
    judge=Predictions(
        truth,
        dict.fromkeys(FORMULAS, ("right", *WORDS)),
        {
            "one": "Compare the last term with the right formula, letter by letter.",
            "two": "Count the terms.",
            "three": "Compare what stands between the terms.",
            "four": "Where does γ stand in the right formula, before the means are taken or after?",
            "five": "Multiply it out.",
        },
    ),
    hints=(
        "The right formula has three terms and two means. Which of the five have other ones?",
        "Way: look at direct, mean, variance one after the other in each.",
        "Shape: one has a Σ, one has two terms, one a plus, one has γ outside; one is only multiplied out.",
        'one: "sum for mean", two: "mean forgotten", three: "sign", four: "γ too late", five: "right"',
    ),
    wrong=(
        Wrong("", "", "say all 5 before anything is run"),
        Wrong('"one": "sum for mean"', '"one": "right"', "one: not right"),
        Wrong('"five": "right"', '"five": "sign"', "five: not sign. Multiply it out."),
        Wrong('"four": "γ too late"', '"four": "γ forgotten"', "say all 5 before anything is run; open: four"),
    ),
)
