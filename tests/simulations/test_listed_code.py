"""The list of the code that is here has the hashes that plans and self-tests are made with."""

from __future__ import annotations

from client.conformance import code_sha256
from privacy.code_listing import REGION_CODE, CodeListing
from simulations.listed_code import listed_code
from simulations.prepare import region_code_sha256


def test_the_list_has_the_hashes_of_plans_and_self_tests() -> None:
    """Of the code that is here: made by others from the files, and from the list alone."""
    listing = CodeListing.from_bytes(listed_code().to_bytes())

    assert listing.region_hash == region_code_sha256()
    assert listing.trainer_hash == code_sha256()
    assert {name.partition("/")[0] for name in listing.sources} == set(REGION_CODE)
