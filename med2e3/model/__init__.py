"""The models as Hugging Face classes: Med-2E3, and M3D-CLIP and M3D-LaMed beside it.

Importing this package makes them known to transformers' Auto classes.
"""

from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor

from med2e3.model.config import Med2E3Config, Vision3DConfig
from med2e3.model.m3d_clip import M3DClipConfig, M3DClipModel
from med2e3.model.m3d_lamed import M3DLaMedForConditionalGeneration
from med2e3.model.m3d_lamed_config import M3DLaMedConfig
from med2e3.model.m3d_lamed_processor import M3DLaMedProcessor
from med2e3.model.modeling import ImageFeatures, Med2E3ForConditionalGeneration, Med2E3Output
from med2e3.model.processor import Med2E3Processor

AutoConfig.register(Med2E3Config.model_type, Med2E3Config, exist_ok=True)
AutoModel.register(Med2E3Config, Med2E3ForConditionalGeneration, exist_ok=True)
AutoModelForImageTextToText.register(Med2E3Config, Med2E3ForConditionalGeneration, exist_ok=True)
AutoProcessor.register(Med2E3Config, Med2E3Processor, exist_ok=True)
AutoConfig.register(M3DClipConfig.model_type, M3DClipConfig, exist_ok=True)
AutoModel.register(M3DClipConfig, M3DClipModel, exist_ok=True)
AutoConfig.register(M3DLaMedConfig.model_type, M3DLaMedConfig, exist_ok=True)
AutoModel.register(M3DLaMedConfig, M3DLaMedForConditionalGeneration, exist_ok=True)
AutoModelForImageTextToText.register(
    M3DLaMedConfig, M3DLaMedForConditionalGeneration, exist_ok=True
)
AutoProcessor.register(M3DLaMedConfig, M3DLaMedProcessor, exist_ok=True)

__all__ = [
    "ImageFeatures",
    "M3DClipConfig",
    "M3DClipModel",
    "M3DLaMedConfig",
    "M3DLaMedForConditionalGeneration",
    "M3DLaMedProcessor",
    "Med2E3Config",
    "Med2E3ForConditionalGeneration",
    "Med2E3Output",
    "Med2E3Processor",
    "Vision3DConfig",
]
