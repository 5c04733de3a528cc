"""What the engine promises, measured: times, ratios, floating-point operations, memory.

Every ratio compares two things measured in the same run on the same machine. Knows the engine,
not who shows the figures.
"""

from med2e3.benchmark.measuring import measure
from med2e3.benchmark.result import Part, Result
from med2e3.benchmark.subjects import SHAPES, random_model, released_config

__all__ = ["SHAPES", "Part", "Result", "measure", "random_model", "released_config"]
