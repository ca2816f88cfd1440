"""Everything this package raises on purpose.

DistillationError
├── StudyError          the study file is wrong
├── RecordsError        records cannot be used; names files, columns and rows, never their content
├── TeacherError        a model cannot be found, loaded or cut
├── ArtifactError       what travels beside the plan is missing, damaged or another one
├── TrainingError       training was asked for something that it must not do
├── LabelCacheError     the encrypted soft labels cannot be opened
└── ConformanceError    the trainer does not do what the accounting assumes; nothing may be released
"""


class DistillationError(Exception):
    """The engine cannot go on; the message says what to do."""


class StudyError(DistillationError):
    """The study file does not hold a study."""


class RecordsError(DistillationError):
    """Records cannot be read or used."""


class TeacherError(DistillationError):
    """A model cannot be used."""


class ArtifactError(DistillationError):
    """An artifact is not the one that was agreed on."""


class TrainingError(DistillationError):
    """A training step would break what it guarantees."""


class LabelCacheError(DistillationError):
    """The cache of soft labels cannot be used."""


class ConformanceError(DistillationError):
    """The trainer does not do what the privacy accounting assumes; nothing may be released."""
