"""Secret random words at the speed of AES: AES-256 in counter mode (NIST SP 800-38A, 6.5).

One key makes one stream, counter 0 first, and is used once. The cipher writes into the caller's
buffer: an allocation for each call would cost more than the encryption. A stream can start at any
of its counters, so threads can share a vector.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

# Zeros, keystream and words, 128 KiB each, stay in a second-level cache of 512 KiB; larger blocks
# are no faster, at 64 KiB the calls begin to cost.
BLOCK_BYTES = 1 << 17
COUNTER_BYTES = 16  # of keystream for each counter
_ZEROS = memoryview(bytes(BLOCK_BYTES))  # read-only, shared by every stream


def derive(secret: bytes, *, info: bytes, size: int = 32) -> bytes:
    """Return ``size`` bytes of HKDF-SHA256 (RFC 5869) of ``secret``, without salt."""
    return HKDF(algorithm=SHA256(), length=size, salt=None, info=info).derive(secret)


class Keystream:
    """The AES-256-CTR stream of one key, read once."""

    __slots__ = ("_update_into",)

    def __init__(self, key: bytes, *, start: int = 0) -> None:
        """Start the stream.

        Args:
            key: 32 bytes, used for nothing else.
            start: Byte of the stream that is read first; a multiple of 16.

        Raises:
            ValueError: If the key has another size, or no counter begins at ``start``.
        """
        if len(key) != 32:
            raise ValueError(f"expected an AES-256 key of 32 bytes, got {len(key)}")
        counter, rest = divmod(start, COUNTER_BYTES)
        if rest or start < 0:
            raise ValueError(f"expected a start >= 0 that is a multiple of 16, got {start}")
        mode = modes.CTR(counter.to_bytes(COUNTER_BYTES, "big"))
        self._update_into = Cipher(algorithms.AES256(key), mode).encryptor().update_into

    def fill(self, out: NDArray[np.uint8]) -> None:
        """Overwrite ``out``, at most 128 KiB, contiguous, with the next bytes.

        Raises:
            ValueError: If it is larger.
        """
        if out.nbytes > BLOCK_BYTES:
            raise ValueError(f"expected at most {BLOCK_BYTES} bytes at a time, got {out.nbytes}")
        self._update_into(_ZEROS[: out.nbytes], out.data)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keystream is a secret: it cannot be copied or stored")
