"""The coordinator: rounds, the sum, checkpoints and evaluation on public data.

Every region assumes that it is malicious and trusts it for availability only.
"""
