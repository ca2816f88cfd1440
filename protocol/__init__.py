"""What crosses the border.

Messages, identities and the secure sum FSA1. Bytes in, bytes or errors out; no I/O, no clock.
"""
