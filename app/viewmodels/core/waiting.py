"""Waiting in a coroutine until a view-model is in a certain state. Knows no clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from app.viewmodels.core.signal import Signal


async def until(signal: Signal[...], holds: Callable[[], bool]) -> None:
    """Wait until `holds()` is true; it is called now and at each emit of `signal`."""
    reached = asyncio.Event()

    def look(*_: Any) -> None:
        if holds():
            reached.set()

    disconnect = signal.connect(look)
    try:
        look()
        await reached.wait()
    finally:
        disconnect()
