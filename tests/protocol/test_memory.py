"""What masking needs beside the vector does not grow with it; each case is a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_COORDINATES = 50_000_000
_MEASURE = """
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from protocol.fixed_point import Block, Encoding, decode_sum, encode
from protocol.masks import apply_masks, word_type

bits, dim, rotation_seed, threads = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode(), 2
encoding = Encoding.for_regions(
    3, bits=bits, blocks=(Block(dim // 3, 4.0), Block(dim - dim // 3, 2.0))
)
rule = {"encoding": encoding, "weights": (Fraction(1, 3),) * 3, "rotation_seed": rotation_seed}


def peak() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


empty = peak()  # of this program alone: getrusage would count the peak of the parent too
delta = np.full(dim, 0.25, np.float32)  # every page is in use from here on
before = peak()
out = delta.view(word_type(bits))[:dim]
encoded = encode(delta, me=0, rounding_key=bytes(32), out=out, **rule)
apply_masks(out, add=[b"a" * 32], subtract=[b"b" * 32, b"c" * 32], threads=threads)
masked = peak()
apply_masks(out, add=[b"b" * 32, b"c" * 32], subtract=[b"a" * 32])
mean = decode_sum(out, **rule)
if not abs(float(mean[:1000].mean()) - 0.25 / 3) < 1e-3:
    raise SystemExit(f"expected the weighted delta back, got {mean[:5]}")
print(before - empty, masked - before, peak() - masked - mean.nbytes)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("rotation_seed", ["", "r" * 32])
@pytest.mark.parametrize("bits", [16, 32])
def test_masking_in_place_needs_eight_megabytes_for_any_vector(
    bits: int, rotation_seed: str
) -> None:
    """50 million coordinates are encoded, rotated and masked in place, within 8 MB beside them.

    The sum is decoded within 8 MB beside the vector that is returned.
    """
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(bits), str(_COORDINATES), rotation_seed],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    vector, masking, decoding = map(int, ran.stdout.split())
    assert abs(vector - 4 * _COORDINATES) < 1_000_000  # the meter sees memory
    assert masking <= 8_000_000
    assert decoding <= 8_000_000
