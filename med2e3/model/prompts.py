"""Prompt templates and how a prompt becomes token ids, byte for byte as published.

A conversation is a list of (question, answer) turns; the answer of the last one is None where the
model is to speak. Knows nothing of images except that `<image3d>` stands for one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Stands for the volume in a prompt's text, and its id in the published token lists.
IMAGE_PLACEHOLDER = "<image3d>"
PLACEHOLDER_ID = -201

#: Label of positions that the loss leaves out.
IGNORE = -100

Turn = tuple[str, str | None]


@dataclass(frozen=True)
class Template:
    """How turns are written: `system`, then for each turn `user`, then `assistant` and the answer.

    `ends` says whether an answer is closed by the tokenizer's end token. `caption` templates hold
    the volume and its answer alone, without the question.
    """

    system: str = ""
    user: str = "USER: {} "
    assistant: str = "ASSISTANT:"
    ends: bool = True
    caption: bool = False


#: By the name in a processor's settings. "phi" is the published one for answering and "pretrain"
#: the published one for aligning the connectors; "short" spares a small model the system text.
TEMPLATES: dict[str, Template] = {
    "phi": Template(
        system="A chat between a curious user and an artificial intelligence assistant. The "
        "assistant gives helpful, detailed, and polite answers to the user's questions. "
    ),
    "pretrain": Template(user="{}", assistant="", ends=False, caption=True),
    "short": Template(),
}


@dataclass(frozen=True)
class Prompt:
    """The text of a conversation, and where in it each answer lies: (first, end) in characters."""

    text: str
    answers: tuple[tuple[int, int], ...]


def write_prompt(template: Template, turns: Sequence[Turn], end: str, *, image: bool) -> Prompt:
    """The whole text; with `image` the first question is led by the placeholder if none is in it.

    Raises ValueError for no turn at all, or a turn without answer before the last.
    """
    if not turns:
        raise ValueError("a prompt needs at least one question")
    if any(answer is None for _, answer in turns[:-1]):
        raise ValueError("every turn but the last needs its answer")
    text, spans = template.system, []
    for number, (question, answer) in enumerate(turns):
        asked = question.strip()
        if image and number == 0 and IMAGE_PLACEHOLDER not in "".join(q for q, _ in turns):
            asked = f"{IMAGE_PLACEHOLDER}\n{asked}"
        text += template.user.format(IMAGE_PLACEHOLDER if template.caption else asked)
        text += template.assistant
        if answer is not None:
            first = len(text)
            space = " " if template.assistant else ""
            text += space + answer.strip() + (end if template.ends else "")
            spans.append((first, len(text)))
    return Prompt(text, tuple(spans))


def chat_template(template: Template) -> str:
    """The template as Jinja, for `apply_chat_template`: the text that `write_prompt` writes.

    A message's content is text, or a list of parts of type "text" and "image"; an image becomes the
    placeholder on a line of its own. A system message takes the place of the template's own.
    """
    before, _, after = template.user.partition("{}")
    end = "eos_token" if template.ends else "''"
    said = "message['content']"
    return (
        "{%- macro words(content) -%}{%- if content is string -%}{{ content.strip() }}{%- else -%}"
        "{%- for part in content -%}{%- if part['type'] == 'text' -%}{{ part['text'].strip() }}"
        f"{{%- else -%}}{{{{ {json.dumps(IMAGE_PLACEHOLDER)} + '\\n' }}}}{{%- endif -%}}"
        "{%- endfor -%}{%- endif -%}{%- endmacro -%}"
        "{%- if messages[0]['role'] == 'system' -%}{{ words(messages[0]['content']) + ' ' }}"
        f"{{%- else -%}}{{{{ {json.dumps(template.system)} }}}}{{%- endif -%}}"
        "{%- for message in messages -%}{%- if message['role'] == 'user' -%}"
        f"{{{{ {json.dumps(before)} + words({said}) + {json.dumps(after)} }}}}"
        "{%- elif message['role'] == 'assistant' -%}"
        f"{{{{ {json.dumps(template.assistant + ' ')} + words({said}) + {end} }}}}"
        "{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt -%}"
        f"{{{{ {json.dumps(template.assistant)} }}}}"
        "{%- endif -%}"
    )


def encode_prompt(tokenizer: Any, text: str) -> list[int]:
    """Token ids, with `PLACEHOLDER_ID` for each placeholder.

    The text is cut at the placeholders and each piece is tokenised by itself, so that every piece
    gets its own leading "▁". A tokenizer that opens texts with a BOS token gives one only at the
    very front, and none where the prompt opens with the placeholder.
    """
    ids: list[int] = []
    for number, piece in enumerate(text.split(IMAGE_PLACEHOLDER)):
        if number:
            ids.append(PLACEHOLDER_ID)
        if piece:
            if not ids:
                ids += opening_ids(tokenizer)
            ids += tokenizer(piece, add_special_tokens=False)["input_ids"]
    return ids


def encode_answered(tokenizer: Any, prompt: Prompt) -> tuple[list[int], list[int]]:
    """Token ids of a prompt with answers, and labels: the ids of the answers, `IGNORE` elsewhere.

    An answer's first token is the one after the prompt as it stands when the model is asked, so
    that training and asking agree however the tokenizer joins characters.
    """
    ids = encode_prompt(tokenizer, prompt.text)
    labels = [IGNORE] * len(ids)
    for first, end in prompt.answers:
        start = len(encode_prompt(tokenizer, prompt.text[:first]))
        stop = len(encode_prompt(tokenizer, prompt.text[:end]))
        labels[start:stop] = ids[start:stop]
    return ids, labels


def opening_ids(tokenizer: Any) -> list[int]:
    """[BOS] for a tokenizer that opens texts with one, else []."""
    bos = tokenizer.bos_token_id
    first = tokenizer("a")["input_ids"][:1]
    return [bos] if bos is not None and first == [bos] else []


def expand_placeholders(ids: Sequence[int], count: int, image_token_id: int) -> list[int]:
    """The ids with each `PLACEHOLDER_ID` written as `count` image tokens."""
    expanded: list[int] = []
    for i in ids:
        expanded += [image_token_id] * count if i == PLACEHOLDER_ID else [i]
    return expanded
