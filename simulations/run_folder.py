"""Where a simulation leaves everything, and how it says what is happening.

study.toml  plan.json  artifacts/        what was run
server/  checkpoint.npz                  the coordinator's keys and its state between rounds
regions/NAME/                            each region's own folder
transcript.jsonl  events.jsonl           what the coordinator saw; what happened when
report.html  report.json  summary.json   what came out
samples.md                               of a language model: texts to read
code.txt                                 what hashes of code stand for
student/                                 the student, ready for transformers
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from client.folder import RegionFolder
from distillation.evaluation import Quality
from server.transcript import drop_torn_line
from simulations.errors import RunFolderError


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths below one run's root."""

    root: Path

    @property
    def study(self) -> Path:
        """The study as it was run."""
        return self.root / "study.toml"

    @property
    def plan(self) -> Path:
        """The plan; written last of the preparation, so that it marks artifacts as whole."""
        return self.root / "plan.json"

    @property
    def artifacts(self) -> Path:
        """What travels beside the plan."""
        return self.root / "artifacts"

    @property
    def server(self) -> Path:
        """The coordinator's keys."""
        return self.root / "server"

    @property
    def student(self) -> Path:
        """The released student."""
        return self.root / "student"

    def region(self, name: str) -> RegionFolder:
        """The folder of one region."""
        return RegionFolder(self.root / "regions" / name)

    def open(self, study: Path, *, resume: bool) -> None:
        """Make the folder, or take up the run in it.

        Raises:
            RunFolderError: If there is a run and ``resume`` is false, or another study's run.
        """
        try:
            if self.study.exists():
                self._check_existing(study, resume)
                return
            if self.root.exists() and any(self.root.iterdir()):
                raise RunFolderError(
                    f"{self.root} exists and holds no run: choose another folder with --out"
                )
            self.artifacts.mkdir(parents=True)
            shutil.copyfile(study, self.study)
        except OSError as error:
            raise RunFolderError(f"{self.root} cannot be written: {error}") from error

    def _check_existing(self, study: Path, resume: bool) -> None:
        if not resume:
            raise RunFolderError(
                f"{self.root} holds a run already: go on with it by --resume, choose another "
                "folder with --out, or remove it"
            )
        if self.study.read_bytes() != study.read_bytes():
            raise RunFolderError(
                f"{self.root} holds the run of another study, or the study was edited since: "
                "an approved plan cannot change; choose another folder with --out"
            )


@dataclass(slots=True)
class Journal:
    """Writes ``events.jsonl`` and adds up how long each stage took.

    Attributes:
        path: The file.
        seconds: By stage, in order; survives a resume, because it is read back.
    """

    path: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        drop_torn_line(self.path)
        for line in self._lines():
            found = json.loads(line)
            if found["event"] == "stage":
                self._count(found["stage"], found["seconds"])

    def add(self, event: str, **fields: str | int | float) -> None:
        """Append one event with the time."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and put it on record, also when it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            self._count(name, seconds)
            self.add("stage", stage=name, seconds=round(seconds, 3))

    def qualities(self) -> dict[int, Quality]:
        """Return what earlier rounds of this run measured, by number."""
        names = [part.name for part in dataclasses.fields(Quality)]
        rounds = [
            found for line in self._lines() if (found := json.loads(line))["event"] == "round"
        ]
        return {found["round"]: Quality(*(found[name] for name in names)) for found in rounds}

    def _count(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def _lines(self) -> list[str]:
        if not self.path.exists():
            return []
        return self.path.read_text(encoding="utf-8").splitlines()
