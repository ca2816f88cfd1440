r"""Is this path on a disk of this machine? SQLite's locks and its log need one.

Source: sqlite.org/wal.html, "does not work over a network filesystem"; the format of
/proc/self/mounts is that of fstab(5), with spaces written as ``\040``.
"""

from __future__ import annotations

from pathlib import Path

from privacy.errors import LedgerStorageError

_MOUNTS = Path("/proc/self/mounts")
_REMOTE = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.ceph",
        "fuse.davfs",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "smbfs",
    }
)


def require_local(path: Path) -> None:
    """Refuse a path on a file system known to be remote.

    Where the system has no mount table (it is not Linux) nothing is checked.

    Raises:
        LedgerStorageError: If the file system is a network one.
    """
    if not _MOUNTS.exists():
        return
    kind = file_system_of(path.resolve(), mounts=_MOUNTS.read_text(errors="replace"))
    if kind in _REMOTE:
        raise LedgerStorageError(
            f"expected the ledger on a local disk, got {path} on {kind}; a network file system "
            "may lose locks and writes, and with them reserves: move the ledger to a local disk"
        )


def file_system_of(path: Path, *, mounts: str) -> str:
    """Return the type of the file system that holds ``path``, or ``unknown``.

    Args:
        path: An absolute path without symbolic links.
        mounts: The text of a mount table; a later line hides an earlier one.
    """
    kind, depth = "unknown", -1
    for line in mounts.splitlines():
        columns = line.split(" ")
        if len(columns) < 3:
            continue
        point = Path(columns[1].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = columns[2], len(point.parts)
    return kind
