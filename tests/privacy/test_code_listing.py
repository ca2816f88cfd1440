"""A list of code is the sources and versions that the hashes of plans and self-tests stand for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.code_listing import REGION_CODE, CodeListing
from privacy.errors import MalformedDocumentError

LISTING = CodeListing({"privacy/plan.py": "ab" * 32}, {"torch": "2.13.0+cpu"})


def test_any_other_file_or_version_is_another_hash(tmp_path: Path) -> None:
    """A plan's does not cover libraries, a self-test's not the packages that only talk."""
    for name in REGION_CODE:
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.py").write_text("x = 1\n")
    roots = {name: tmp_path / name for name in REGION_CODE}
    before = CodeListing.of(roots, {"torch": "1"})
    library = CodeListing.of(roots, {"torch": "2"})
    (tmp_path / "server" / "one.py").write_text("x = 2\n")
    server = CodeListing.of(roots, {"torch": "1"})

    assert library.region_hash == before.region_hash
    assert library.trainer_hash != before.trainer_hash
    assert server.region_hash != before.region_hash
    assert server.trainer_hash == before.trainer_hash


@pytest.mark.parametrize(
    "data",
    [
        b"torch 1",
        b"torch 1\ntorch 2\n",
        LISTING.to_bytes() * 2,
        b"torch 1\n" + LISTING.to_bytes(),
        b"privacy/plan.py " + b"A" * 64 + b"\n",
        b"\xff\n",
        b"a b c\n",
    ],
)
def test_another_form_is_refused(data: bytes) -> None:
    """Lines cut off, twice, out of order, or of something else."""
    with pytest.raises(MalformedDocumentError):
        CodeListing.from_bytes(data)


@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_list_or_refused(data: bytes) -> None:
    """And what is read is written again as it was."""
    try:
        listing = CodeListing.from_bytes(data)
    except MalformedDocumentError:
        return
    assert listing.to_bytes() == data
