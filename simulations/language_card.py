"""The card of a released language model: what it is, what it cost in privacy, whom it leaves out.

The classifier's card is `simulations.model_card`; this one speaks of tokens and perplexity.
"""

from collections.abc import Mapping

from privacy.guarantee import describe
from privacy.report.model import Report


def language_card(report: Report, figures: Mapping[str, str | float]) -> str:
    """Return the card as Markdown with the metadata block that model hubs read.

    Args:
        report: The run's report.
        figures: Perplexities by name, as the run's summary has them.
    """
    charged, final = report.worst.charged, report.final
    promise = describe(charged.guarantee, unit=charged.unit, neighbours=charged.neighbours)
    uncovered = "\n".join(f"- {sentence}" for sentence in report.exceptions)
    return f"""---
library_name: transformers
pipeline_tag: text-generation
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

**Quality** on {report.data.test_records:,} held-out public texts, token by token: perplexity
{figures["student_perplexity"]} (teacher: {figures["teacher_perplexity"]}, public data alone:
{figures["public_only_perplexity"]}), next token right {final.accuracy:.3f}, most likely token the
teacher's {final.agreement:.3f}.

**Not covered**

{uncovered}

```python
from transformers import AutoModelForCausalLM

student = AutoModelForCausalLM.from_pretrained("student")
```
"""
