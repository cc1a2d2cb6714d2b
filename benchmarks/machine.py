"""Which processor the figures come from, what NumPy and PyTorch use of it, and how to hold everybody to AVX2."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_norm.learn.result import processor

from .peers import available


def _config() -> dict[str, Any]:
    return np.show_config(mode="dicts")  # type: ignore[return-value]


def features() -> tuple[list[str], list[str]]:
    """What NumPy cannot leave, and what it found besides; the names differ from version to version."""
    known = _config().get("SIMD Extensions", {})
    return list(known.get("baseline", ())), list(known.get("found", ()))


def _wide(feature: str) -> bool:
    return "AVX512" in feature or feature == "X86_V4"


def simd() -> str:
    """The widest instructions that NumPy uses, in a word."""
    names = [*features()[0], *features()[1]]
    if any(map(_wide, names)):
        return "AVX-512"
    if {"AVX2", "X86_V3"} & set(names):
        return "AVX2"
    return names[-1] if names else "no SIMD"


def without_avx512() -> dict[str, str]:
    """The environment in which a new process does without AVX-512; empty where NumPy finds none.

    Also by hand: ``NPY_DISABLE_CPU_FEATURES="…" OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 python -m benchmarks``.
    """
    names = [f for f in features()[1] if _wide(f)]
    if not names:
        return {}
    return {
        "NPY_DISABLE_CPU_FEATURES": " ".join(names),
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels; below, the libraries that it calls
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # what it kept on disk was made for all instructions, and gives garbage here
    }


def outside(found: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was found, without what holds NumPy's products of matrices to an older processor while PyTorch is not
    held: where only one contender may use all of it, no ratio says anything."""
    held = "ATEN_CPU_CAPABILITY" in found or "ONEDNN_MAX_CPU_ISA" in found
    return {name: value for name, value in found.items() if held or name != "OPENBLAS_CORETYPE"}


def described() -> str:
    """One line: processor, versions, instructions."""
    blas = _config().get("Build Dependencies", {}).get("blas", {})
    parts = [
        processor(),
        f"Python {sys.version.split()[0]}",
        f"NumPy {np.__version__} with {simd()} and {blas.get('name', 'no BLAS')} {blas.get('version', '')}".rstrip(),
    ]
    if available("torch"):
        import torch

        parts.append(f"PyTorch {torch.__version__} with {torch.backends.cpu.get_cpu_capability()}")
    return ", ".join(parts)
