"""Modules around an emitted function of PyTorch's: where PyTorch has one for this norm, its constructor, state_dict and shapes."""

from __future__ import annotations

_LAST = '''
class {title}(torch.nn.Module):
    """As torch.nn.{title}: the same arguments, the same state_dict."""

    def __init__(self, normalized_shape, {rest}, device=None, dtype=None):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, how = shape, eps, {{"device": device, "dtype": dtype}}
        self.weight = torch.nn.Parameter(torch.ones(shape, **how)) if elementwise_affine else None
{bias}
    def forward(self, x):
        size = math.prod(self.normalized_shape)
        if tuple(x.shape[-len(self.normalized_shape):]) != self.normalized_shape:
            raise ValueError(f"{title}: {{tuple(x.shape)}} does not end in {{self.normalized_shape}}")
        weight = x.new_ones(size) if self.weight is None else self.weight.reshape(size)
{shift}        return {function}(x.reshape(-1, size), weight{given}, {eps}).reshape(x.shape)
'''
_SHIFT = "        bias = x.new_zeros(size) if self.bias is None else self.bias.reshape(size)\n"
_BIAS = "        self.bias = torch.nn.Parameter(torch.zeros(shape, **how)) if elementwise_affine and bias else None\n"

_RUNNING = '''
class {title}(torch.nn.Module):
    """As torch.nn.{title}1d, 2d and 3d: the same arguments, the same state_dict. By statistics of {of} in training; by the
    running ones otherwise, where there are any."""

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine={affine}, track_running_stats={track}, device=None, dtype=None
    ):
        super().__init__()
        how = {{"device": device, "dtype": dtype}}
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = torch.nn.Parameter(torch.ones(num_features, **how)) if affine else None
        self.bias = torch.nn.Parameter(torch.zeros(num_features, **how)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features, **how) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features, **how) if track_running_stats else None)
        count = torch.tensor(0, dtype=torch.long, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)

    def forward(self, x):
        weight = x.new_ones(self.num_features) if self.weight is None else self.weight
        bias = x.new_zeros(self.num_features) if self.bias is None else self.bias
        if not self.training and self.running_mean is not None:
            one = (-1, *[1] * (x.ndim - 2))
            scale = (weight / (self.running_var + self.eps).sqrt()).reshape(one)
            return (x - self.running_mean.reshape(one)) * scale + bias.reshape(one)
        if self.training and self.running_mean is not None:
            self._track(x.detach())
{call}

    @torch.no_grad()
    def _track(self, x):
{share}
        rows = {rows}
        self.running_mean.lerp_(rows.mean({over}){mean}.to(self.running_mean.dtype), share)
        self.running_var.lerp_(rows.var({over}){mean}.to(self.running_var.dtype), share)


{title}1d = {title}2d = {title}3d = {title}
'''

_GROUPS = '''
class GroupNorm(torch.nn.Module):
    """As torch.nn.GroupNorm: the same arguments, the same state_dict."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_channels} channels cannot be split into {num_groups} groups")
        how = {"device": device, "dtype": dtype}
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = torch.nn.Parameter(torch.ones(num_channels, **how)) if affine else None
        self.bias = torch.nn.Parameter(torch.zeros(num_channels, **how)) if affine else None

    def forward(self, x):
        weight = x.new_ones(self.num_channels) if self.weight is None else self.weight
        bias = x.new_zeros(self.num_channels) if self.bias is None else self.bias
        return group_norm(x.flatten(2) if x.ndim > 2 else x[..., None], weight, bias, self.eps, self.num_groups).reshape(x.shape)
'''

_ALONG = '''
class {title}(torch.nn.Module):
    """As torch.nn.{title}."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        turned = x.movedim(self.dim, -1)
        return {function}(turned.reshape(-1, turned.shape[-1])).reshape(turned.shape).movedim(-1, self.dim)
'''

_COSINE = '''
class CosineSimilarity(torch.nn.Module):
    """As torch.nn.CosineSimilarity."""

    def __init__(self, dim=1, eps=1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1, x2):
        a, b = (t.movedim(self.dim, -1) for t in torch.broadcast_tensors(x1, x2))
        return cosine_similarity(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]), self.eps).reshape(a.shape[:-1])
'''

_COUNTED = """        self.num_batches_tracked += 1
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum"""
_SHARE = "        share = self.momentum or 0.0  # PyTorch does not count here"
_ROWS = """        rows = x.movedim(1, -1)
        return batch_norm(rows.reshape(-1, self.num_features), weight, bias, self.eps).reshape(rows.shape).movedim(-1, 1)"""
_PLACES = """        return instance_norm(x.flatten(2), weight, bias, self.eps).reshape(x.shape)"""

MODULES = {
    "layer_norm": _LAST.format(
        title="LayerNorm", function="layer_norm", rest="eps=1e-5, elementwise_affine=True, bias=True", bias=_BIAS, shift=_SHIFT,
        given=", bias", eps="self.eps",
    ),
    "rms_norm": _LAST.format(
        title="RMSNorm", function="rms_norm", rest="eps=None, elementwise_affine=True", bias="", shift="", given="",
        eps="torch.finfo(x.dtype).eps if self.eps is None else self.eps",
    ),
    "batch_norm": _RUNNING.format(
        title="BatchNorm", of="the batch", affine=True, track=True, call=_ROWS, rows="x.movedim(1, -1).flatten(0, -2)", over=0, mean="", share=_COUNTED
    ),
    "instance_norm": _RUNNING.format(
        title="InstanceNorm", of="each sample", affine=False, track=False, call=_PLACES, rows="x.flatten(2)", over=2, mean=".mean(0)", share=_SHARE
    ),
    "group_norm": _GROUPS,
    "softmax": _ALONG.format(title="Softmax", function="softmax"),
    "log_softmax": _ALONG.format(title="LogSoftmax", function="log_softmax"),
    "cosine_similarity": _COSINE,
}  # fmt: skip
"""Of each norm that PyTorch has a module for, its text."""
