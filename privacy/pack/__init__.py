"""The compliance pack: one file that an auditor can check without trusting who made it."""

from privacy.pack.writing import PackKeys, RegionKey, countersign, write_pack

__all__ = ["PackKeys", "RegionKey", "countersign", "write_pack"]
