"""What an audit refuses.

DistillationError
└── AuditError          the audit was asked for something that would mean nothing
"""

from distillation.errors import DistillationError


class AuditError(DistillationError):
    """The audit cannot be run, or its answer would mean nothing."""
