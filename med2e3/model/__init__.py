"""The model as Hugging Face classes: `Med2E3Config`, `Med2E3ForConditionalGeneration`, processor.

Importing this package makes them known to transformers' Auto classes.
"""

from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from med2e3.model.config import Med2E3Config, Vision3DConfig
from med2e3.model.modeling import ImageFeatures, Med2E3ForConditionalGeneration, Med2E3Output
from med2e3.model.processor import Med2E3Processor

AutoConfig.register(Med2E3Config.model_type, Med2E3Config, exist_ok=True)
AutoModelForImageTextToText.register(Med2E3Config, Med2E3ForConditionalGeneration, exist_ok=True)
AutoProcessor.register(Med2E3Config, Med2E3Processor, exist_ok=True)

__all__ = [
    "ImageFeatures",
    "Med2E3Config",
    "Med2E3ForConditionalGeneration",
    "Med2E3Output",
    "Med2E3Processor",
    "Vision3DConfig",
]
