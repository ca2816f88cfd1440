"""Is distillation worth it? Every arm of the default study, over whole seeds, paired.

A seed here is everything that chance decides: the split of the titles, the teacher trained on it,
the order of the public warm-up, the noise. Each seed is one run of the product, ledgers and masks
included. Differences between arms are taken seed by seed, with a 95 % t-interval. Two splits:
PUBLIC is half of the chapters, or 200 titles over all chapters.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measure import options, publish, say
from scipy.stats import t as student_t

from privacy.report.model import Report
from simulations.demo import study_file, write_demo_data
from simulations.demo_data import DemoData, Public, Title, read_titles, split
from simulations.simulate import Options, simulate

_RIVALS = ("without-teacher", "public-only", "hard-labels", "all-true-labels", "no-privacy")
FEW = 6
"""The quick check takes every sixth title and one epoch: it shows that all runs, no figure."""

Figures = dict[str, list[tuple[float, float]]]
"""Accuracy and macro-F1 of each arm, seed by seed."""


def main() -> None:
    """Run the seeds and print the tables."""
    asked = options(__doc__ or "")
    titles = read_titles()[:: FEW if asked.quick else 1]
    seeds = 5 if asked.full else 1
    result: dict[str, object] = {"seeds": seeds, "quick": asked.quick}
    for public in [Public.HALF_THE_CHAPTERS] if asked.quick else list(Public):
        figures: Figures = {}
        for seed in range(seeds):
            report = run_seed(titles, seed, public, epochs=1 if asked.quick else None)
            for arm in report.arms:
                pair = float(arm.accuracy), float(arm.macro_f1)
                figures.setdefault(arm.name.value, []).append(pair)
            say(f"{public.value}, seed {seed}: {report.summary()['student_accuracy']}")
        result[public.value] = summarise(figures)
        show(public, figures)
    publish(result, asked.out)


def run_seed(
    titles: Sequence[Title], seed: int, public: Public, *, epochs: int | None = None
) -> Report:
    """Run the default study on one split and return its report."""
    with tempfile.TemporaryDirectory() as folder:
        study = write_study(Path(folder), titles, seed, public, epochs=epochs)
        return simulate(study, Path(folder) / "run", Options()).report


def write_study(
    folder: Path, titles: Sequence[Title], seed: int, public: Public, *, epochs: int | None = None
) -> Path:
    """Write one split's data, teacher and study; return the study's path.

    Args:
        folder: Where to.
        titles: All titles.
        seed: Of the split and of the warm-up.
        public: What the student may see in the open.
        epochs: Of the warm-up; None: the default study's.
    """
    data = split(titles, seed=seed, public=public)
    write_demo_data(folder, data)
    study = folder / "study.toml"
    study.write_text(_study(data, seed=seed, epochs=epochs), encoding="utf-8")
    return study


def summarise(figures: Figures) -> dict[str, object]:
    """Return means, spreads and the paired differences from the distilled student."""
    arms = {}
    for name, values in figures.items():
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0, ddof=len(values) > 1)
        arms[name] = {"accuracy": mean[0], "macro_f1": mean[1], "sd": list(spread)}
    return {"arms": arms, "distilled_minus": {name: paired(figures, name) for name in _RIVALS}}


def paired(figures: Figures, rival: str) -> dict[str, list[float]]:
    """Return mean, low and high of the seed-by-seed differences, for both figures."""
    found = {}
    for place, figure in enumerate(("accuracy", "macro_f1")):
        gaps = [
            a[place] - b[place] for a, b in zip(figures["distilled"], figures[rival], strict=True)
        ]
        found[figure] = [float(np.mean(gaps)), *interval(gaps)]
    return found


def interval(gaps: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % t-interval of the mean; without width for one seed."""
    if len(gaps) < 2:
        return gaps[0], gaps[0]
    half = student_t.ppf(0.975, len(gaps) - 1) * np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    return float(np.mean(gaps) - half), float(np.mean(gaps) + half)


def show(public: Public, figures: Figures) -> None:
    """Print one split's table for people."""
    say(f"\n{public.value}: accuracy / macro-F1, and what the distilled student is better by")
    for name, values in figures.items():
        mean = np.mean(values, axis=0)
        line = f"  {name:18} {mean[0]:.3f} / {mean[1]:.3f}"
        if name in _RIVALS:
            gap, low, high = paired(figures, name)["accuracy"]
            line += f"   {gap:+.3f} [{low:+.3f}, {high:+.3f}]"
        say(line)


def with_warm_up(study: str, *, seed: int, epochs: int | None) -> str:
    """Return a study's text with this order of the public records; None keeps its epochs.

    Raises:
        ValueError: If the study has no line of epochs to change.
    """
    found = re.search(r"^epochs = (\d+)", study, re.MULTILINE)
    if found is None:
        raise ValueError("expected a line 'epochs = N' in the study's [warm_up]: write one")
    passes = found[1] if epochs is None else epochs
    return study.replace(found[0], f"epochs = {passes}\nseed = {seed}", 1)


def _study(data: DemoData, *, seed: int, epochs: int | None) -> str:
    """Return the default study with this split's public sizes, one noise draw a seed."""
    text = study_file().read_text(encoding="utf-8")
    counts = Counter(region for _, region in data.private)
    for region, count in counts.items():
        size = -(-count // 50) * 50
        text = re.sub(rf"(\[regions\.{region}\]\npublic_size = )\d+", rf"\g<1>{size}", text)
    text = text.replace("seeds = 3", "seeds = 1")
    text += "\n[evaluation]\ncost = false\n"  # many runs side by side: their times say nothing
    return with_warm_up(text, seed=seed, epochs=epochs)


if __name__ == "__main__":
    main()
