"""Sizes in bytes as people read them."""

from __future__ import annotations

#: Bytes of a gigabyte: powers of ten, as disks are sold.
GIGABYTE = 1e9


def size_text(count: float) -> str:
    """Bytes as MB or GB, e.g. "8.7 GB"; below a tenth of a gigabyte in MB."""
    return f"{count / GIGABYTE:.1f} GB" if count >= GIGABYTE / 10 else f"{count / 1e6:.1f} MB"
