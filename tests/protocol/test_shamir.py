from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import shamir
from protocol.errors import MalformedMessageError
from protocol.shamir import PRIME
from tests.protocol.builders import randomness

ELEMENTS = st.integers(0, PRIME - 1)


def fixed(*values: int) -> Callable[[int], bytes]:
    """Return a source that makes ``random_element`` return these values in turn."""
    left = iter(values)
    return lambda size: (next(left) << 1).to_bytes(size, "big")


def recovered(shares: tuple[int, ...], holders: tuple[int, ...]) -> int:
    basis = shamir.basis(holders)
    return shamir.combine({holder: shares[holder - 1] for holder in holders}, basis)


def test_the_known_answer_of_the_specification() -> None:
    """5 + 7x + 9x² at 1, 2, 3 gives 5 at 0."""
    shares = shamir.split(5, threshold=3, count=3, randomness=fixed(7, 9))
    assert shares == (21, 55, 107)
    assert recovered(shares, (1, 2, 3)) == 5


def test_the_basis_at_one_two_three_is_lagranges() -> None:
    """3, -3 and 1: the textbook's."""
    assert shamir.basis((1, 2, 3)) == {1: 3, 2: PRIME - 3, 3: 1}


@given(data=st.data(), secret=ELEMENTS, count=st.integers(1, 12))
def test_any_threshold_of_shares_gives_the_secret(
    data: st.DataObject, secret: int, count: int
) -> None:
    """Whichever holders answer, in whatever order, and with more than are needed."""
    threshold = data.draw(st.integers(1, count))
    size = data.draw(st.integers(threshold, count))
    holders = tuple(data.draw(st.permutations(range(1, count + 1))))[:size]
    source = randomness(f"{secret}/{count}/{threshold}")
    shares = shamir.split(secret, threshold=threshold, count=count, randomness=source)
    assert recovered(shares, holders) == secret


@pytest.mark.parametrize("threshold", [1, 2, 3, 4, 5])
def test_every_set_of_holders_gives_the_secret(threshold: int) -> None:
    """All sets of t of five, one by one."""
    shares = shamir.split(11, threshold=threshold, count=5, randomness=randomness("every"))
    found = {recovered(shares, holders) for holders in combinations(range(1, 6), threshold)}
    assert found == {11}


@given(secret=ELEMENTS, other=ELEMENTS, threshold=st.integers(2, 8))
def test_fewer_shares_fit_every_secret(secret: int, other: int, threshold: int) -> None:
    """With t - 1 shares in hand any secret is possible: some polynomial has both."""
    count = threshold + 1
    shares = shamir.split(
        secret, threshold=threshold, count=count, randomness=randomness(f"{secret}")
    )
    known = {holder: shares[holder - 1] for holder in range(1, threshold)}
    # The one remaining share that makes these shares those of `other`:
    basis = shamir.basis(tuple(range(1, threshold + 1)))
    rest = (other - sum(basis[holder] * share for holder, share in known.items())) % PRIME
    invented = rest * pow(basis[threshold], -1, PRIME) % PRIME
    assert shamir.combine({**known, threshold: invented}, basis) == other
    assert (invented == shares[threshold - 1]) == (secret == other)


@given(secret=ELEMENTS, change=st.integers(1, PRIME - 1))
def test_one_wrong_share_gives_another_secret(secret: int, change: int) -> None:
    """Interpolation itself notices nothing: that is what the commitments are for."""
    shares = shamir.split(secret, threshold=3, count=4, randomness=randomness("wrong"))
    wrong = (shares[0], (shares[1] + change) % PRIME, *shares[2:])
    assert recovered(wrong, (1, 2, 4)) != secret


def test_shares_add_up_like_their_secrets() -> None:
    """Sharing is linear; that no two dealers' shares can be mixed up is the commitments' work."""
    left = shamir.split(3, threshold=2, count=3, randomness=randomness("left"))
    right = shamir.split(4, threshold=2, count=3, randomness=randomness("right"))
    both = tuple((a + b) % PRIME for a, b in zip(left, right, strict=True))
    assert recovered(both, (1, 3)) == 7


@pytest.mark.parametrize("count", [64, 128])
def test_the_largest_federation_shares_a_secret(count: int) -> None:
    """128 regions, of which two thirds and one answer."""
    threshold = 2 * count // 3 + 1
    shares = shamir.split(9, threshold=threshold, count=count, randomness=randomness("large"))
    holders = tuple(random.Random(5).sample(range(1, count + 1), threshold))
    assert recovered(shares, holders) == 9


@pytest.mark.parametrize(
    ("secret", "threshold", "count"), [(-1, 2, 3), (PRIME, 2, 3), (1, 0, 3), (1, 4, 3), (1, 1, 0)]
)
def test_what_cannot_be_shared_is_refused(secret: int, threshold: int, count: int) -> None:
    """Secrets outside the field, thresholds of nobody or of more than there are."""
    with pytest.raises(ValueError, match="expected a secret"):
        shamir.split(secret, threshold=threshold, count=count, randomness=randomness("none"))


@pytest.mark.parametrize("holders", [(1, 1), (0, 1), (1, PRIME), (-1, 1)])
def test_holders_are_distinct_and_not_the_secret_itself(holders: tuple[int, ...]) -> None:
    """A holder at 0, or at p, which is 0 again, would hold the secret."""
    with pytest.raises(ValueError, match="distinct holders"):
        shamir.basis(holders)


def test_a_missing_share_is_an_error() -> None:
    """A secret is never made from fewer shares than the basis is for."""
    with pytest.raises(KeyError):
        shamir.combine({1: 5}, shamir.basis((1, 2)))


@given(element=ELEMENTS)
def test_an_element_has_one_spelling(element: int) -> None:
    """32 bytes, big-endian, and back."""
    data = shamir.to_bytes(element)
    assert len(data) == 32
    assert shamir.from_bytes(data) == element


@pytest.mark.parametrize("number", [PRIME, PRIME + 1, 2**255, 2**256 - 1])
def test_a_second_spelling_of_an_element_is_refused(number: int) -> None:
    """The number p + 5 is not read as 5."""
    with pytest.raises(MalformedMessageError, match="below 2"):
        shamir.from_bytes(number.to_bytes(32, "big"))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_element_of_another_size_is_refused(size: int) -> None:
    """A short number is not padded."""
    with pytest.raises(MalformedMessageError, match="a share"):
        shamir.from_bytes(bytes(size))


def test_random_elements_are_drawn_again_where_they_leave_the_field() -> None:
    """The 19 values of 2**255 that are none are rejected, not reduced: that would bias."""
    assert shamir.random_element(fixed(PRIME, PRIME + 18, PRIME - 1)) == PRIME - 1
    assert shamir.random_element(fixed(0)) == 0


def test_the_coefficients_are_secret_and_fresh() -> None:
    """One draw for each power of x above 0, and none is dropped."""
    drawn: list[int] = []
    source = randomness("count")

    def counted(size: int) -> bytes:
        drawn.append(size)
        return source(size)

    shamir.split(1, threshold=5, count=7, randomness=counted)
    assert drawn == [32] * 4
