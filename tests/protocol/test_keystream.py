from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.keystream import BLOCK_BYTES, Keystream, derive


def test_hkdf_matches_rfc_5869() -> None:
    """Appendix A.1 (the library) and A.3, without salt and info (our call of it)."""
    library = HKDF(SHA256(), 42, bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert library.derive(b"\x0b" * 22).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    assert derive(b"\x0b" * 22, info=b"", size=42).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )


def test_aes_256_ctr_matches_sp_800_38a() -> None:
    """SP 800-38A, F.5.5, first block."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    counter = bytes(range(0xF0, 0x100))
    cipher = Cipher(algorithms.AES256(key), modes.CTR(counter)).encryptor()
    block = cipher.update(bytes.fromhex("6bc1bee22e409f96e93d7e117393172a"))
    assert block.hex() == "601ec313775789a5b7a7f504bbf3d228"


def test_the_stream_starts_with_the_block_cipher_of_zero() -> None:
    """AES-256 of the zero block under the zero key (FIPS 197): the counter starts at 0."""
    out = np.empty(16, np.uint8)
    Keystream(bytes(32)).fill(out)
    assert out.tobytes().hex() == "dc95c078a2408989ad48a21492842087"


def test_the_stream_does_not_depend_on_how_it_is_read() -> None:
    """Two reads continue each other."""
    whole, parts = np.empty(BLOCK_BYTES, np.uint8), np.empty(BLOCK_BYTES, np.uint8)
    Keystream(b"k" * 32).fill(whole)
    stream = Keystream(b"k" * 32)
    stream.fill(parts[:1001])
    stream.fill(parts[1001:])
    assert (whole == parts).all()


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    """AES-128 is not a quiet fallback."""
    with pytest.raises(ValueError, match="32 bytes"):
        Keystream(bytes(size))


def test_more_than_a_block_is_refused() -> None:
    """A buffer that the zeros do not cover would be filled only in part."""
    with pytest.raises(ValueError, match="at most"):
        Keystream(bytes(32)).fill(np.empty(BLOCK_BYTES + 1, np.uint8))


@pytest.mark.parametrize("start", [0, 16, 4096, BLOCK_BYTES - 16])
def test_a_stream_can_start_at_any_counter(start: int) -> None:
    """What is read from byte ``start`` on is what the whole stream has there."""
    whole, part = np.empty(BLOCK_BYTES, np.uint8), np.empty(BLOCK_BYTES - start, np.uint8)
    Keystream(b"k" * 32).fill(whole)
    Keystream(b"k" * 32, start=start).fill(part)
    assert (whole[start:] == part).all()


def test_counters_beyond_32_bits_are_carried() -> None:
    """Byte 2**40 of a stream is the cipher of the counter 2**36, in all 128 bits."""
    out = np.empty(16, np.uint8)
    Keystream(bytes(32), start=1 << 40).fill(out)
    block = Cipher(algorithms.AES256(bytes(32)), modes.ECB()).encryptor()
    assert out.tobytes() == block.update((1 << 36).to_bytes(16, "big"))


@pytest.mark.parametrize("start", [-16, 1, 17])
def test_a_start_within_a_counter_is_refused(start: int) -> None:
    """The stream is seekable by counters, not by bytes."""
    with pytest.raises(ValueError, match="multiple of 16"):
        Keystream(bytes(32), start=start)


def test_a_keystream_is_not_stored() -> None:
    """Neither pickle nor copy."""
    stream = Keystream(bytes(32))
    for leave in pickle.dumps, copy.copy, copy.deepcopy:
        with pytest.raises(TypeError, match="secret"):
            leave(stream)
