from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.differencing import allows

FULL = "abcdefgh"


def regions(names: str) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)


def accepted(proposals: Sequence[str], *, least: int) -> list[frozenset[bytes]]:
    """Return the sets that a region helps to sum, asked for these in turn."""
    sets: list[frozenset[bytes]] = []
    for names in proposals:
        if allows(sets, regions(names), least=least):
            sets.append(regions(names))
    return sets


# (sums so far, the next one, the fewest regions a difference may consist of, whether it is given)
TABLE: list[tuple[str, list[str], str, int, bool]] = [
    ("the first sum", [], FULL, 3, True),
    ("a first sum of too few", [], "ab", 3, False),
    ("a first sum of just enough", [], "abc", 3, True),
    ("the same regions again", [FULL], FULL, 3, True),
    ("one missing", [FULL], FULL[1:], 3, False),
    ("two missing", [FULL], FULL[2:], 3, False),
    ("three missing", [FULL], FULL[3:], 3, True),
    ("four missing, of at least four", [FULL], FULL[4:], 4, True),
    ("three missing, of at least four", [FULL], FULL[3:], 4, False),
    ("the missing one comes back", [FULL[1:]], FULL, 3, False),
    ("all but three before, then the three", [FULL[3:]], "abc", 3, True),
    ("disjoint sums", ["abcd"], "efgh", 3, True),
    ("a region exchanged for another", ["abcd"], "bcde", 3, False),
    ("two large sums that share one region", ["abcd"], "defg", 3, False),
    ("two sums that share three regions", ["abcdef"], "defghi", 3, True),
    (
        "then their union, which tells none from the others",
        ["abcdef", "defghi"],
        "abcdefghi",
        3,
        True,
    ),
    ("a combination of sums that are known", ["abc", "def"], "abcdef", 3, True),
    ("a known set among others", [FULL, FULL[4:]], FULL[4:], 4, True),
]


@pytest.mark.parametrize(
    ("known", "proposed", "least", "given_"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_a_sum_that_would_isolate_few_is_refused(
    known: list[str], proposed: str, least: int, given_: bool
) -> None:
    """Whole groups of the least size or more may show, and nothing smaller."""
    sets = [regions(names) for names in known]
    assert allows(sets, regions(proposed), least=least) is given_


def test_sets_far_apart_that_give_one_region_are_refused() -> None:
    """3v = S1 + S2 + S3 - 2 · S4, though no two of the four sets differ in few regions."""
    p, q, r = "abcd", "efgh", "ijkl"
    sets = ["v" + p + q, "v" + q + r, "v" + p + r, p + q + r]
    vectors = {name: [name in one for one in sets] for name in "v" + p + q + r}
    coefficients = (1, 1, 1, -2)
    shown = {
        name: sum(c * inside for c, inside in zip(coefficients, row, strict=True))
        for name, row in vectors.items()
    }
    assert {name for name, weight in shown.items() if weight} == {"v"}
    assert len(accepted(sets, least=3)) < 4


def test_the_order_of_the_sums_does_not_matter() -> None:
    """What is shown by all of them together is refused whichever comes last."""
    for proposals in ([FULL, FULL[1:]], [FULL[1:], FULL]):
        assert len(accepted(proposals, least=3)) == 1


def test_a_known_sum_costs_nothing() -> None:
    """A federation whose regions all stay is never refused, in any number of rounds."""
    assert len(accepted([FULL] * 300, least=5)) == 300


@st.composite
def proposals(draw: st.DrawFn) -> list[str]:
    """Up to five sets of up to seven regions."""
    names = FULL[: draw(st.integers(3, 7))]
    one = st.lists(st.sampled_from(names), min_size=1, unique=True).map("".join)
    return draw(st.lists(one, min_size=1, max_size=5))


@given(wanted=proposals(), least=st.integers(2, 4))
@example(wanted=["abcd", "abef", "cdefg", "bdf"], least=2)
def test_no_small_combination_of_accepted_sums_shows_few_regions(
    wanted: list[str], least: int
) -> None:
    """By brute force over coefficients of -2 to 2: every weight is that of ``least`` regions."""
    sets = accepted(wanted, least=least)
    distinct = sorted(set(sets), key=sorted)
    everybody = sorted(frozenset[bytes]().union(*sets))
    for coefficients in product(range(-2, 3), repeat=len(distinct)):
        shown = [
            sum(c for c, one in zip(coefficients, distinct, strict=True) if name in one)
            for name in everybody
        ]
        assert all(shown.count(weight) >= least for weight in shown)


@given(wanted=proposals())
def test_any_sum_of_somebody_may_be_shown_where_one_region_is_enough(wanted: list[str]) -> None:
    """The rule refuses for the least size alone: at 1 it refuses nothing."""
    assert len(accepted(wanted, least=1)) == len(wanted)
