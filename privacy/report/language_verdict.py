"""Was it worth it for a language model? By perplexity and agreement, whoever wins.

One seed decides nothing between arms that are close, so each sentence gives both figures.
"""

from collections.abc import Mapping

from privacy.report.parts import Arm, ArmName, TokenFigures, Verdict

_WHEN = (
    "Perplexity follows the text, agreement follows the teacher: what a study should be judged by "
    "depends on what the student is for. One seed does not rule out chance."
)


def language_verdict(arms: Mapping[ArmName, Arm]) -> Verdict:
    """Return what the arms say; teacher, distilled and public-only are among them, with tokens.

    Args:
        arms: By name.
    """
    figures = {name: arm.tokens for name, arm in arms.items() if arm.tokens is not None}
    student, public = figures[ArmName.DISTILLED], figures[ArmName.PUBLIC_ONLY]
    better = "better" if student.perplexity < public.perplexity else "no better"
    said = [
        f"The private records made the student {better} at their text: perplexity "
        f"{public.perplexity:.1f} with public text alone, {student.perplexity:.1f} with them; "
        f"agreement with the teacher {public.agreement:.3f} and {student.agreement:.3f}."
    ]
    rivals = (
        (ArmName.WITHOUT_TEACHER, "The text alone gives"),
        (ArmName.SOFT_ONLY, "The teacher alone gives"),
        (ArmName.UNPREPARED, "A teacher that did not read the public text first gives"),
        (ArmName.NO_PRIVACY, "Without privacy the same study gives"),
    )
    said += [
        f"{start} {_both(figures[name])}; the release, {_both(student)}."
        for name, start in rivals
        if name in figures
    ]
    said.append(f"The teacher's own perplexity is {figures[ArmName.TEACHER].perplexity:.1f}.")
    return Verdict(_headline(student, public, figures.get(ArmName.WITHOUT_TEACHER)), (*said, _WHEN))


def _headline(student: TokenFigures, public: TokenFigures, text: TokenFigures | None) -> str:
    if student.perplexity >= public.perplexity:
        return "Not worth it here: the private records did not lower the perplexity."
    if text is None:
        return "The private records helped; there is no student of the text alone to compare."
    nearer = student.agreement > text.agreement
    if student.perplexity < text.perplexity:
        more = ", and brought the student nearer to itself" if nearer else ""
        return f"The private records helped, and so did the teacher{more}; on few seeds."
    if nearer:
        return (
            "The private records helped; the teacher brought the student nearer to itself, at no "
            "better perplexity."
        )
    return "The private records helped; the teacher added nothing to the text."


def _both(one: TokenFigures) -> str:
    return f"perplexity {one.perplexity:.1f} and agreement {one.agreement:.3f}"
