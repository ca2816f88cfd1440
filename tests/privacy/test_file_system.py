from __future__ import annotations

from pathlib import Path

import pytest

from privacy import file_system
from privacy.errors import LedgerStorageError
from privacy.file_system import file_system_of, require_local

MOUNTS = r"""/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/tmp tmpfs rw 0 0
//nas/share /mnt/our\040share cifs rw 0 0
/dev/vdb /data xfs rw 0 0
nas:/data /data nfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/ledger.db", "ext4"),
        ("/home/ledger.db", "nfs4"),
        ("/homework/ledger.db", "ext4"),
        ("/home/tmp/ledger.db", "tmpfs"),
        ("/mnt/our share/ledger.db", "cifs"),
        ("/data/ledger.db", "nfs"),
    ],
)
def test_the_deepest_and_latest_mount_holds_a_path(path: str, kind: str) -> None:
    """A mount hides what lies above and what was mounted before."""
    assert file_system_of(Path(path), mounts=MOUNTS) == kind


def test_no_table_no_answer() -> None:
    """Without a mount that holds the path the type is unknown."""
    assert file_system_of(Path("/x"), mounts="") == "unknown"


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger on NFS could lose reserves; a local one is fine."""
    table = tmp_path / "mounts"
    monkeypatch.setattr(file_system, "_MOUNTS", table)
    require_local(tmp_path)  # no table: not Linux
    table.write_text("/dev/vda / ext4 rw 0 0\n")
    require_local(tmp_path)
    table.write_text(f"nas:/x {tmp_path} nfs rw 0 0\n")
    with pytest.raises(LedgerStorageError, match="local disk"):
        require_local(tmp_path / "ledger.db")
