"""A whole study on this machine, stage by stage, from files to a report.

Stages: read → teacher and public warm-up → plan → approvals → federated rounds → comparisons →
report. What a stage left whole is taken up by ``resume``; a round is never drawn twice.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from client.materials import Materials
from distillation.evaluation import Quality
from distillation.kinds import Task
from distillation.study import Study
from privacy.report.model import Report
from server.rounds import FinishedRound
from simulations.assessing import assessment_of, clocks_of
from simulations.comparisons import Compared, compare
from simulations.federation import Federation, open_federation
from simulations.gates import missed_gates
from simulations.grid import Fault, no_fault
from simulations.language_comparisons import unprepared_benches
from simulations.lies import Lies
from simulations.outputs import write_outputs
from simulations.prepare import Bench, Prepared, prepare
from simulations.production_audits import audit_regions
from simulations.progress import Progress, Quiet
from simulations.regions import approve_everywhere, make_parties
from simulations.reporting import further_figures, make_report
from simulations.run_folder import Journal, RunFolder
from simulations.study_data import StudyData


def _now() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a simulation is run.

    Attributes:
        resume: Go on with the run in the folder.
        show: Who is told what happens.
        clock: Unix seconds.
        fault: What is lost between coordinator and regions.
        lies: Who breaks the protocol on purpose.
    """

    resume: bool = False
    show: Progress = field(default_factory=Quiet)
    clock: Callable[[], int] = _now
    fault: Fault = no_fault
    lies: Lies = field(default_factory=Lies)


@dataclass(frozen=True, slots=True)
class Result:
    """What a simulation came to.

    Attributes:
        report: The report, as written.
        missed_gates: Why the student was not written out; empty if it was.
    """

    report: Report
    missed_gates: tuple[str, ...]


def simulate(study_file: Path, out: Path, options: Options) -> Result:
    """Run a study and leave everything in ``out``; return what came out.

    Raises:
        StudyError: If the study does not fit.
        RunFolderError: If the folder cannot be used.
        SimulationError: If a round stayed void.
        DistillationError: If data or models cannot be used.
        ClientError: If a region refuses the plan.
        PrivacyError: If an account cannot pay, or a ledger stops the run.
    """
    study = Study.load(study_file)
    run, show = RunFolder(out), options.show
    run.open(study_file, resume=options.resume)
    journal = Journal(run.root / "events.jsonl")
    with journal.stage("read"), show.stage("Reading study, data and teacher"):
        data, bench = StudyData.read(study), Bench.load(study)
    prepared = prepare(study, data, bench, run, journal, show)
    with journal.stage("approvals"), show.stage("Every region checks and approves the plan"):
        parties = make_parties(study, prepared.plan, data.private, run, clock=options.clock)
        materials = approve_everywhere(
            run,
            study.regions,
            prepared.plan,
            load_teacher=lambda files: prepared.bench.teacher,
            clock=options.clock,
        )
    with open_federation(
        run,
        prepared,
        parties,
        materials,
        clock=options.clock,
        fault=options.fault,
        lies=options.lies,
        journal=journal,
        show=show,
    ) as federation:
        qualities = _rounds(federation, prepared, journal, show)
    weights = federation.loop.checkpoint.model.released
    stopped = audit_regions(
        run, prepared.plan, materials, federation.benches, options.clock, journal, show
    )
    with clocks_of(study) as clocks:
        compared = _compared(
            study, data, prepared, federation, materials, qualities[-1], journal, show
        )
        with journal.stage("assessment"), show.stage("Student beside teacher, held-out records"):
            assessment = assessment_of(data, prepared, weights, run, clocks)
    missed = (*stopped, *missed_gates(study.evaluation.gates, qualities[-1]))
    report = make_report(
        study,
        data,
        prepared,
        run,
        arms=compared.arms,
        qualities=qualities,
        missed=missed,
        assessment=assessment,
        seconds=journal.seconds,
        clock=options.clock,
    )
    further = further_figures(prepared, weights, qualities, compared)
    write_outputs(run, prepared, data, report, further, weights=weights, is_released=not missed)
    return Result(report, missed)


def _compared(
    study: Study,
    data: StudyData,
    prepared: Prepared,
    federation: Federation,
    materials: Mapping[str, Materials],
    released: Quality,
    journal: Journal,
    show: Progress,
) -> Compared:
    """Run the researcher's comparisons."""
    benches, unprepared = federation.benches, None
    if study.baselines.run and study.teacher.prepare_epochs:
        title = "The teacher as it was before its preparation labels too, to compare"
        with journal.stage("unprepared labels"), show.stage(title) as done:
            unprepared = unprepared_benches(study, materials, benches, done)
    with journal.stage("comparisons"), show.stage("The researcher's comparisons") as done:
        return compare(study, data, prepared, benches, released, done, unprepared=unprepared)


def _rounds(
    federation: Federation, prepared: Prepared, journal: Journal, show: Progress
) -> list[Quality]:
    """Run the remaining rounds; return the released student's quality, from round 0 on."""
    known = journal.qualities()
    known[0] = prepared.test.quality(prepared.start)
    checkpoint = federation.loop.checkpoint
    if checkpoint.finished not in known:  # the run stopped between a round and its evaluation
        quality = prepared.test.quality(checkpoint.model.released)
        known[checkpoint.finished] = quality
        journal.add("round", round=checkpoint.finished, **quality.to_dict())
    promise = prepared.plan.promise
    show.line(f"Each region is charged at most {promise} for all rounds and retries")
    with journal.stage("rounds"):
        for finished in federation.rounds():
            number = finished.round_ + 1
            quality = prepared.test.quality(finished.model.released)
            known[number] = quality
            journal.add("round", round=number, seconds=finished.seconds, **quality.to_dict())
            show.line(_round_line(number, prepared, quality, finished))
    return [known[number] for number in range(federation.loop.checkpoint.finished + 1)]


def _round_line(number: int, prepared: Prepared, quality: Quality, finished: FinishedRound) -> str:
    sent = max(finished.bytes_in.values(), default=0)
    plan = prepared.plan
    left = (plan.rounds - number) * finished.seconds
    return (
        f"round {number:>2}/{plan.rounds} · {len(finished.bytes_in)}/{len(plan.regions)} regions · "
        f"{_shown(quality, prepared)} · ε {plan.epsilon:f} · {sent / 1000:.1f} kB · "
        f"{left:.0f} s left"
    )


def _shown(quality: Quality, prepared: Prepared) -> str:
    """Return the figure by which people follow a run."""
    if prepared.bench.study.study.task is Task.LANGUAGE_MODEL:
        return f"perplexity {quality.perplexity:.1f}"
    return f"accuracy {quality.accuracy:.3f}"
