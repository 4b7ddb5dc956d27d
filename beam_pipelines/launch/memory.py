"""How this process and those that it starts get memory."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # glibc's malloc.h
_KEPT_BYTES = 64 << 20
_MAPPED_BYTES = 32 << 20  # the most that glibc takes
_ARENAS = 1

_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_TRIM_THRESHOLD_": str(_KEPT_BYTES),
    "MALLOC_MMAP_THRESHOLD_": str(_MAPPED_BYTES),
    "MALLOC_ARENA_MAX": str(_ARENAS),
}


def keep_freed_memory() -> None:
    """Keep memory that is freed for the next batch, up to 64 MiB of it, instead of giving it back at once.

    A batch's columns are a few megabytes each, which both glibc and Arrow's allocator return to the system when
    they are freed; getting it again for the next batch, page by page, took a seventh of a run's CPU. Threads share
    what is kept (one arena): it is 40 MB less, and takes no longer with one thread at work at a time, as Python has it.
    What the environment says already is left as it is. Does nothing where the C library isn't glibc.
    """
    if any(name in os.environ for name in _ENVIRONMENT):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
    mallopt(_ARENA_MAX, _ARENAS)
    os.environ.update(_ENVIRONMENT)  # Arrow reads it when it is first imported; worker processes inherit it
    if "pyarrow" in sys.modules:
        import pyarrow as pa

        pa.set_memory_pool(pa.system_memory_pool())
