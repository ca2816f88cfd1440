"""Make the golden pack anew: ``python -m tests.verify.make_golden_pack``.

Do this only for a new format, under a new name: every later release has to go on verifying the
packs that were given to somebody. Keys and randomness follow from a seed, so anybody can make them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from privacy.pack import write_pack
from tests.verify.made_run import made_run

VECTORS = Path(__file__).parents[1] / "vectors"
PACK, KEYS, NOTE = "pack_1.zip", "pack_1_keys.toml", "pack_1_kept.note"


def main(folder: Path = VECTORS) -> None:
    """Write the pack, the auditor's keys for it, and a checkpoint that was kept after round 0."""
    with tempfile.TemporaryDirectory(prefix="stillroom-") as scratch:
        run = made_run(Path(scratch, "run"), seed="golden", rounds=1)
        (folder / NOTE).write_bytes(run.region("north").checkpoint())
        run.play(1)
        write_pack(run.root, folder / PACK, run.pack_keys)
        (folder / KEYS).write_text(run.auditor_keys.to_toml())


if __name__ == "__main__":
    main()
