"""How long the default study takes, stage by stage, in a process of its own; and its memory.

The quick check runs the same on every sixth title and one epoch: it shows that all stages run.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import options, publish, say
from value import FEW, write_study

from simulations.demo_data import Public, read_titles

_WORST = 5


def main() -> None:
    """Run the command once and print its stages."""
    asked = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "demo"
        command = ["demo"]
        if asked.quick:
            few = read_titles()[::FEW]
            study = write_study(Path(folder), few, 0, Public.HALF_THE_CHAPTERS, epochs=1)
            command = ["simulate", str(study)]
        began = time.monotonic()
        stillroom = str(Path(sys.executable).with_name("stillroom"))
        subprocess.run(
            [stillroom, *command, "--out", str(run)], check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.monotonic() - began
        report = json.loads((run / "report.json").read_text())
        summary = json.loads((run / "summary.json").read_text())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak, cpu = used.ru_maxrss / 1e6, used.ru_utime + used.ru_stime
    stages = {stage["name"]: float(stage["seconds"]) for stage in report["stages"]}
    for name, took in stages.items():
        say(f"  {name:18} {took:6.1f} s")
    say(f"  whole command      {seconds:6.1f} s ({cpu:.1f} s of CPU), peak memory {peak:.2f} GB")
    worst = {
        f"{one['by']} {one['value']}": float(one["accuracy"]["value"])
        for one in report["assessment"]["slices"][:_WORST]
    }
    figures = {
        "stages_s": stages,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_memory_gb": peak,
        "summary": summary,
        "worst_parts_accuracy": worst,
    }
    publish({"quick": asked.quick, **figures}, asked.out)


if __name__ == "__main__":
    main()
