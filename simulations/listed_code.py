"""The code of this machine as a list, for whoever wants to know what its hashes stand for."""

import importlib.metadata
from importlib.util import find_spec
from pathlib import Path

from client.conformance import LIBRARIES
from privacy.code_listing import REGION_CODE, CodeListing
from simulations.errors import StudyDataError


def listed_code() -> CodeListing:
    """Return the sources that run in a region, and the versions of the trainer's libraries.

    Raises:
        StudyDataError: If one of our packages is not here as files.
    """
    roots = {}
    for name in REGION_CODE:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise StudyDataError(f"the package {name} is not installed")
        roots[name] = Path(spec.origin).parent
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return CodeListing.of(roots, versions)
