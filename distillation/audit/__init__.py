"""Audits: attacks on our own training, and what their success or failure says about a claim."""
