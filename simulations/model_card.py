"""The released student's card: what it is, what it cost in privacy, whom it does not cover."""

from privacy.guarantee import describe
from privacy.report.model import Report
from privacy.report.parts import ArmName


def model_card(report: Report) -> str:
    """Return the card as Markdown with the metadata block that model hubs read."""
    charged, final = report.worst.charged, report.final
    promise = describe(charged.guarantee, unit=charged.unit, neighbours=charged.neighbours)
    teacher = report.arm(ArmName.TEACHER)
    accuracy = "not known" if teacher is None else f"{teacher.accuracy:.3f}"
    uncovered = "\n".join(f"- {sentence}" for sentence in report.exceptions)
    return f"""---
library_name: transformers
pipeline_tag: text-classification
tags: [stillroom, differential-privacy, distillation, federated-learning]
---

# {report.study}

{report.data.description}

A student ({report.student.name}, {report.student.parameters:,} parameters) distilled from
`{report.teacher.name}` over {len(report.regions)} regions in {final.round} rounds. Private records
changed {report.student.trained_parameters:,} parameters: {report.student.trained_part}.

**Privacy.** Each region's own records: {promise},
for everything that the region's account was ever charged. Mode: {report.mode}. The report beside
this folder has the claims, their assumptions and the plan `{report.plan[:16]}`.

**Quality** on {report.data.test_records:,} held-out public records: accuracy {final.accuracy:.3f}
(teacher: {accuracy}), macro-F1 {final.macro_f1:.3f}, calibration error
{final.calibration_error:.3f}, agreement with the teacher {final.agreement:.3f}.

**Not covered**

{uncovered}

```python
import distillation.students  # registers the class
from transformers import AutoModelForSequenceClassification

student = AutoModelForSequenceClassification.from_pretrained("student")
```
"""
