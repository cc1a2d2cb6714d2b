"""Memory that the C library gives back to the system has to be asked for again, page by page."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's <malloc.h>
_LARGEST = 1 << 30


def keep_pages() -> bool:
    """Ask the C library to keep freed memory for the next array; True if it agreed. Linux with glibc only.

    Above about 1 MB, touching fresh pages costs more than the arithmetic on them, and a backward pass asks
    for many such arrays. The price: the process does not shrink when arrays die. The setting is for the
    whole process and cannot be taken back, so it is never made for you. The same from outside, for one
    run: ``MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824``.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and all(mallopt(option, _LARGEST) == 1 for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
