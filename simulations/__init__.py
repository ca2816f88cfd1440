"""A whole federation on one machine.

The real server loop and the real client handlers, the researcher's baselines, and the demo's data.
"""
