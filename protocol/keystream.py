"""Secret random words at the speed of AES: AES-256 in counter mode (NIST SP 800-38A, 6.5).

One key makes one stream, from counter 0, and is used once. The cipher writes into the caller's
buffer: an allocation for each call would cost more than the encryption.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 18  # 256 KiB: keystream and words stay in the second-level cache
_ZEROS = memoryview(bytes(BLOCK_BYTES))  # read-only, shared by every stream


def derive(secret: bytes, *, info: bytes, size: int = 32) -> bytes:
    """Return ``size`` bytes of HKDF-SHA256 (RFC 5869) of ``secret``, without salt."""
    return HKDF(algorithm=SHA256(), length=size, salt=None, info=info).derive(secret)


class Keystream:
    """The AES-256-CTR stream of one key, read once from its start."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        """Start the stream.

        Args:
            key: 32 bytes, used for nothing else.

        Raises:
            ValueError: If the key has another size.
        """
        if len(key) != 32:
            raise ValueError(f"expected an AES-256 key of 32 bytes, got {len(key)}")
        self._cipher = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()

    def fill(self, out: NDArray[np.uint8]) -> None:
        """Overwrite ``out``, at most 256 KiB, contiguous, with the next bytes.

        Raises:
            ValueError: If it is larger.
        """
        if out.nbytes > BLOCK_BYTES:
            raise ValueError(f"expected at most {BLOCK_BYTES} bytes at a time, got {out.nbytes}")
        self._cipher.update_into(_ZEROS[: out.nbytes], out.data)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keystream is a secret: it cannot be copied or stored")
