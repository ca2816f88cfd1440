"""The auditor's check of a run, on privacy and protocol alone."""
