"""The parts of a model card that a report can fill in, in the form that model hubs expect.

Sections and their names are those of the Hugging Face model card template; the metadata block is
read by the hub. Whoever publishes the student puts them into its card.
"""

from __future__ import annotations

from privacy.report.claim import delta_text
from privacy.report.model import Report
from privacy.report.parts import ArmName
from privacy.report.yaml_text import Yaml, to_yaml

_TAGS = ("stillroom", "differential-privacy", "distillation", "federated-learning")


def card_metadata(report: Report) -> str:
    """Return the block of metadata with its fences: what the hub indexes."""
    metrics: list[Yaml] = [
        {"type": "accuracy", "value": float(report.final.accuracy)},
        {"type": "f1", "name": "Macro-F1", "value": float(report.final.macro_f1)},
    ]
    results: list[Yaml] = [
        {
            "task": {"type": "text-classification"},
            "dataset": {"type": "held-out", "name": "held-out public records"},
            "metrics": metrics,
        }
    ]
    index: list[Yaml] = [{"name": report.study, "results": results}]
    return f"---\n{to_yaml({'tags': list(_TAGS), 'model-index': index})}---\n"


def card_section(report: Report) -> str:
    """Return the sections that a report can fill in, as Markdown."""
    parts = (
        _uses(report),
        _risks(report),
        _training(report),
        _privacy(report),
        _evaluation(report),
    )
    return "\n".join(parts)


def _uses(report: Report) -> str:
    return f"## Uses\n\n{report.declared.identity.purpose}\n"


def _risks(report: Report) -> str:
    exceptions = "\n".join(f"- {sentence}" for sentence in report.exceptions)
    return (
        f"## Bias, Risks, and Limitations\n\n{report.declared.training.bias}\n\n"
        f"Not covered by the privacy guarantee:\n\n{exceptions}\n"
    )


def _training(report: Report) -> str:
    worst = report.worst
    return (
        "## Training Details\n\n### Training Data\n\n"
        f"{report.data.description} Whom they describe: {report.declared.data.subjects} "
        f"Provenance: {report.declared.data.provenance}\n\n### Training Procedure\n\n"
        f"{report.student.name} ({report.student.parameters:,} parameters) learned from "
        f"`{report.teacher.name}` on the records of {len(report.regions)} regions in "
        f"{report.final.round} rounds; private records changed "
        f"{report.student.trained_parameters:,} parameters: {report.student.trained_part}.\n\n"
        "#### Preprocessing\n\n"
        f"{report.declared.data.preprocessing}\n\n#### Training Hyperparameters\n\n"
        f"- clip norm {worst.clip_norm:f}, noise multiplier {worst.noise_multiplier:f}, sample "
        f"rate {worst.sample_rate}, {worst.max_steps} steps allowed in {worst.name}\n"
        f"- how they were chosen: {report.declared.training.tuning}\n"
    )


def _privacy(report: Report) -> str:
    charged = report.worst.charged
    claims = "\n".join(f"- {sentence}" for sentence in report.claims)
    assumptions = "\n".join(
        f"{number}. {one.text} ({one.support})"
        for number, one in enumerate(report.assumptions, start=1)
    )
    return (
        "### Differential privacy\n\n"
        f"Largest charge of any region: ε = {charged.epsilon}, δ = {delta_text(charged)}, for "
        f"each single {charged.unit}, {charged.neighbours}.\n\n{claims}\n\n"
        f"Assumptions (A1 and so on):\n\n{assumptions}\n\n"
        f"Plan `{report.plan}`, report `{report.origin.report}`.\n"
    )


def _evaluation(report: Report) -> str:
    final, teacher = report.final, report.arm(ArmName.TEACHER)
    compared = "not known" if teacher is None else f"{teacher.accuracy:.3f}"
    return (
        "## Evaluation\n\n### Testing Data\n\n"
        f"{report.data.test_records:,} held-out public records.\n\n### Results\n\n"
        "| Metric | Student | Teacher |\n|---|---|---|\n"
        f"| accuracy | {final.accuracy:.3f} | {compared} |\n"
        f"| macro-F1 | {final.macro_f1:.3f} | |\n"
        f"| calibration error | {final.calibration_error:.3f} | |\n"
        f"| agreement with the teacher | {final.agreement:.3f} | |\n"
        f"{_calibration(report)}"
    )


def _calibration(report: Report) -> str:
    """Return Brier score and temperature, so that who uses confidences finds it in the card."""
    found = report.assessment
    if found is None or found.student_scaling is None or found.teacher_scaling is None:
        return ""
    student, teacher = found.student_scaling, found.teacher_scaling
    return (
        f"| Brier score | {student.before.brier:.3f} | {teacher.before.brier:.3f} |\n"
        f"| temperature, fitted on the same records and not applied | {student.temperature:.2f} "
        f"| {teacher.temperature:.2f} |\n"
        f"| calibration error at it | {student.after.error:.3f} | {teacher.after.error:.3f} |\n"
    )
