"""What we take and PyTorch (for ``np.…``, NumPy) does not, on purpose: each line is a promise with its reason.

A call that the referee refuses and we answer is a finding unless a line here knows it.
"""

from __future__ import annotations

import re

#: (target, what the referee says, why we answer all the same)
KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        "",
        r"must be Tensor, not (int|float|bool|list|tuple|range|complex|numpy|ndarray)|must be tuple of Tensors|expected Tensor as element"
        r"|'(int|float|bool|complex|list)' object has no attribute",
        "numbers, lists, arrays and iterables become tensors",
    ),
    (
        "",
        r"'(dim|normalized_shape|axis|size)'.*must be (int|tuple of ints), not (tuple|list|int)\b",
        "one axis or several, one size or several",
    ),
    ("", r"'(dims)'.*must be tuple of ints, but found", "one axis or several"),
    (
        "",
        r"(expect\w*|to have) .*dtype|[Ff]ound dtype|mixed dtype|expected scalar type|Input type .* and (bias|weight) type|same dtype|must have the same",
        "dtypes meet by NumPy's promotion",
    ),
    (
        "",
        r"[Oo]verflow when unpacking|int too big to convert|out of range.*(long|int)|too large to convert",
        "whole numbers have no end",
    ),
    (
        r"\.(clamp|clip)$",
        r"clamp\(\) received an invalid combination",
        "a bound may be a tensor, an array or a number, each on its own",
    ),
    (
        r"\.prod$|\.(sum|mean|max|std|var)$",
        r"received an invalid combination of arguments - got \((Tensor)?(, )?keep\w+=bool(, )?\)",
        "keepdim without dim keeps all axes",
    ),
    (r"\.prod$", r"must be int, not tuple|got \(Tensor, tuple|dim=tuple", "several axes at once"),
    (
        "",
        r"'?(keepdim|requires_grad|descending|largest|sorted|ceil_mode|count_include_pad)'?( \(position \d\))? must be bool, not int|keepdim=int",
        "0 and 1 are flags",
    ),
    (r"tn\.", r"argument 'dtype' must be torch.dtype, not (str|type|numpy)", "a dtype by its name"),
    (
        r"\.(flip|tile|roll|movedim|moveaxis)$",
        r"must be tuple of ints, not int|movedim\(\) received an invalid combination",
        "one axis or several",
    ),
    (r"\.mean$", r"could not infer output dtype", "the mean of integers is a float, as NumPy has it"),
    (
        r"(?i)loss(\.forward)?$|kl_div|entropy\w*$",
        r"Integral inputs|result type \w+ can't be cast",
        "dtypes meet by NumPy's promotion",
    ),
    (r"\.arg(max|min)$", r"bool input", "truth values count as 0 and 1"),
    (r"broadcast_to$", r"missing 1 required", "no size at all is the shape of one number"),
    (r"BatchNorm|batch_norm", r"eps must be positive", "ε = 0 is the formula itself, right where the variance is not 0"),
    (r"__contains__$", r"only supports Tensor or scalar", "what holds no numbers is in no tensor"),
    (r"batch_norm$", r"missing 2 required", "the running statistics may be left out"),
    (r"embedding$", r"argument #1 'indices'|must be Tensor", "an empty list is no index at all"),
    (r"^nn\.", r"leaf Variable that requires grad is being used in an in-place", "inplace=True is taken and changes nothing"),
    (r"\.(var|std)$", r"unbiased=NoneType", "None is the option that is not given"),
    (r"\.(var|std)$", r"got \((Tensor, )?unbiased=bool, keepdim=bool", "keepdim without dim keeps all axes"),
    (r"^nn\.\w+Loss", r"cannot assign 'float' object to buffer 'weight'", "numbers become tensors"),
    (
        r"^nn\.(RNN|LSTM|GRU)",
        r"sequence length to be larger than 0|input_size must be greater",
        "no steps, no features: an empty sum",
    ),
    (r"^nn\.Hardtanh", r"max_val .* must be greater than min_val", "one number is a range"),
    (r"Transformer|Attention", r"Need attn_mask if specifying the is_causal", "is_causal alone says what may be looked at"),
    (r"\.masked_fill$", r"got \((Tensor, )?bool, ", "truth values become tensors"),
    (r"nn\.", r"Invalid device string|'device' must be|'dtype' must be torch.dtype", "no device: dtype stands one place earlier"),
    (r"__getitem__$", r"step must be greater than zero", "negative steps, as NumPy has them"),
    (r"astype$", r"Invalid device string|to\(\)", "NumPy's name: it takes a dtype, by name too"),
    (
        r"transpose$|permute$",
        r"dim0|invalid combination|transpose\(\)|permute\(",
        "NumPy's permutation besides PyTorch's two axes",
    ),
    (
        r"\.(gelu|sigmoid|tanh|exp|log|erf|sqrt|rsqrt|softmax|silu|softplus|logsigmoid|glu|cos|sin|\w*[Ss]oftmax|\w*[Nn]orm\w*|forward|avg_pool\dd)$",
        r"[Nn]ot implemented for '?Complex",
        "a complex step",
    ),
    (r"\.", r"[Ii]ndexError: select\(\): index 0 out of range", "no samples, no channels: an empty result"),
    (
        r"\.(relu|sign|abs|pos|hardtanh)|__(abs|pos|sub|rsub|neg)__$|^nn\.(ReLU6?|Hardtanh)(\.forward)?$",
        r"[Bb]ool|unsigned type",
        "truth values count as 0 and 1",
    ),
    (r"\.stack$|\.concatenate$|\.cat$", r"", "any iterable of pieces"),
    (r"np\.clip$", r"missing 1 required", "one bound is enough, as in NumPy 2.1"),
    (r"(?i)pool\dd(\.forward)?$", r"len\(\) of a 0-d tensor", "a whole number from a tensor"),
    (r"(?i)pool\dd(\.forward)?$", r"non-zero size for non-batch|optional 0 dim batch size", "no channels: an empty result"),
    (r"\.(flip|logsumexp|(log_)?softmax)$", r"not NoneType", "None is every axis"),
    (r"\.prod$", r"'list' object cannot be interpreted as an integer", "several axes in a list"),
    (r"\.(flip|tile)$", r"must be tuple of ints, not Tensor", "a whole number, or several, from an array or a tensor"),
    (
        r"\.(any|all|min|max)$",
        r"received an invalid combination of arguments",
        "keepdims is keepdim; without an axis it keeps all",
    ),
    (r"__r?(or|and|xor|pow)__$", r"unsupported operand .* '(list|range|tuple)'", "lists become tensors"),
    (r"with_logits$|l1_loss$", r"'Long'|with a bool tensor", "a number takes the dtype of the tensor beside it"),
    (r"\.logsumexp$", r"output with shape \[\]", "no axis at all is every axis, as PyTorch's other reductions have it"),
    (r"\.(prod|squeeze)$", r"got \((Tensor, )?(NoneType|tuple)", "None is every axis; several at once"),
    (r"tn\.(arange|linspace|eye)$", r"received an invalid combination", "options by name, 0 and 1 as flags, m=None as n"),
    (r"tn\.(zeros|ones|rand|randn)$", r"missing 1 required", "no size at all is the shape of one number"),
    (r"tn\.full$", r"argument 'size' .* not Tensor", "a whole number from a tensor"),
    (r"\.pow$", r"got \((Tensor, )?(list|range)", "lists and ranges become tensors"),
    (r"\.sub_?$", r"with a bool tensor", "truth values count as 0 and 1"),
    (r"Tensor\.to$", r"Invalid device string", "a dtype by its name"),
    (r"\.topk$", r"bool dtypes", "truth values count as 0 and 1"),
    (r"__getitem__$", r"shape of the mask", "uint8 counts places, as NumPy has it"),
    (r"reshape$", r'missing 1 required positional arguments: "shape"', "no size at all is the shape of one number"),
    (r"^np\.|astype$", r"Cannot construct a dtype from an array", "a tensor has a dtype, which NumPy takes"),
)

#: Options that only we have: the referee has no say in them.
OURS_ONLY = re.compile(
    r"unexpected keyword argument|positional arguments? but|takes at most|invalid keyword|Unexpected key|'NoneType' object"
)


def reason(target: str, said: str) -> str | None:
    """Why an answer to this call is meant, or None."""
    return next((why for where, what, why in KNOWN if re.search(where, target) and re.search(what, said)), None)
