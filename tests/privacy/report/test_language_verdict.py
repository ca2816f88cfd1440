"""A language model is judged by perplexity and agreement, and the sentences say who won."""

from dataclasses import replace
from decimal import Decimal

import pytest

from privacy.errors import MalformedDocumentError
from privacy.report.html import render
from privacy.report.language_verdict import language_verdict
from privacy.report.model import Report
from privacy.report.parts import ArmName, TokenFigures
from tests.privacy.report.builders import arm, arms, sample

FIGURES = {
    ArmName.TEACHER: ("32.7", "1"),
    ArmName.PUBLIC_ONLY: ("156.8", "0.431"),
    ArmName.DISTILLED: ("147.1", "0.44"),
    ArmName.WITHOUT_TEACHER: ("147.3", "0.433"),
    ArmName.SOFT_ONLY: ("148.7", "0.443"),
}


def headline(**changed: tuple[str, str]) -> str:
    """The headline where some arms, by their names, have other figures."""
    figures = {name.name: pair for name, pair in FIGURES.items()} | changed
    found = {
        ArmName[name]: replace(
            arm(ArmName[name], 0.2), tokens=TokenFigures(Decimal(one), Decimal(other))
        )
        for name, (one, other) in figures.items()
    }
    return language_verdict(found).headline


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "so did the teacher, and brought the student nearer to itself"),
        ({"DISTILLED": ("147.1", "0.432")}, "so did the teacher; on few seeds"),
        ({"DISTILLED": ("147.9", "0.44")}, "nearer to itself, at no better perplexity"),
        ({"DISTILLED": ("147.9", "0.43")}, "the teacher added nothing to the text"),
        ({"DISTILLED": ("156.8", "0.5")}, "Not worth it here"),
    ],
)
def test_the_headline_follows_the_figures(changed: dict[str, tuple[str, str]], said: str) -> None:
    """Whoever wins."""
    assert said in headline(**changed)


def with_tokens() -> Report:
    """A report whose arms all have perplexities."""
    figures = TokenFigures(Decimal("150.25"), Decimal("0.4"))
    return sample(arms=tuple(replace(one, tokens=figures) for one in arms()))


def test_perplexities_come_back_and_stand_on_the_page() -> None:
    """In place of an F1 that means nothing for tokens."""
    made = with_tokens()
    page = render(made)

    assert Report.from_json(made.to_json()) == made
    assert "Perplexity" in page
    assert ">150.2<" in page
    assert "Not worth it here" in page


def test_some_arms_with_perplexities_are_refused() -> None:
    """They could not be compared."""
    made = with_tokens()
    with pytest.raises(MalformedDocumentError, match="of all arms or of none"):
        replace(made, arms=(replace(made.arms[0], tokens=None), *made.arms[1:]))


@pytest.mark.parametrize(("perplexity", "agreement"), [("0.9", "0.5"), ("2", "1.1")])
def test_figures_out_of_their_range_are_refused(perplexity: str, agreement: str) -> None:
    """A perplexity is at least 1, a share at most 1."""
    with pytest.raises(MalformedDocumentError):
        TokenFigures(Decimal(perplexity), Decimal(agreement))
