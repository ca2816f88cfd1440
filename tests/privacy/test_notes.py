"""Signed notes: the published example opens, and nothing else that looks like one does."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from privacy.errors import MalformedDocumentError
from privacy.notes import Checkpoint, key_id, open_note, sign_note

# The example of Go's package golang.org/x/mod/sumdb/note, which defined the format.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)
DASH = "\N{EM DASH}"
NOTE = f"{TEXT}\n{DASH} PeterNeumann {SIGNATURE}\n".encode()
NAME, IDENTIFIER, ENCODED = VKEY.split("+", 2)
PETER = base64.b64decode(ENCODED)[1:]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


def test_the_published_example_opens() -> None:
    """Key and note are of another program."""
    assert key_id(NAME, PETER).hex() == IDENTIFIER
    assert open_note(NOTE, name=NAME, public_key=PETER) == TEXT


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_signed_text_opens_with_its_key_only(text: str) -> None:
    """Whatever its lines are; under another key or name it does not."""
    note = sign_note(text + "\n", name="north", key=KEY)
    assert open_note(note, name="north", public_key=PUBLIC) == text + "\n"
    for name, public_key in (("south", PUBLIC), ("north", PETER), ("north", bytes(32))):
        with pytest.raises(MalformedDocumentError):
            open_note(note, name=name, public_key=public_key)


@given(place=st.integers(0, len(NOTE) - 1), bit=st.integers(0, 7))
def test_a_changed_bit_closes_it(place: int, bit: int) -> None:
    """Anywhere, text or signature; if it still opens, it says the same."""
    changed = bytearray(NOTE)
    changed[place] ^= 1 << bit
    try:
        said = open_note(bytes(changed), name=NAME, public_key=PETER)
    except MalformedDocumentError:
        return
    assert said == TEXT


@pytest.mark.parametrize(
    "note",
    [b"", b"\n\n", TEXT.encode(), NOTE[:-1], b"\xff" + NOTE, NOTE + b"x" * 1024, NOTE[:70]],
)
def test_what_is_no_note_is_refused(note: bytes) -> None:
    """Cut short, not text, or longer than any checkpoint."""
    with pytest.raises(MalformedDocumentError):
        open_note(note, name=NAME, public_key=PETER)


def test_other_signatures_may_stand_beside() -> None:
    """A witness adds its line; whoever asks for one signer ignores the others."""
    other = sign_note(TEXT, name="witness", key=KEY).decode().split("\n\n")[1]
    for both in (NOTE.decode() + other, f"{TEXT}\n{other}{DASH} {NAME} {SIGNATURE}\n"):
        assert open_note(both.encode(), name=NAME, public_key=PETER) == TEXT
        assert open_note(both.encode(), name="witness", public_key=PUBLIC) == TEXT


def test_a_text_ends_with_its_last_line() -> None:
    """Else the empty line below it would not be found again."""
    with pytest.raises(MalformedDocumentError, match="whole lines"):
        sign_note("half a line", name="north", key=KEY)


def test_a_checkpoint_has_one_spelling() -> None:
    """Three lines; a zero before the size or another base64 is another text, and refused."""
    checkpoint = Checkpoint("ledger/north", 7, bytes(32))
    text = checkpoint.to_text()
    assert Checkpoint.from_text(text) == checkpoint
    assert text == f"ledger/north\n7\n{'A' * 43}=\n"
    for other in (
        text.replace("7", "07"),
        text.replace("7", "+7"),
        text.replace("7", "0"),
        text.replace("7", "\u0667"),
        text.replace("A=", "B="),
        text.replace("A=", "="),
        text + "\n",
        text[:-1],
        "a b\n7\n" + text.split("\n")[2] + "\n",
    ):
        with pytest.raises(MalformedDocumentError):
            Checkpoint.from_text(other)
