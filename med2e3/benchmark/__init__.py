"""Measures the engine: times, ratios, floating-point operations, memory.

Every ratio is of two figures from the same run on the same machine. Knows the engine, and nothing
of who shows the figures.
"""

from med2e3.benchmark.measuring import measure
from med2e3.benchmark.result import Result, TimedPart
from med2e3.benchmark.subjects import SHAPES, random_model, released_config

__all__ = ["SHAPES", "Result", "TimedPart", "measure", "random_model", "released_config"]
