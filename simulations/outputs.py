"""What a finished run leaves: the student with its card, the report, the page, texts to read."""

import json
import shutil
from collections.abc import Mapping

from client.folder import write_durably
from distillation.kinds import Task
from distillation.layout import Vector
from privacy.report.html import render
from privacy.report.model import Report
from simulations.language_card import language_card
from simulations.listed_code import listed_code
from simulations.model_card import model_card
from simulations.prepare import Prepared
from simulations.read_samples import read_samples, samples_page
from simulations.run_folder import RunFolder
from simulations.study_data import StudyData


def write_outputs(
    run: RunFolder,
    prepared: Prepared,
    data: StudyData,
    report: Report,
    further: Mapping[str, str | float],
    *,
    weights: Vector,
    is_released: bool,
) -> None:
    """Write everything that came out of a run; each file is there whole or not at all.

    Args:
        run: The run's folder.
        prepared: Models and plan.
        data: The study's records; prompts to read come from the public ones.
        report: The report.
        further: Figures that the summary has beside it.
        weights: The released trained tensors, (d,).
        is_released: Whether the student passed its gates and is written out.

    Raises:
        OSError: If the disk is full or read-only.
    """
    is_language = prepared.bench.study.study.task is Task.LANGUAGE_MODEL
    if is_language:
        page = samples_page(read_samples(prepared, data.public, weights))
        write_durably(run.root / "samples.md", page.encode())
    if is_released:
        card = language_card(report, further) if is_language else model_card(report)
        _save_student(weights, card, prepared, run)
    _write_report(report, run, further)


def _save_student(weights: Vector, card: str, prepared: Prepared, run: RunFolder) -> None:
    """Write the student with its card; the folder is there whole or not at all."""
    prepared.part.load(weights)
    prepared.part.write_back()
    partial = run.root / "student.partial"
    shutil.rmtree(partial, ignore_errors=True)
    prepared.bench.kit.save_student(prepared.student, prepared.bench.tokenizer, partial)
    (partial / "README.md").write_text(card, encoding="utf-8")
    shutil.rmtree(run.student, ignore_errors=True)
    partial.rename(run.student)


def _write_report(report: Report, run: RunFolder, further: Mapping[str, str | float]) -> None:
    """Write the page, the report and the summary; each whole, the summary last."""
    write_durably(run.root / "code.txt", listed_code().to_bytes())
    write_durably(run.root / "report.json", report.to_json())
    write_durably(run.root / "report.html", render(report).encode())
    summary = json.dumps({**report.summary(), **further}, indent=2, ensure_ascii=False)
    write_durably(run.root / "summary.json", (summary + "\n").encode())
