"""Script and markup in every text of a hearing come out as text; pages hold nothing that could act."""

from __future__ import annotations

import html
import html.parser
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import FormatError
from jokbo.hearing.archive.export import export
from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case.kinds import KINDS, check_payload, schema
from jokbo.hearing.intake import with_file
from jokbo.testing.hearings import Stage, open_stage, small_hearing

EVIDENCE = Path(__file__).parents[1] / "compat/evidence/0.3.0-base0-base1.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("malformed")
    stage = small_hearing(folder / "case", EVIDENCE.read_bytes())
    export(stage.case.entries, stage.case.state, stage.case.exhibits, folder / "archive")
    stage.case.close()
    return folder


NASTY = "</p><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7}}{% x %}\u202e"

SIGNED = "A" * 86 + "=="


def nasty(rule: Any) -> Any:
    """A payload of a definition with NASTY wherever a text may stand."""
    while "$ref" in rule:
        rule = schema()["$defs"][rule["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in rule:
        return nasty(rule["anyOf"][-1])
    if "enum" in rule:
        return rule["enum"][0]
    if rule.get("type") == "object":
        return {key: nasty(each) for key, each in rule.get("properties", {}).items()}
    if rule.get("type") == "array":
        return []
    return {"integer": 1, "number": 1, "boolean": True}.get(rule.get("type"), _text(rule))


def _text(rule: dict[str, Any]) -> str:
    pattern = rule.get("pattern", "")
    for text in (
        NASTY,
        "en",
        "lab",
        "ab" * 32,
        "ab" * 20,
        "2026-01-10T00:00:00.000Z",
        "abc",
        "A" * 40,
        SIGNED,
    ):
        if re.fullmatch(pattern[1:-1], text):
            return text
    return NASTY.replace("/", "")


class Page(html.parser.HTMLParser):
    """What a browser would find in a page that could act."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "iframe", "object", "form", "base", "svg"):
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name == "style" or (value or "").lower().startswith("javascript:"):
                self.found.append(name)
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")


def read_page(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def say_everything(stage: Stage) -> None:
    """One entry of each kind that carries a text, nasty in every field."""
    stage.say("mod", "party", {"account": "lab", "name": NASTY, "affiliation": NASTY})
    artefact = {"name": NASTY, "repository": "javascript:alert(1)", "note": NASTY, "language": "en"}
    stage.say("lab", "artefact", artefact, name="artefact")
    text = {"text": NASTY, "language": "en", "translations": {"ko": NASTY}}
    claim = {"title": NASTY, **text, "artefacts": [stage.numbers["artefact"]]}
    stage.say("lab", "claim", claim, name="claim")
    with stage.case.exhibits.receive() as receiving:
        receiving.write(b"<script>alert(1)</script>")
        kept = receiving.finish()
    exhibit = with_file({"title": NASTY, "command": NASTY, "versions": NASTY, "note": NASTY}, kept, NASTY)
    stage.say("lab", "exhibit", exhibit, about=stage.numbers["claim"], name="exhibit")
    stage.say("ahn", "interest", {"none": False, **text})
    stage.say("maker", "rebuttal", text, about=stage.numbers["claim"], name="rebuttal")
    stage.say("lab", "reply", text, about=stage.numbers["rebuttal"], name="reply")
    stage.say("v", "question", {**text, "to": "lab"}, name="question")
    stage.say("mod", "question_state", {"state": "published"}, about=stage.numbers["question"])
    stage.say("mod", "pin", {"pinned": True, "why": NASTY}, about=stage.numbers["question"])
    stage.say("lab", "answer", text, about=stage.numbers["question"])
    spoken = {"start_seconds": 0, "stop_seconds": 1, "speaker": NASTY, **text}
    stage.say("mod", "transcript", {**spoken, "questions": [stage.numbers["question"]]})
    finding = {"outcome": "not_proven", **text, "would_settle": NASTY}
    stage.say("ahn", "finding", finding, about=stage.numbers["claim"])
    stage.say("chair", "residual", {**text, "would_settle": NASTY})
    hold = {
        "action": "hold",
        "reason": "other",
        "asked_by": "author",
        "until": "2026-01-10T00:00:00.000Z",
        "note": NASTY,
    }
    stage.say("mod", "moderation", hold, about=stage.numbers["reply"])
    stage.say("lab", "withdrawal", text, about=stage.numbers["claim"])
    stage.say("chair", "close", text)


def test_script_in_every_text_comes_out_as_text(tmp_path: Path):
    stage = open_stage(tmp_path / "case")
    say_everything(stage)
    made = export(stage.case.entries, stage.case.state, stage.case.exhibits, tmp_path / "archive")
    stage.case.close()
    pages = [path for path in made.manifest.files if path.endswith(".html")]
    assert len(pages) > 15
    for path in pages:
        page = read_page(tmp_path / "archive" / path)
        assert (path, page.found) == (path, [])
        assert len(page.ids) == len(set(page.ids)), path
        text = (tmp_path / "archive" / path).read_text(encoding="utf-8")
        assert "\u202e" not in text
        for link in page.links:
            assert link == "data:," or not re.match(r"[a-z]+:", link), (path, link)
            target = (tmp_path / "archive" / path).parent / link.partition("#")[0]
            if link.partition("#")[0] and link != "data:,":
                assert target.resolve().is_file(), (path, link)
    spoken = (tmp_path / "archive/en/transcript.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in spoken
    assert "{{7*7}}{% x %}[U+202E]" in spoken
    assert verify_folder(tmp_path / "archive").exit_status == 0


def test_every_link_to_an_entry_finds_it(made: Path):
    ids = {path.name: set(read_page(path).ids) for path in (made / "archive/ko").glob("*.html")}
    for path in (made / "archive/ko").glob("*.html"):
        for link in read_page(path).links:
            file, _, anchor = link.partition("#")
            if anchor and not file.startswith("../"):
                assert anchor in ids[file or path.name], (path.name, link)


def test_pages_admit_no_script_by_policy(made: Path):
    for path in (made / "archive").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
        assert html.unescape(policy).startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "script-src" not in policy


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_schema_takes_a_field_that_it_does_not_know(kind: str):
    payload = nasty({"$ref": f"#/$defs/{kind}"})
    with pytest.raises(FormatError, match="unknown field"):
        check_payload(kind, {**payload, "zzz": 1}, where="x")
