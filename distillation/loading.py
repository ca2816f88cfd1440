"""One model is loaded at a time in a process.

While transformers loads, it replaces functions of torch and of its own (weights are not
initialised, heads not tied) and puts them back. Two threads that load at once put back each other's
replacements, and every model that is made afterwards has untied heads.
"""

import threading

one_at_a_time = threading.Lock()
"""Held while transformers loads weights."""
