"""``python -m verify`` and ``stillroom verify``: exit codes, words, JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stillroom.packing import auditor_keys_of, keys_of, pack_run, write_auditor_keys
from stillroom.verifying import verify_path
from tests.verify.made_run import MadeRun
from verify.__main__ import main
from verify.auditor_keys import AuditorKeys
from verify.errors import BadKeysError


@pytest.fixture
def keys(made: MadeRun, tmp_path: Path) -> Path:
    """The auditor's file."""
    path = tmp_path / "auditor-keys.toml"
    path.write_text(made.auditor_keys.to_toml())
    return path


def test_a_pack_that_holds(
    pack: Path, keys: Path, made: MadeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 0, each part of the check in words, and what cannot be seen."""
    note = tmp_path / "kept.note"
    note.write_bytes(made.region("north").checkpoint())
    words = [str(pack), "--keys", str(keys), "--checkpoint", str(note), "--since", str(pack)]

    assert main(words) == 0
    told = capsys.readouterr().out
    assert all(f"holds · V{number}" in told for number in range(1, 10))
    assert "cannot be seen from a pack" in told
    assert "nothing was entered since" in told
    assert verify_path(pack, keys=keys, as_json=False) == 0


def test_a_pack_that_does_not(
    pack: Path, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, where and what it means, in JSON too; nothing inside is said to hold."""
    changed = tmp_path / "changed.zip"
    changed.write_bytes(pack.read_bytes()[:-1] + b"x")

    assert main([str(changed), "--keys", str(keys)]) == 1
    told = capsys.readouterr().out
    assert "violated · V1 · changed.zip" in told
    assert "this means: " in told
    assert "holds ·" not in told

    assert verify_path(changed, keys=keys, as_json=True) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["check"], found["outcome"]) == ("V1", "violated")
    assert found["means"]


def test_what_cannot_be_read_is_bad_input_or_incomplete(
    pack: Path, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a pack 4, without the auditor's own files 2: no finding, one sentence."""
    none = tmp_path / "none"

    assert main([str(none), "--keys", str(keys)]) == 4
    assert main([str(pack), "--keys", str(none)]) == 2
    assert main([str(pack), "--keys", str(keys), "--checkpoint", str(pack)]) == 2
    assert verify_path(pack, as_json=False) == 2
    assert verify_path(pack, keys=none, as_json=False) == 2
    assert "expected --keys FILE" in capsys.readouterr().err


def test_a_run_is_packed_with_the_keys_in_its_folder(
    made: MadeRun, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A simulation's folder has everybody's keys; a coordinator's has its own."""
    run = tmp_path / "run"
    shutil.copytree(made.root, run)
    (run / "server" / "identity.key").write_bytes(made.server.private_bytes())
    for one in made.regions:
        key = run / "regions" / one.name / "ledger.key"
        key.write_bytes(one.ledger_key.private_bytes())
    pack_run(run, tmp_path / "again.zip")
    write_auditor_keys(run, tmp_path / "keys.toml")

    assert (tmp_path / "again.zip").read_bytes() == pack.read_bytes()
    assert "kB" in capsys.readouterr().out
    assert auditor_keys_of(run).registry_hash == made.registry.hash
    assert AuditorKeys.from_toml((tmp_path / "keys.toml").read_bytes()) == auditor_keys_of(run)

    (run / "regions" / "west" / "ledger.key").unlink()
    assert [one.name for one in keys_of(run).regions if one.key is None] == ["west"]


def test_the_auditors_keys_have_one_form(made: MadeRun) -> None:
    """What is written is read; anything else is refused, with a reason."""
    text = made.auditor_keys.to_toml()
    assert AuditorKeys.from_toml(text.encode()) == made.auditor_keys

    for wrong in (
        "",
        text + "more = 1\n[",
        text.replace("stillroom-auditor-keys/1", "other"),
        text.replace('server = "', 'server = "0'),
        text.replace("witnesses = 1", "witnesses = 2"),
        text.replace("witnesses = 1", 'moon = "full"'),
        text.replace("cosigner", "# cosigner"),
        text.partition("[regions]")[0] + "[regions]\n",
    ):
        with pytest.raises(BadKeysError):
            AuditorKeys.from_toml(wrong.encode())
    with pytest.raises(BadKeysError):
        AuditorKeys.from_toml(b"\xff")
    with pytest.raises(BadKeysError):
        AuditorKeys.from_toml(b"#" * (1 << 18))
