"""Memory that a run frees is kept for its next batch."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from beam_pipelines.launch.memory import keep_freed_memory
{call}
import numpy as np
import pyarrow as pa

def batches(count):
    for _ in range(count):
        [np.ones(1 << 22, np.uint8) for _ in range(8)]

batches(2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
batches(20)
print(pa.default_memory_pool().backend_name, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pool_and_page_faults(call: str = "keep_freed_memory()", **environment: str) -> tuple[str, int]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("MALLOC_", "ARROW_"))}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return told[0], int(told[1])


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc that is told")
@pytest.mark.parametrize("call", ["keep_freed_memory()", "import pyarrow; keep_freed_memory()"])
def test_memory_that_is_freed_is_not_got_again_page_by_page(call: str) -> None:
    pool, faults = pool_and_page_faults(call)
    assert pool == "system"
    assert faults * 10 < pool_and_page_faults("")[1]


def test_what_the_environment_says_is_left_as_it_is() -> None:
    assert pool_and_page_faults(ARROW_DEFAULT_MEMORY_POOL="mimalloc")[0] == "mimalloc"
