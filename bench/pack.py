"""What a compliance pack costs: its size, the time to build and verify it, the verifier's memory.

The runs are made, not trained: every ledger entry, message, signature and checkpoint is as real
parties make them, only the vectors are random words (``tests/verify/made_run.py``). The report is
whole, with its page and its schema; its figures of quality are a sample's (``made_report.py``).
Nothing in a pack depends on the size of the model, since sums are packed as hashes. The verifier
runs in a process of its own, from its start to its exit code, and its peak memory is what the
system says.
``--quick`` makes 3 regions and 40 rounds, and 20 regions and 20 rounds; ``--full`` 20 and 200 too.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from measure import options, publish, say

sys.path.insert(0, str(Path(__file__).parents[1]))  # the made run is the tests'

from privacy.code_listing import CodeListing
from privacy.pack import write_pack
from privacy.pack.container import Container
from stillroom.reporting_commands import files_of, write_files
from tests.verify.made_report import whole_report
from tests.verify.made_run import made_run

_QUICK = ((3, 40), (20, 20))
_FULL = (*_QUICK, (20, 200))


def main() -> None:
    """Measure and print; ``verify`` is the process that is measured."""
    if sys.argv[1:2] == ["verify"]:
        raise SystemExit(verify(Path(sys.argv[2]), Path(sys.argv[3])))
    asked = options(__doc__ or "")
    sizes = _FULL if asked.full else _QUICK
    publish({"packs": [cell(regions, rounds) for regions, rounds in sizes]}, asked.out)


def cell(regions: int, rounds: int) -> Mapping[str, object]:
    """Build and verify one pack, and return what it took."""
    with tempfile.TemporaryDirectory(prefix="stillroom-") as folder:
        root = Path(folder)
        names = [f"region-{number:02d}" for number in range(regions)]
        # More noise where there are more steps, so that the plan's ε is one that people grant.
        run = made_run(
            root / "run",
            regions=names,
            planned=rounds,
            rounds=rounds,
            noise_multiplier="12",
            code=_code(),
        )
        write_files(files_of(whole_report(run, rounds=rounds)), run.root)
        pack, keys = root / "pack.zip", root / "keys.toml"
        keys.write_text(run.auditor_keys.to_toml())
        began, cpu = time.perf_counter(), time.process_time()
        packed = write_pack(run.root, pack, run.pack_keys)
        build = {"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
        checked = _verified(pack, keys)
        found = {
            "regions": regions,
            "rounds": rounds,
            "files": packed.files,
            "size_bytes": packed.size_bytes,
            "stored_bytes": _parts(pack),
            "build": build,
            "verify": checked,
        }
    say(
        f"{regions} regions, {rounds} rounds: {packed.size_bytes / 1000:.0f} kB, built in "
        f"{build['s']:.1f} s, verified in {checked['s']:.1f} s ({checked['cpu_s']:.1f} s of the "
        f"processor) and {checked['peak_mb']:.0f} MB"
    )
    return found


@cache
def _code() -> CodeListing:
    """List the code in another process: that loads torch, and a child's peak has its parent's."""
    words = (
        "import sys; from simulations.listed_code import listed_code; "
        "sys.stdout.buffer.write(listed_code().to_bytes())"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", words], cwd=root, capture_output=True, check=True)
    return CodeListing.from_bytes(done.stdout)


def verify(pack: Path, keys: Path) -> int:
    """Verify a pack and print this process's peak memory, in kB."""
    from verify.command import check_files

    code: int = check_files(pack, keys=keys).outcome.value
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return code


def _verified(pack: Path, keys: Path) -> Mapping[str, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "verify", str(pack), str(keys)],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"expected a pack that holds, got {done.returncode}: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"s": seconds, "cpu_s": cpu, "peak_mb": int(done.stdout) / 1024}


def _parts(pack: Path) -> Mapping[str, int]:
    """Return what each kind of file takes in the pack."""
    sizes: Counter[str] = Counter()
    with Container.open(pack) as container:
        for path, item in container.items.items():
            folder, _, name = path.partition("/")
            sizes[f"{folder}/*.{name.rpartition('.')[2]}" if name else folder] += item.stored_bytes
    return dict(sorted(sizes.items()))


if __name__ == "__main__":
    main()
