"""transformers' own ways in: Auto classes after `import med2e3`, and the chat template."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from med2e3.model import Med2E3Processor
from med2e3.model.prompts import TEMPLATES, write_prompt

ROOT = Path(__file__).resolve().parents[3]

#: Whichever is imported first, the classes are found, and importing med2e3 brings no torch.
FIRST_OURS = """
import sys, med2e3
assert not {"torch", "transformers"} & set(sys.modules)
from transformers import AutoConfig, AutoModel, AutoProcessor
"""
FIRST_THEIRS = """
from transformers import AutoConfig, AutoModel, AutoProcessor
import med2e3
"""
OPENING = """
folder = sys.argv[1]
print(type(AutoConfig.from_pretrained(folder)).__name__)
print(type(AutoProcessor.from_pretrained(folder)).__name__)
print(type(AutoModel.from_pretrained(folder)).__name__)
"""


@pytest.mark.parametrize("first", [FIRST_OURS, pytest.param(FIRST_THEIRS, marks=pytest.mark.slow)])
def test_auto_classes_know_the_models(first: str, tiny_folder: Callable[..., Path]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys\n{first}\n{OPENING}", str(tiny_folder())],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [
        "Med2E3Config", "Med2E3Processor", "Med2E3ForConditionalGeneration",
    ]  # fmt: skip


CHAT = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " Is it CT? "}]},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": "Where's the “liver”?"},
]
TURNS = (("Is it CT?", "Yes."), ("Where's the “liver”?", None))


@pytest.mark.parametrize("template", [name for name, one in TEMPLATES.items() if not one.caption])
def test_the_chat_template_writes_what_the_model_was_trained_on(
    template: str, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    Med2E3Processor(tiny_tokenizer, template=template).save_pretrained(tmp_path)
    processor = Med2E3Processor.from_pretrained(tmp_path)
    tokenizer = processor.tokenizer
    end = tokenizer.eos_token
    written = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    assert written == write_prompt(TEMPLATES[template], TURNS, end, image=True).text
    assert processor.apply_chat_template(CHAT, add_generation_prompt=True) == written
    whole = [*CHAT, {"role": "assistant", "content": "There."}]
    answered = (TURNS[0], (TURNS[1][0], "There."))
    text = tokenizer.apply_chat_template(whole, tokenize=False)
    assert text == write_prompt(TEMPLATES[template], answered, end, image=True).text
    plain = [{"role": "user", "content": "organ"}]
    ids = tokenizer.apply_chat_template(plain, add_generation_prompt=True, return_dict=False)
    assert ids == processor.prompt_ids([("organ", None)], image=False)
    system = [{"role": "system", "content": "Be brief."}, *plain]
    said = tokenizer.apply_chat_template(system, tokenize=False)
    assert said.startswith("Be brief. USER: organ")
