"""Differential privacy for torch training; the only importer of Opacus."""
