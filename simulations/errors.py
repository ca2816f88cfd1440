"""Everything a simulation raises on purpose.

SimulationError
├── RunFolderError      the run's folder cannot be used
├── StudyDataError      study and data do not fit together
└── LoopbackError       a program of the loopback deployment failed (loopback_processes)
"""


class SimulationError(Exception):
    """The simulation cannot go on; the message says what to do."""


class RunFolderError(SimulationError):
    """The folder of the run cannot be used."""


class StudyDataError(SimulationError):
    """The study's regions are not those of its data."""
