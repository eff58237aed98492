"""Memory that PyTorch frees: kept by the process, not asked for again page by page."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytest.importorskip("torch")

_COUNT = """
import resource, torch
from fracture_core.pretraining.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        kept = [torch.ones(count * 1_000_000) for count in range(9, 13)]  # beyond 32 MiB glibc always maps anew
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
usual = faults()
assert keep_freed_memory()
for _ in range(4):
    faults()  # the heap grows to what is needed
print(usual, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc returns every large tensor to the system")
def test_freed_tensors_cost_no_page_faults_again():
    said = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True, check=True).stdout
    usual, kept = map(int, said.split())
    assert usual > 10_000
    assert kept < usual / 4
