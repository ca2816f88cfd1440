"""How fast a vector is rotated, encoded and masked, beside what this machine could do.

Costs are CPU seconds of one thread. A limit and what it bounds are timed in turns over the same
work, and the best of each counts: other work on the machine can only make one slower. Errors of
the sum are those of synthetic heavy-tailed deltas: Student-t with 3 degrees of freedom, layers
with log-normal scales.
"""

from __future__ import annotations

import one_thread  # noqa: F401  # before numpy

# isort: split
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from measure import options, publish, say
from numpy.typing import NDArray

from protocol.fixed_point import Block, Encoding, decode_sum, encode
from protocol.masks import Words, apply_masks, word_type
from protocol.rotation import rotate

_PEERS = 63
_SEED = b"r" * 32
_LARGE = (250_000_000, 16)  # parameters and regions of the in-place run
_LAYERS, _LAYER = 64, 1 << 15
_SIGMAS = 6.0  # a bound, in standard deviations of the layer's deltas, rotated or not
_BUFFERS = (1 << 16, 1 << 17, 1 << 18)  # the limit is the best of these


def main() -> None:
    """Measure and print; the large run only with ``--full``."""
    if sys.argv[1:2] == ["in-place"]:
        in_place(*map(int, sys.argv[2:]))
        return
    asked = options(__doc__ or "")
    dim, turns = (1_000_000, 3) if asked.quick else (10_000_000, 7)
    result: dict[str, object] = {"peers": _PEERS, "dim": dim}
    result["masking"] = {bits: masking(bits, dim, turns=turns) for bits in (32, 16)}
    result["threads"] = threads(dim, turns=turns)
    result["encoding_ns"] = encoding_times(turns=20 * turns)
    result["error"] = {n: errors(n) for n in ([8] if asked.quick else [8, 64])}
    if asked.full:
        result["large"] = {
            label: run_apart(*_LARGE, bits, rotated)
            for label, bits, rotated in (("32 bit", 32, 0), ("16 bit, rotated", 16, 1))
        }
    publish(result, asked.out)


def best(*works: Callable[[], object], turns: int, clock: Callable[[], int]) -> list[float]:
    """Return each work's least time in ns, all taken in turns."""
    least = [float("inf")] * len(works)
    for _ in range(turns):
        for i, work in enumerate(works):
            began = clock()
            work()
            least[i] = min(least[i], clock() - began)
    return least


def masking(bits: int, dim: int, *, turns: int) -> Mapping[str, float]:
    """Compare a region's mask step with AES and one addition in the cache."""
    words = np.ones(dim, word_type(bits))
    seeds = [os.urandom(32) for _ in range(_PEERS)]
    *limits, ours = best(
        *(limit(bits, size, total=_PEERS * words.nbytes) for size in _BUFFERS),
        lambda: apply_masks(words, add=seeds[:32], subtract=seeds[32:]),
        turns=turns,
        clock=time.process_time_ns,
    )
    figures = {
        "limit_ns": min(limits) / (dim * _PEERS),
        "ours_ns": ours / (dim * _PEERS),
        "limit_fraction": min(limits) / ours,
    }
    say(f"{bits} bit, ns for a parameter and mask: {figures}")
    return figures


def limit(bits: int, size: int, *, total: int) -> Callable[[], None]:
    """Return AES-256-CTR into a buffer of ``size`` bytes and its addition, ``total`` bytes."""
    zeros, out = memoryview(bytes(size)), np.empty(size, np.uint8)
    words: Words = np.zeros(size * 8 // bits, word_type(bits))
    pad = out.view(words.dtype)
    update_into = Cipher(algorithms.AES256(_SEED), modes.CTR(bytes(16))).encryptor().update_into
    data = out.data

    def run() -> None:
        for _ in range(total // size):
            update_into(zeros, data)
            np.add(words, pad, words)

    return run


def threads(dim: int, *, turns: int) -> Mapping[str, float]:
    """Compare wall times of one thread with one for each core."""
    words = np.ones(dim, np.uint32)
    seeds = [os.urandom(32) for _ in range(8)]
    cores = os.cpu_count() or 1
    one, many = best(
        lambda: apply_masks(words, add=seeds, subtract=[]),
        lambda: apply_masks(words, add=seeds, subtract=[], threads=cores),
        turns=turns,
        clock=time.perf_counter_ns,
    )
    figures = {"cores": cores, "one_thread_wall_s": one / 1e9, "all_cores_wall_s": many / 1e9}
    say(f"threads: {figures}")
    return figures


def encoding_times(*, turns: int) -> Mapping[str, float]:
    """Return ns for a parameter of float32: the rotation alone, and whole encodings."""
    dim = 1 << 19
    delta = np.random.default_rng(0).standard_normal(dim).astype(np.float32)
    turned, total = delta.copy(), delta.astype(np.float64)
    works: dict[str, Callable[[], object]] = {
        "rotation, float32": lambda: rotate(turned, _SEED),
        "rotation back, float64": lambda: rotate(total, _SEED, inverse=True),
    }
    for bits in (16, 32):
        for rotation_seed in (b"", _SEED):
            label = f"encode {bits} bit{', rotated' if rotation_seed else ''}"
            works[label] = encoding_work(delta, bits, rotation_seed)
    times = best(*works.values(), turns=turns, clock=time.process_time_ns)
    figures = {label: least / dim for label, least in zip(works, times, strict=True)}
    say(f"ns for a parameter: {figures}")
    return figures


def encoding_work(
    delta: NDArray[np.float32], bits: int, rotation_seed: bytes
) -> Callable[[], object]:
    """Return the encoding of ``delta``, 8 regions, into words that are already there."""
    encoding = Encoding.for_regions(8, bits=bits, blocks=(Block(delta.size, 6.0),))
    out: Words = np.zeros(delta.size, word_type(bits))
    return lambda: encode(
        delta,
        encoding=encoding,
        weights=(Fraction(1, 8),) * 8,
        me=0,
        rounding_key=bytes(32),
        rotation_seed=rotation_seed,
        out=out,
    )


def errors(count: int) -> Mapping[str, float]:
    """Return ‖error‖² / ‖sum‖² of the decoded mean of ``count`` regions' heavy-tailed deltas."""
    generator = np.random.default_rng(count)
    scales = np.repeat(np.exp(generator.standard_normal(_LAYERS) * 1.5 - 7.0), _LAYER)
    deltas = [scales * generator.standard_t(3, scales.size) for _ in range(count)]
    largest = max(float(np.abs(delta).max()) for delta in deltas)
    layers = [
        max(float(np.abs(delta[low : low + _LAYER]).max()) for delta in deltas)
        for low in range(0, scales.size, _LAYER)
    ]
    deviations = scales[::_LAYER] * 3**0.5  # of Student-t with 3 degrees of freedom
    turned = tuple(Block(_LAYER, _SIGMAS * float(deviation)) for deviation in deviations)
    tight = tuple(Block(_LAYER, bound) for bound in layers)
    wide = (Block(scales.size, largest),)
    figures = {
        "16 bit, one bound": nmse(deltas, 16, wide),
        "16 bit, bound for each layer": nmse(deltas, 16, tight),
        "16 bit, rotated, bound for each layer": nmse(deltas, 16, turned, _SEED),
        "32 bit, one bound": nmse(deltas, 32, wide),
        "32 bit, bound for each layer": nmse(deltas, 32, tight),
        "32 bit, rotated, bound for each layer": nmse(deltas, 32, turned, _SEED),
    }
    say(f"{count} regions, NMSE of the sum: {figures}")
    return figures


def nmse(
    deltas: list[NDArray[np.float64]],
    bits: int,
    blocks: tuple[Block, ...],
    rotation_seed: bytes = b"",
) -> float:
    """Encode and add up the deltas; return the error of what is decoded."""
    count = len(deltas)
    encoding = Encoding.for_regions(count, bits=bits, blocks=blocks)
    weights = (Fraction(1, count),) * count
    total: Words = np.zeros(encoding.dim, word_type(bits))
    for me, delta in enumerate(deltas):
        encoded = encode(
            delta,
            encoding=encoding,
            weights=weights,
            me=me,
            rounding_key=me.to_bytes(32, "big"),
            rotation_seed=rotation_seed,
        )
        np.add(total, encoded.words, out=total)
    mean = decode_sum(total, encoding=encoding, weights=weights, rotation_seed=rotation_seed)
    exact = np.mean(deltas, axis=0)
    return float(np.sum((mean - exact) ** 2) / np.sum(exact**2))


def run_apart(dim: int, count: int, bits: int, rotated: int) -> Mapping[str, float]:
    """Mask one large vector in a process of its own, so that its peak of memory is its own."""
    command = [sys.executable, __file__, "in-place", *map(str, (dim, count, bits, rotated))]
    root = Path(__file__).parents[1]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    cpu, wall, grown, vector = map(float, ran.stdout.split())
    figures = {
        "parameters": dim,
        "regions": count,
        "cpu_s": cpu,
        "wall_s": wall,
        "vector_bytes": vector,
        "memory_growth_bytes": grown,
    }
    say(f"{bits} bit, rotated: {bool(rotated)}: {figures}")
    return figures


def in_place(dim: int, count: int, bits: int, rotated: int) -> None:
    """Encode and mask a float32 vector in its own memory; print the costs."""
    delta = np.full(dim, 0.25, np.float32)
    encoding = Encoding.for_regions(count, bits=bits, blocks=(Block(dim, 4.0),))
    out = delta.view(word_type(bits))[:dim]
    seeds = [os.urandom(32) for _ in range(count)]  # a self mask, and one for each peer
    before = peak_bytes()
    cpu, wall = time.process_time(), time.perf_counter()
    encode(
        delta,
        encoding=encoding,
        weights=(Fraction(1, count),) * count,
        me=0,
        rounding_key=os.urandom(32),
        rotation_seed=_SEED if rotated else b"",
        out=out,
    )
    apply_masks(out, add=seeds[: count // 2], subtract=seeds[count // 2 :])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(cpu, wall, peak_bytes() - before, delta.nbytes)


def peak_bytes() -> int:
    """Return the most memory this program had; getrusage would count its parent's peak too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


if __name__ == "__main__":
    main()
