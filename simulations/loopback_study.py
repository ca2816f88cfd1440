"""The study that a loopback deployment runs: as small as a study can be, from installed packages.

Real titles and a real encoder, but a few rows a region: what is tried is the way between the
parties, not the student's quality.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from client.folder import write_durably
from distillation.study import Study
from privacy.plan import Plan
from simulations.demo import write_demo_data
from simulations.demo_data import REGIONS, DemoData, Title, read_titles
from simulations.prepare import Bench, prepare
from simulations.progress import Progress
from simulations.regions import approve_everywhere, make_parties
from simulations.run_folder import Journal, RunFolder
from simulations.study_data import StudyData

_CHAPTERS = ("I", "II", "III")
_ROWS = 8  # of each region, and of each chapter in each of the other parts
_STUDY = """\
[study]
name = "loopback"
seeds = 1
[data.public]
source = "public.csv"
text = "title"
[data.private]
source = "records.csv"
text = "title"
label = "chapter"
region = "region"
[data.test]
source = "test.csv"
text = "title"
label = "chapter"
[teacher]
model = "teacher"
lineage = "public"
max_tokens = 64
[student]
layers = [0, 5]
[privacy]
epsilon = 3
delta = 1e-3
[federation]
rounds = {rounds}
local_steps = 2
sample_rate = 0.5
[warm_up]
epochs = 1
"""


@dataclass(frozen=True, slots=True)
class LoopbackStudy:
    """A prepared study: the coordinator's folder and every region's, the plan approved.

    Attributes:
        run: The folders.
        plan: The plan.
    """

    run: RunFolder
    plan: Plan


def prepare_loopback(
    folder: Path, *, rounds: int, clock: Callable[[], int], show: Progress
) -> LoopbackStudy:
    """Make data, teacher, plan and every party's folder, as a simulation does.

    Args:
        folder: Made; must not hold a run.
        rounds: Of the plan.
        clock: Unix seconds.
        show: Who is told what happens.

    Raises:
        RecordsError: If the packages of the demo are not installed.
        RunFolderError: If there is something in the folder.
    """
    data_folder, run = folder / "data", RunFolder(folder / "run")
    write_demo_data(data_folder, _few(read_titles()))
    file = data_folder / "study.toml"
    sizes = "".join(f"[regions.{name}]\npublic_size = {_ROWS}\n" for name in REGIONS)
    write_durably(file, (_STUDY.format(rounds=rounds) + sizes).encode())
    run.open(file, resume=False)
    study = Study.load(file)
    data, bench = StudyData.read(study), Bench.load(study)
    prepared = prepare(study, data, bench, run, Journal(run.root / "events.jsonl"), show)
    make_parties(study, prepared.plan, data.private, run, clock=clock)
    approve_everywhere(
        run, study.regions, prepared.plan, load_teacher=lambda files: bench.teacher, clock=clock
    )
    return LoopbackStudy(run, prepared.plan)


def _few(titles: tuple[Title, ...]) -> DemoData:
    """Take a few titles of a few chapters, no title twice."""
    by_chapter = {c: [title for title in titles if title.chapter == c] for c in _CHAPTERS}
    parts = [
        tuple(title for found in by_chapter.values() for title in found[start : start + _ROWS])
        for start in (0, _ROWS)
    ]
    pool = [title for found in by_chapter.values() for title in found[2 * _ROWS :]]
    step = len(pool) // (_ROWS * len(REGIONS))
    private = pool[::step][: _ROWS * len(REGIONS)]
    vendor, test = parts
    return DemoData(
        vendor=vendor,
        public=vendor,
        private=tuple((t, REGIONS[i % len(REGIONS)]) for i, t in enumerate(private)),
        coded=tuple(i // len(REGIONS) % 2 == 0 for i in range(len(private))),
        test=test,
    )
