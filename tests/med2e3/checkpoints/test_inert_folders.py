"""A model folder is data: what it brings along never runs, and nobody is asked whether to run it.

Each folder here holds a module that leaves a mark when it is imported, names it in one of its
settings, and is opened with "y" waiting at the standard input.
"""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import med2e3
from med2e3.checkpoints import Hub, open_checkpoint
from med2e3.checkpoints.hashes import RECORD_FILE
from med2e3.errors import CheckpointError
from med2e3.evaluation.texts import open_metrics
from med2e3.model.inert import check_inert, open_tokenizer
from med2e3.resources import resource_path
from med2e3.training.pipeline import RunFolder
from med2e3.training.published_recipe import PublishedRecipe
from med2e3.training.starting import open_start

CODE = "from pathlib import Path\nPath({mark!r}).touch()\nclass Evil: pass\n"
TOKENIZER_CODE = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
CONFIG_CODE = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": "evil.Evil"}


@pytest.fixture(autouse=True)
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the folders' code would leave; a reader who says yes to all is played."""
    path = tmp_path / "code-was-run"
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 50))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    yield path
    assert not path.exists(), "the folder's code was run"


@pytest.fixture
def copied(
    tmp_path: Path, mark: Path, fixtures: Path, tiny_folder: Callable[..., Path]
) -> Callable[[str], Path]:
    """A copy of a folder of each layout, with a module beside its files."""
    sources = {
        "demo": lambda: resource_path("demo-model"),
        "native": tiny_folder,
        "med2e3": lambda: fixtures / "med2e3" / "checkpoint",
        "m3d-clip": lambda: fixtures / "m3d_clip" / "checkpoint",
        "m3d-lamed": lambda: fixtures / "m3d_lamed" / "checkpoint",
        "hub": lambda: fixtures / "med2e3" / "hub",
    }

    def copy(name: str) -> Path:
        folder = Path(shutil.copytree(sources[name](), tmp_path / name))
        for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            (place / "evil.py").write_text(CODE.format(mark=str(mark)))
        return folder

    return copy


def changed(path: Path, **settings: Any) -> None:
    """Add settings to a JSON file."""
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **settings}))


def hub_of(fixtures: Path, name: str) -> Hub:
    return Hub(fixtures / ("m3d_clip" if name == "m3d-clip" else "med2e3") / "hub")


@pytest.mark.parametrize("name", ["demo", "native", "med2e3", "m3d-clip", "m3d-lamed"])
@pytest.mark.parametrize("file", ["tokenizer_config.json", "processor_config.json"])
def test_code_for_the_tokenizer_is_refused_by_the_file_that_names_it(
    name: str, file: str, copied: Callable[[str], Path], fixtures: Path
) -> None:
    folder = copied(name)
    changed(folder / file, auto_map=TOKENIZER_CODE, tokenizer_class=None)
    with pytest.raises(CheckpointError, match=f"{file} names code to run"):
        open_checkpoint(folder, hub_of(fixtures, name))


def test_a_folder_without_a_record_is_loaded_and_none_of_its_code_runs(
    copied: Callable[[str], Path], mark: Path
) -> None:
    folder = copied("native")
    for name in ("torch", "transformers", "tokenizers", "sitecustomize", "modeling_med2e3"):
        (folder / f"{name}.py").write_text(CODE.format(mark=str(mark)))
    (folder / RECORD_FILE).unlink(missing_ok=True)
    assert len(med2e3.load(folder, device="cpu").info.weights_sha256) == 64


@pytest.mark.parametrize("name", ["demo", "native"])
def test_code_in_our_own_config_is_refused(name: str, copied: Callable[[str], Path]) -> None:
    folder = copied(name)
    changed(folder / "config.json", auto_map=CONFIG_CODE)
    with pytest.raises(CheckpointError, match=r"config\.json names code to run"):
        med2e3.load(folder, device="cpu")
    config = json.loads((folder / "config.json").read_text())
    del config["auto_map"]
    config["text_config"]["auto_map"] = CONFIG_CODE
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config\.json names code to run"):
        med2e3.load(folder, device="cpu")


@pytest.mark.parametrize("name", ["med2e3", "m3d-clip", "m3d-lamed"])
def test_code_in_a_published_config_is_not_looked_at(
    name: str, copied: Callable[[str], Path], fixtures: Path
) -> None:
    folder = copied(name)
    changed(folder / "config.json", auto_map=CONFIG_CODE)
    assert open_checkpoint(folder, hub_of(fixtures, name)).weights


@pytest.mark.parametrize("name", ["demo", "native", "med2e3", "m3d-clip", "m3d-lamed"])
@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("kernel", ["someone/kernel", "someone/kernel@main:f", {"": "a/b"}])
def test_a_kernel_of_a_hub_is_refused(
    name: str, key: str, kernel: Any, copied: Callable[[str], Path], fixtures: Path
) -> None:
    folder = copied(name)
    changed(folder / "config.json", **{key: kernel})
    with pytest.raises(CheckpointError, match=r"config\.json says .*never loaded"):
        open_checkpoint(folder, hub_of(fixtures, name))


def test_attention_of_torch_is_allowed_and_flash_attention_only_from_its_package(
    copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied("native")
    for allowed in ("eager", "sdpa"):
        changed(folder / "config.json", attn_implementation=allowed)
        assert open_checkpoint(folder).weights
    changed(folder / "config.json", attn_implementation="flash_attention_2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    with pytest.raises(CheckpointError, match="flash_attn; it is not installed"):
        check_inert(folder)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: object())
    check_inert(folder)


@pytest.mark.parametrize("method", ["awq", "gptq", "hqq", "fp8", None, ["a"]])
def test_an_unknown_quantisation_is_refused(method: Any, copied: Callable[[str], Path]) -> None:
    folder = copied("native")
    changed(folder / "config.json", quantization_config={"quant_method": method})
    with pytest.raises(CheckpointError, match=r"config\.json says that the weights are quantised"):
        med2e3.load(folder, device="cpu")


@pytest.mark.parametrize("name", ["native", "m3d-lamed", "m3d-clip"])
def test_a_tokenizer_class_that_is_not_listed_is_refused(
    name: str, copied: Callable[[str], Path], fixtures: Path
) -> None:
    folder = copied(name)
    changed(folder / "tokenizer_config.json", tokenizer_class="EvilTokenizer")
    with pytest.raises(CheckpointError, match="tokenizer_class = 'EvilTokenizer'"):
        open_checkpoint(folder, hub_of(fixtures, name))


def test_a_tokenizer_among_the_hub_files_is_held_to_the_same(
    copied: Callable[[str], Path],
) -> None:
    folder, hub = copied("med2e3"), copied("hub")
    for file in folder.glob("*token*.json"):
        file.unlink()
    phi = hub / "microsoft" / "Phi-3-mini-128k-instruct"
    changed(
        folder / "args" / "config.json", tokenizer_name_or_path="microsoft/Phi-3-mini-128k-instruct"
    )
    assert open_checkpoint(folder, Hub(hub)).processor is not None
    changed(phi / "tokenizer_config.json", auto_map=TOKENIZER_CODE, tokenizer_class=None)
    with pytest.raises(CheckpointError, match=r"Phi-3.*tokenizer_config\.json names code"):
        open_checkpoint(folder, Hub(hub))


def test_training_starts_from_no_folder_that_names_code(
    copied: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied("native")
    recipe = PublishedRecipe.__new__(PublishedRecipe)
    object.__setattr__(recipe, "start", {"model": str(folder)})
    changed(folder / "tokenizer_config.json", auto_map=TOKENIZER_CODE)
    with pytest.raises(CheckpointError, match="names code to run"):
        open_start(recipe, Hub())


@pytest.mark.parametrize("file", ["tokenizer_config.json", "config.json"])
def test_a_run_on_phantoms_starts_from_no_folder_that_names_code(
    file: str, copied: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied("native")
    run = RunFolder.__new__(RunFolder)
    recipe = type("Recipe", (), {"start": str(folder), "seed": 0})()
    object.__setattr__(run, "recipe", recipe)
    assert run.processor() is not None
    changed(folder / file, auto_map=TOKENIZER_CODE)
    for opened in (run.processor, run.config, run.model):
        with pytest.raises(CheckpointError, match="names code to run"):
            opened()
    recipe.start = "someone/model-on-the-hub"
    with pytest.raises(CheckpointError, match="is not a folder"):
        run.config()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/base"}')
    recipe.start = str(folder)
    with pytest.raises(CheckpointError, match="LoRA adapter"):
        run.model()


@pytest.mark.parametrize("file", ["tokenizer_config.json", "config.json"])
def test_the_model_of_bertscore_brings_no_code(
    file: str, copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied("native")
    changed(folder / file, auto_map=CONFIG_CODE | TOKENIZER_CODE, tokenizer_class=None)
    library = ModuleType("bert_score")
    library.__spec__ = importlib.util.spec_from_loader("bert_score", None)

    class BERTScorer:
        """Opens its model as bert-score does: without a word about code."""

        def __init__(self, model_type: str, **_: Any) -> None:
            from transformers import AutoModel, AutoTokenizer

            AutoTokenizer.from_pretrained(model_type)
            AutoModel.from_pretrained(model_type)

    library.BERTScorer = BERTScorer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bert_score", library)
    with pytest.raises(CheckpointError, match=f"{file} names code to run"):
        open_metrics(folder).scorers["BERTScore"](["a"], ["b"])


def test_the_tokenizer_of_the_folder_is_read_without_its_code(
    copied: Callable[[str], Path],
) -> None:
    folder = copied("native")
    changed(folder / "config.json", auto_map=CONFIG_CODE, model_type="evil")
    assert len(open_tokenizer(folder)) > 0
