"""Everything a region raises on purpose. None of it ever reaches the coordinator as text.

ClientError
├── RegionFolderError       the region's folder is missing something, or exists already
├── PolicyError             the policy file is wrong
├── ApprovalRefusedError    this region must not run this plan; nothing was charged
├── NotApprovedError        the plan was not approved here
├── HaltedError             the steward stopped this region; nothing is trained or sent
├── EgressError             an answer that may not leave did not (egress_rules)
├── ManifestError           it cannot be written down what leaves (manifest)
├── ModelChainError         the coordinator's model is not the one that this region computed
└── RuntimeApiError         the SuperNode's Runtime API cannot be used (executor_runtime)
"""


class ClientError(Exception):
    """The region cannot go on; the message says what to do."""


class RegionFolderError(ClientError):
    """The folder of the region cannot be used."""


class PolicyError(ClientError):
    """The policy file does not hold a policy."""


class ApprovalRefusedError(ClientError):
    """The plan asks for something that the policy or the data do not allow."""


class NotApprovedError(ClientError):
    """There is no approved plan of this hash."""


class HaltedError(ClientError):
    """The steward stopped this region."""


class ModelChainError(ClientError):
    """A published sum or model does not follow from what this region knows."""
