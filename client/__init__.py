"""One region.

Its policy, records, approvals and ledger, and the handlers that answer the coordinator.
"""
