"""A whole report of a made run: every part follows from its ledgers, the quality is a sample's."""

from __future__ import annotations

from privacy.report.from_ledger import region_of
from privacy.report.model import Report
from privacy.report.parts import RoundQuality, Teacher, figure
from privacy.report.recomputed import LedgerCopy, completed
from tests.privacy.report.builders import sample
from tests.verify.made_run import MadeRun


def whole_report(run: MadeRun, *, rounds: int) -> Report:
    """Return the report that ``stillroom report`` would write, with quality for so many rounds."""
    quality = tuple(
        RoundQuality(i, *(figure(start + i / (4 * rounds)) for start in (0.45, 0.4, 0.6, 0.1)))
        for i in range(rounds + 1)
    )
    copies = {
        one.name: LedgerCopy(one.bodies, one.ledger_key.public_bytes().hex()) for one in run.regions
    }
    regions = tuple(region_of(run.region(name).state, run.plan) for name in run.plan.cohort)
    teacher = Teacher("a public model", run.plan.teacher)
    report = sample(teacher=teacher, regions=regions, rounds=quality)
    return completed(report, run.plan, copies)
