"""The default study's files: data and teacher from installed packages, the study beside them."""

from pathlib import Path

from client.folder import write_durably
from distillation.model_files import locate
from simulations.demo_data import ENCODER_PACKAGE, DemoData, Public, read_titles, split, write_files
from simulations.errors import RunFolderError
from simulations.progress import Progress
from simulations.vendor import build_teacher

_SEED = 0


def study_file(name: str = "demo.toml") -> Path:
    """Return where a study is: in the source tree, or in the installed package."""
    here = Path(__file__).resolve().parent.parent
    for folder in (here / "studies", here / "stillroom" / "studies"):
        if (folder / name).is_file():
            return folder / name
    raise RunFolderError(f"the study {name} is not installed: install stillroom again")


def prepare_demo(folder: Path, show: Progress) -> Path:
    """Write data, teacher and study into ``folder``, once; return the study's path.

    The study is written last: with it, everything else is whole.
    """
    study = folder / "study.toml"
    content = study_file().read_bytes()
    if study.exists() and study.read_bytes() == content:
        return study
    with show.stage("The vendor trains its teacher (playing its part)"):
        data = split(read_titles(), seed=_SEED, public=Public.HALF_THE_CHAPTERS)
        write_demo_data(folder, data)
    write_durably(study, content)
    return study


def write_demo_data(folder: Path, data: DemoData) -> None:
    """Write one split's files and the teacher that was trained on its vendor part."""
    write_files(data, folder)
    build_teacher(
        locate(f"package:{ENCODER_PACKAGE}"),
        [title.text for title in data.vendor],
        [title.chapter for title in data.vendor],
        folder=folder / "teacher",
    )
