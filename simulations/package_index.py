"""Debian's package indices: fetched by apt into a folder of their own, read as they lie there.

Two files say what is wanted: ``Packages`` has each package's section, source and maintainer,
``Translation-en`` its description. The join is on the name and ``Description-md5``. The format is
that of Debian Policy, chapter 5: stanzas of fields, which go on in lines that begin with a space.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distillation.errors import RecordsError

SUITE = "bookworm"
"""A stable release: its indices change with point releases only."""

_SOURCES = (
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    f"http://deb.debian.org/debian {SUITE} main\n"
)
_TIMEOUT_S = 300
_ADDRESS = re.compile(r"<([^<>@\s]+@[^<>@\s]+)>\s*$")


@dataclass(frozen=True, slots=True)
class Package:
    """One binary package.

    Attributes:
        name: Its name.
        source: The source package that it is built from.
        maintainer: The address of its maintainer, in lower case: personal data.
        section: Where the archive files it.
        text: Its description, the synopsis first, on one line.
    """

    name: str
    source: str
    maintainer: str
    section: str
    text: str


def fetch(folder: Path) -> None:
    """Have apt fetch the indices into ``folder``; no root is needed, the system's stay as they are.

    Raises:
        RecordsError: If apt is missing, fails, or takes too long.
    """
    program = shutil.which("apt-get")
    if program is None:
        raise RecordsError(
            "apt-get is not on this machine: fetch the indices on a Debian machine and give "
            "their folder as --lists"
        )
    root = folder.resolve()
    for part in ("partial", "cache/archives/partial"):
        (root / part).mkdir(parents=True, exist_ok=True)
    sources = root / "sources.list"
    sources.write_text(_SOURCES, encoding="utf-8")
    settings = {
        "Dir::State::Lists": root,
        "Dir::Cache": root / "cache",
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Acquire::Languages": "en",
        "Acquire::GzipIndexes": "false",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "",  # the folder need not be readable for apt's own user
        "APT::Update::Error-Mode": "any",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    try:
        done = subprocess.run(  # noqa: S603 - apt and settings of our own
            [program, *options, "update"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise RecordsError(
            f"apt-get update took more than {_TIMEOUT_S} s: is deb.debian.org reachable?"
        ) from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise RecordsError(f"apt-get update failed and said: {said}")


def read_packages(folder: Path) -> tuple[Package, ...]:
    """Return the packages that both indices in ``folder`` describe, in the order of the index.

    A package without a maintainer's address, or whose description is not in ``Translation-en``,
    is left out.

    Raises:
        RecordsError: If an index is missing, or is none.
    """
    described = {
        (stanza["Package"], stanza["Description-md5"]): stanza["Description-en"]
        for stanza in _stanzas(_index(folder, "Translation-en"))
        if {"Package", "Description-md5", "Description-en"} <= stanza.keys()
    }
    found = []
    for stanza in _stanzas(_index(folder, "Packages")):
        name = stanza.get("Package", "")
        text = described.get((name, stanza.get("Description-md5", "")))
        address = _ADDRESS.search(stanza.get("Maintainer", ""))
        section = stanza.get("Section", "").rpartition("/")[2]
        if text is not None and address is not None and section:
            source = (stanza.get("Source") or name).split()[0]
            found.append(Package(name, source, address[1].lower(), section, _one_line(text)))
    if not found:
        raise RecordsError(
            f"expected packages with descriptions in {folder}, found none: fetch the indices again"
        )
    return tuple(found)


def _index(folder: Path, kind: str) -> Path:
    """Return the one file that apt wrote for this index, uncompressed."""
    found = sorted(folder.glob(f"*_{kind}"))
    if len(found) != 1:
        raise RecordsError(
            f"expected one file *_{kind} in {folder}, found {len(found)}: fetch the indices with "
            "--fetch, or give the folder that holds them as --lists"
        )
    return found[0]


def _stanzas(path: Path) -> Iterator[dict[str, str]]:
    """Yield each stanza's fields; the lines of a long field are kept apart."""
    fields: dict[str, str] = {}
    last = ""
    with path.open(encoding="utf-8") as file:
        for line in file:
            bare = line.rstrip("\n")
            if not bare:
                if fields:
                    yield fields
                fields, last = {}, ""
            elif bare.startswith((" ", "\t")):
                if last:
                    fields[last] += "\n" + bare
            else:
                last, _, value = bare.partition(":")
                fields[last] = value.strip()
    if fields:
        yield fields


def _one_line(description: str) -> str:
    """Return synopsis and paragraphs as one line; `` .`` stands for an empty line."""
    synopsis, *rest = description.split("\n")
    body = " ".join(" ".join(line.split()) for line in rest if line.strip() != ".")
    return f"{synopsis.strip()}. {body}".strip()
