"""What a model's card declares: the front matter of ``README.md``, as hubs read it.

Metadata of the Hugging Face card: https://huggingface.co/docs/hub/model-cards#specifying-a-base-model.
A card is somebody's word: it is shown beside what was found, and decides nothing.
"""

from __future__ import annotations

from typing import Any

from jokbo.sources.base import Source
from jokbo.views.fingerprint_header import MAX_TEXT, Declared, is_text

CARD = "README.md"
MAX_CARD_BYTES = 4 << 20
MAX_FRONT_MATTER = 256 << 10
MAX_BASES = 64
MAX_DEPTH = 32

RELATIONS = ("adapter", "finetune", "merge", "quantized")
"""Values of ``base_model_relation``."""


def read_card(source: Source) -> Declared:
    """What the card beside a model declares; nothing where there is no card, or none that can be read.

    A malformed card is no reason to refuse a model: its declaration is then empty.
    """
    info = source.files.get(CARD)
    if info is None or info.size > MAX_CARD_BYTES:
        return Declared()
    text = source.read_file(CARD, max_bytes=MAX_CARD_BYTES).decode("utf-8", "replace")
    return parse_card(text)


def parse_card(text: str) -> Declared:
    """Read a card's front matter.

    Examples
    --------
    >>> card = "---\\nbase_model: org/base\\nbase_model_relation: finetune\\nlicense: mit\\n---\\n# A model"
    >>> parse_card(card)
    Declared(base_models=('org/base',), relation='finetune', license='mit')
    """
    fields = _front_matter(text)
    bases = fields.get("base_model")
    names = [bases] if isinstance(bases, str) else bases if isinstance(bases, list) else []
    relation, license_ = fields.get("base_model_relation"), fields.get("license")
    return Declared(
        tuple(name for name in names if _is_short(name))[:MAX_BASES],
        relation if isinstance(relation, str) and relation in RELATIONS else None,
        license_ if _is_short(license_) else None,
    )


def _is_short(value: Any) -> bool:
    """A text, and not one of the ways in which YAML writes that there is none."""
    known = isinstance(value, str) and 0 < len(value) <= MAX_TEXT and is_text(value)
    return known and value.lower() not in ("null", "~")


def _front_matter(text: str) -> dict[str, Any]:
    import yaml

    lines = text.lstrip("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((k for k, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        return {}
    matter = "\n".join(lines[1:end])
    if len(matter) > MAX_FRONT_MATTER or not _is_simple(matter):
        return {}
    try:
        # Texts alone: numbers, dates and tags are read in ways that fail, or take minutes, by somebody's choice.
        document = yaml.BaseLoader(matter).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_simple(matter: str) -> bool:
    """Whether there are no aliases, by which a few bytes grow without bound, and few brackets in each other.

    The time of a scan grows with the square of these; no card needs either.
    """
    import yaml

    depth = 0
    try:
        for token in yaml.scan(matter, Loader=yaml.BaseLoader):
            opens = isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken)
            closes = isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken)
            depth += opens - closes
            if depth > MAX_DEPTH or isinstance(token, yaml.AliasToken):
                return False
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return True
