"""What a language model gains from text and from a teacher: four mixtures at one ε and without.

Runs the study ``chat.toml`` as a user would, in a process of its own, and prints every arm's
perplexity and agreement on held-out participants, the time of each stage and the memory. The quick
check takes every twentieth participant and two rounds: it shows that all runs, no figure.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from measure import options, publish, say

sys.path.insert(0, str(Path(__file__).parents[1]))

from distillation.model_files import locate
from distillation.teacher import load_tokenizer
from simulations.chat_data import (
    MOST,
    MOST_TOKENS,
    TEACHER_PACKAGE,
    Shares,
    chat_records,
    read_chats,
    write_files,
)
from simulations.demo import study_file

_FEW = 20
_ARMS = {
    "teacher": "teacher, prepared on public text",
    "public_only": "public text only",
    "distilled": "blend of text and teacher (the release)",
    "without_teacher": "text only",
    "soft_only": "teacher only",
    "unprepared_teacher": "blend, teacher not prepared",
    "no_privacy": "blend, no privacy",
    "without_teacher_no_privacy": "text only, no privacy",
    "soft_only_no_privacy": "teacher only, no privacy",
    "unprepared_teacher_no_privacy": "blend, teacher not prepared, no privacy",
}


def main() -> None:
    """Run the study once and print what came out."""
    asked = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        study, run = write_study(Path(folder), quick=asked.quick), Path(folder) / "run"
        began = time.monotonic()
        stillroom = str(Path(sys.executable).with_name("stillroom"))
        subprocess.run([stillroom, "simulate", str(study), "--out", str(run)], check=True)
        seconds = time.monotonic() - began
        report = json.loads((run / "report.json").read_text())
        summary = json.loads((run / "summary.json").read_text())
        samples = (run / "samples.md").read_text()
    for line in table(summary):
        say(line)
    stages = {stage["name"]: float(stage["seconds"]) for stage in report["stages"]}
    for name, took in stages.items():
        say(f"  {name:20} {took:6.1f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    say(f"  whole command        {seconds:6.1f} s, peak memory {peak:.2f} GB")
    figures = {"seconds": seconds, "stages_s": stages, "peak_memory_gb": peak, "summary": summary}
    publish({"quick": asked.quick, **figures, "samples": samples}, asked.out)


def write_study(folder: Path, *, quick: bool) -> Path:
    """Write the study and its texts; return the study's path."""
    tokenizer = load_tokenizer(locate(f"package:{TEACHER_PACKAGE}"))
    chats = read_chats()
    text = study_file("chat.toml").read_text(encoding="utf-8")
    if quick:
        some = set(sorted({chat.person for chat in chats})[::_FEW])
        chats = tuple(chat for chat in chats if chat.person in some)
        lines = [
            "rounds = 2" if line.startswith("rounds =") else line for line in text.splitlines()
        ]
        text = "\n".join(lines)
    records = chat_records(chats, tokenizer, max_tokens=MOST_TOKENS, most=MOST)
    write_files(records, folder, shares=Shares())
    study = folder / "study.toml"
    study.write_text(text, encoding="utf-8")
    return study


def table(summary: Mapping[str, float]) -> list[str]:
    """Return one line an arm."""
    return [
        f"{title:42} perplexity {summary[f'{name}_perplexity']:8.1f}, agreement "
        f"{summary[f'{name}_agreement']:.3f}"
        for name, title in _ARMS.items()
    ]


if __name__ == "__main__":
    main()
