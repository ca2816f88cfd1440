"""Which lever moves the default study: each alone, at five budgets, on splits that nothing reports.

The study as it stands runs on new splits (seeds from 100 on; results.md has 0 to 4), then again
with one thing changed at a time. A run is the product's plan, warm-up and trainer without ledgers
and masks; a cell is the mean of two draws of the noise. Differences are paired: the same split,
teacher and test titles, fresh noise. Where a lever says nothing of the rate, it follows the noise.
`--full` trains more than the head too. `--keep FOLDER` keeps answers, warm starts and figures, so
that a run that was stopped goes on; `--splits 101 102` takes these splits alone and `--only TEXT`
the levers with this in their names, so that several can run side by side and a last run put
together what they kept.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import one_thread  # noqa: F401 - before anything that loads numpy
from lever_split import Split
from measure import options, publish, say
from value import FEW, write_study

from distillation.kinds import ServerRule, Train
from distillation.learning_tables import RANK
from distillation.step_size import learning_rate
from distillation.study import Study
from simulations.demo_data import Public, Title, read_titles

_SEEDS = (100, 101, 102)
_DRAWS = 2
"""Of the noise, for each cell."""
_EPSILONS = tuple(map(Decimal, ("0.5", "1", "2", "4", "8")))
_PROMISED = Decimal(2)
"""The default study's ε, at which objectives and dear levers are looked at."""

Change = Callable[[Study], Study]
Pairs = dict[str, list[tuple[float, float]]]
"""Accuracy and macro-F1, split by split, by ε."""


@dataclass(frozen=True, slots=True)
class Lever:
    """One change to the default study.

    Attributes:
        name: In words.
        change: What is changed; the study has its ε then.
        epsilons: At which budgets.
        is_dear: Whether a cell takes minutes: run with `--full`, one draw of the noise.
    """

    name: str
    change: Change
    epsilons: tuple[Decimal, ...] = (_EPSILONS[0], _PROMISED, _EPSILONS[-1])
    is_dear: bool = False


def _set(table: str, **values: object) -> Change:
    return lambda study: replace(study, **{table: replace(getattr(study, table), **values)})


def _rate(factor: str) -> Change:
    """Return the change to this many times the rate that the noise allows a head."""

    def change(study: Study) -> Study:
        usual = learning_rate(_set("student", train=Train.HEAD, rank=RANK)(study))
        return _set("optimizer", learning_rate=usual * Decimal(factor))(study)

    return change


def _both(first: Change, second: Change) -> Change:
    return lambda study: second(first(study))


def _objective(clip_norm: str, **weights: str) -> Change:
    weighed = _set("objective", **{name: Decimal(value) for name, value in weights.items()})
    return _both(_set("privacy", clip_norm=Decimal(clip_norm)), weighed)


def _more(train: Train, factor: str, **terms: int) -> Change:
    return _both(_set("student", train=train, **terms), _rate(factor))


def _adam(rate: str) -> Change:
    return _set(
        "optimizer",
        server=ServerRule.ADAM,
        server_momentum=Decimal("0.5"),
        server_learning_rate=Decimal(rate),
    )


def _before(study: Study) -> Study:
    study = _set("warm_up", generated=0, epochs=5)(study)
    study = _set("optimizer", average=1, learning_rate=Decimal(2))(study)
    return _set("privacy", clip_norm=Decimal(2))(study)


_SMALL = _set("federation", sample_rate=Fraction(1, 20))
"""As many steps, for what takes a record through a whole layer in each."""
_MIXTURES: Mapping[str, Mapping[str, str]] = {
    "soft labels": {},
    "single answers": {"soft": "0", "hard": "1"},
    "soft, and half a given label": {"label": "0.5"},
    "soft, and two of a given label": {"label": "2"},
}
LEVERS = (
    Lever("as it stands", lambda study: study, _EPSILONS),
    Lever("at first: C = 2, rate 2, last round, no generated text", _before, _EPSILONS),
    Lever(
        "one rate for every ε: 2 at C = ½",
        _both(
            _set("privacy", clip_norm=Decimal("0.5")), _set("optimizer", learning_rate=Decimal(2))
        ),
        _EPSILONS,
    ),
    Lever("no generated text, 5 epochs", _set("warm_up", generated=0, epochs=5), _EPSILONS),
    Lever("half the rate", _rate("0.5")),
    Lever("twice the rate", _rate("2")),
    Lever("every record in each step", _set("federation", sample_rate=Fraction(1))),
    Lever("a fifth of the records in each step", _set("federation", sample_rate=Fraction(1, 5))),
    Lever("half the rounds", _set("federation", rounds=5)),
    Lever("twice the rounds", _set("federation", rounds=20)),
    Lever("the last round alone", _set("optimizer", average=1)),
    Lever("the mean of all rounds", _set("optimizer", average=10)),
    Lever("server Adam at .01", _adam("0.01")),
    Lever("temperature 1", _set("objective", temperature=Decimal(1))),
    Lever("temperature 4", _set("objective", temperature=Decimal(4))),
    *(
        Lever(f"{name}, C = {clip_norm}", _objective(clip_norm, **weights), (_PROMISED,))
        for name, weights in _MIXTURES.items()
        for clip_norm in ("0.25", "0.5", "1", "2", "4")
    ),
    Lever("small batches: the head", _SMALL, (_PROMISED,)),
    *(
        Lever(
            f"small batches: {name}, rate × {factor}",
            _both(_SMALL, _more(train, factor, **terms)),
            (_PROMISED,),
            is_dear=True,
        )
        for name, train, terms, factors in (
            ("norms of the last layer too", Train.NORMS, {}, ("0.25", "1", "4")),
            ("adapters of rank 1 too", Train.LORA, {"rank": 1}, ("0.25", "1", "2", "4")),
            ("the whole last layer", Train.LAST, {}, ("0.0625", "0.25", "0.5", "1")),
        )
        for factor in factors
    ),
)


def main() -> None:
    """Run every lever on every split and print the table."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--splits", type=int, nargs="+", default=_SEEDS)
    parser.add_argument("--only", default="")
    kept, rest = parser.parse_known_args()
    asked = options(__doc__ or "", rest)
    titles = read_titles()[:: FEW if asked.quick else 1]
    found: dict[str, Pairs] = {}
    seeds = kept.splits[:1] if asked.quick else kept.splits
    with TemporaryDirectory() as folder:
        for seed in seeds:
            levers = LEVERS[:2] if asked.quick else LEVERS
            offered = [lever for lever in levers if asked.full or not lever.is_dear]
            wanted = [lever for lever in offered if kept.only in lever.name]
            keep = (kept.keep or Path(folder)) / str(seed)
            for name, values in run_split(keep, titles, seed, wanted).items():
                for at, value in values.items():
                    found.setdefault(name, {}).setdefault(at, []).append(value)
    figures = {name: summarise(pairs, found[LEVERS[0].name]) for name, pairs in found.items()}
    size = {"quick": asked.quick, "seeds": list(seeds), "draws": _DRAWS}
    publish({**size, "levers": figures}, asked.out)


def run_split(
    keep: Path, titles: Sequence[Title], seed: int, levers: Sequence[Lever]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Run the levers on one split; return accuracy and macro-F1 by lever and ε.

    What was kept of further ones is returned too. Under ``start`` is what the student had before
    any private step.
    """
    study, results = keep / "study.toml", keep / "results.json"
    if not study.exists():
        write_study(keep, titles, seed, Public.HALF_THE_CHAPTERS)
    split = Split.load(study, keep)
    found = json.loads(results.read_text()) if results.exists() else {}
    for lever in levers:
        if lever.name not in found:
            start = split.start(lever.change(split.study))
            before = start.test.quality(start.weights)
            values = {"start": (before.accuracy, before.macro_f1)}
            draws = 1 if lever.is_dear else _DRAWS
            for one in lever.epsilons:
                changed = lever.change(_set("privacy", epsilon=one)(split.study))
                values[str(one)] = split.run(changed, draws=draws)
            found[lever.name] = values
            results.write_text(json.dumps(found))
        shown = "  ".join(f"{at}: {a:.3f}/{f:.3f}" for at, (a, f) in found[lever.name].items())
        say(f"  seed {seed}  {lever.name}  {shown}")
    return {lever.name: found[lever.name] for lever in LEVERS if lever.name in found}


def summarise(pairs: Pairs, default: Pairs) -> dict[str, object]:
    """Return means by ε, and what they are above the default, split by split."""
    found: dict[str, object] = {}
    for at, values in pairs.items():
        gaps = np.array(values) - np.array(default[at][: len(values)])
        found[at] = {
            "accuracy": float(np.mean(values, axis=0)[0]),
            "macro_f1": float(np.mean(values, axis=0)[1]),
            "above_default": {"accuracy": gaps[:, 0].tolist(), "macro_f1": gaps[:, 1].tolist()},
        }
    return found


if __name__ == "__main__":
    main()
