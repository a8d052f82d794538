"""A whole hearing in Chromium, in both languages, with and without script; keyboard, axe, phone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")
pytest.importorskip("starlette")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

import jokbo
from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case.case import new_case
from jokbo.hearing.case.entry import Author, Draft
from jokbo.records.commit.keys import make_key

pytestmark = pytest.mark.browser

EVIDENCE = Path(__file__).resolve().parents[1] / "golden" / "evidence" / "no_evidence.json"
SHOTS = os.environ.get("JOKBO_SCREENSHOTS")
CLAIM = Path(jokbo.__file__).parent / "hearing" / "claims" / "templates"
PEOPLE = ("kim", "mod", "pan", "accuser", "accused")
SERVE = (
    "import sys; from jokbo.cli.hearing.serve import command; "
    "sys.exit(command.main(sys.argv[1:], standalone_mode=False))"
)


@dataclass
class Hall:
    """A server in a process of its own, and what it printed."""

    url: str
    folder: Path
    process: subprocess.Popen[str]
    output: Path

    def code(self, address: str) -> str:
        """The code that was printed last for an address."""
        for _ in range(100):
            found = re.findall(rf"^{re.escape(address)}: .*?(\d{{6}})", self.output.read_text(), re.MULTILINE)
            if found:
                self.output.write_text("")
                return str(found[-1])
            time.sleep(0.1)
        raise AssertionError("no code was printed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "Chromium is not installed; install it, or name it in CHROMIUM"
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def hall(tmp_path: Path, unused_port: int) -> Iterator[Hall]:
    signer = make_key(tmp_path / "host.pem")
    payload = {
        "title": "base1은 base0에서 나왔는가",
        "summary": "두 작은 모델에 대한 예행연습입니다.",
        "language": "ko",
        "translations": {"en": "A rehearsal on two small models."},
        "queue_order": "public",
        "reply_hours": 72,
    }
    chair = Author("kim", "chair")
    roles = {"mod": "moderator", "pan": "panel", "accuser": "claimant", "accused": "respondent"}
    with new_case(tmp_path / "case", payload, chair="kim", signer=signer) as case:
        for account, role in roles.items():
            case.add(Draft("role", {"account": account, "role": role}, chair))
    people = tmp_path / "people.toml"
    people.write_text("".join(f'{name} = "{name}@example.org"\n' for name in PEOPLE))
    output = tmp_path / "output.txt"
    options = ["--key", tmp_path / "host.pem", "--port", unused_port, "--people", people, "--rehearsal"]
    command = [sys.executable, "-u", "-c", SERVE, str(tmp_path / "case"), *map(str, options)]
    with output.open("a") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, text=True)
    for _ in range(200):
        if "http" in output.read_text():
            break
        assert process.poll() is None, output.read_text()
        time.sleep(0.1)
    yield Hall(f"http://127.0.0.1:{unused_port}", tmp_path, process, output)
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Person:
    """Somebody's browser."""

    def __init__(self, browser: Browser, hall: Hall, lang: str, *, script: bool, width: int = 1100) -> None:
        self.hall, self.lang = hall, lang
        self.context: BrowserContext = browser.new_context(
            java_script_enabled=script, locale=lang, viewport={"width": width, "height": 900}
        )
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type == "error" else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, path: str) -> Page:
        answer = self.page.goto(f"{self.hall.url}/{self.lang}/{path}")
        assert answer is not None
        assert answer.ok, (path, answer.status)
        return self.page

    def sign_in(self, name: str) -> Person:
        address = f"{name}@example.org"
        self.go("sign-in")
        self.page.fill("#f-address", address)
        self.page.click("button.main")
        self.page.fill("#f-code", self.hall.code(address))
        self.page.click("button.main")
        expect(self.page.locator(".visitor strong")).to_be_visible()
        return self

    def write(self, path: str, fields: dict[str, str], files: dict[str, Path] | None = None) -> str:
        """Fill a form in and send it; gives where it led."""
        self.go(f"write/{path}")
        for name, value in fields.items():
            control = self.page.locator(f"#f-{name}")
            if self.page.locator(f"select#f-{name}").count() == 1:
                control.select_option(value)
            else:
                control.fill(value)
        for name, file in (files or {}).items():
            self.page.set_input_files(f"#f-{name}", str(file))
        self.page.click("button.main")
        assert self.page.locator("[role=alert]").count() == 0, self.page.locator("[role=alert]").inner_text()
        return self.page.url

    def shot(self, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def number(url: str) -> str:
    """The number at the end of an address."""
    found = re.search(r"(\d+)$", url)
    assert found, url
    return found[1]


def hold_the_hearing(browser: Browser, hall: Hall, lang: str, *, script: bool) -> dict[str, Person]:
    """Everybody's part, by forms alone."""
    who = {name: Person(browser, hall, lang, script=script).sign_in(name) for name in PEOPLE}
    who["voter"] = Person(browser, hall, lang, script=script).sign_in("voter")
    say = {"language": "en"}
    artefact = number(who["accuser"].write("artefact", {"name": "base1", "repository": "org/base1"}))
    claim = number(
        who["accuser"].write(
            "claim",
            {**say, "title": "base1 descends from base0", "text": "Norms agree.", "artefacts": artefact},
            {"claim_file": CLAIM / "claim.en.yaml", "table_file": CLAIM / "claim.csv"},
        )
    )
    who["kim"].write(f"reply_timer?about={claim}", {"account": "accused", "hours": "72"})
    exhibit = number(
        who["accused"].write(
            f"rebuttal?about={claim}", {**say, "text": "They were trained apart; see the evidence."}
        )
    )
    exhibit = number(
        who["accused"].write(
            f"exhibit?about={exhibit}",
            {
                "title": "jokbo compare base0 base1",
                "form": "evidence",
                "command": "jokbo compare base0 base1",
            },
            {"file": EVIDENCE},
        )
    )
    who["pan"].write(f"reproduction?about={exhibit}", {"machine": "a laptop"}, {"file": EVIDENCE})
    question = number(who["voter"].write("question", {**say, "text": "Which rows were compared?"}))
    who["mod"].go("questions")
    who["mod"].page.click(f"#waiting form:has(input[name=about][value='{question}']) button")
    for name in ("voter", "pan", "accused"):
        who[name].go("questions")
        who[name].page.locator(f"#e{question} .acts form button").first.click()
    who["mod"].go("questions")
    who["mod"].page.click(f"#e{question} form:has(input[name=state][value=answering]) button")
    who["accused"].write(f"answer?about={question}", {**say, "text": "All that the evidence names."})
    who["mod"].go("questions")
    who["mod"].page.click(f"#e{question} form:has(input[name=state][value=answered]) button")
    who["mod"].write(
        "transcript",
        {**say, "start_seconds": "12", "stop_seconds": "30", "speaker": "Panel", "text": "We heard it.",
         "questions": question},
    )  # fmt: skip
    who["pan"].write(
        f"finding?about={claim}",
        {**say, "outcome": "not_proven", "text": "No evidence.", "would_settle": "The training record.",
         "exhibits": exhibit},
    )  # fmt: skip
    who["pan"].write("residual", {**say, "text": "Who made the tokenizer?"})
    who["ids"] = {"claim": claim, "exhibit": exhibit, "question": question}  # type: ignore[assignment]
    return who


def archived(hall: Hall, length: int) -> Path:
    """The archive, once it covers so many entries."""
    archive = hall.folder / "case.archive"
    for _ in range(200):
        log = archive / "log.jsonl"
        if log.exists() and log.read_bytes().count(b"\n") >= length:
            return archive
        time.sleep(0.1)
    raise AssertionError("the archive lags behind")


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_whole_hearing(browser: Browser, hall: Hall, lang: str, script: bool):
    who = hold_the_hearing(browser, hall, lang, script=script)
    ids: Any = who.pop("ids")
    reader = Person(browser, hall, lang, script=script)
    page = reader.go(f"claim/{ids['claim']}")
    expect(page.locator("h1")).to_have_text("base1 descends from base0")
    expect(page.locator("#lint h2")).to_be_visible()
    page = reader.go("questions")
    cells = page.locator(f"table[data-question='{ids['question']}'] td:nth-of-type(1)").all_inner_texts()
    assert cells == ["1", "1", "1"], "three tallies, never summed"
    assert reader.go("transcript").locator(f"a[href$='#e{ids['question']}']").count() == 1
    page = reader.go("")
    assert "The training record." in page.locator(".side.open").inner_text()
    who["kim"].write("close", {"language": "en", "text": "Heard."})
    length = (hall.folder / "case" / "log.jsonl").read_bytes().count(b"\n")
    archive = archived(hall, length)
    hall.process.terminate()
    hall.process.wait(timeout=30)
    found = verify_folder(archive)
    assert not found.problems
    assert found.exit_status == 0
    for person in who.values():
        assert not [each for each in person.complaints if "ERR_" not in each]


def test_news_comes_by_itself_and_can_be_held(browser: Browser, hall: Hall):
    reader, mod = (Person(browser, hall, "ko", script=True) for _ in range(2))
    page = reader.go("transcript")
    expect(page.locator("#live")).to_have_attribute("data-state", "open")
    mod.sign_in("mod")
    words = {"start_seconds": "1", "stop_seconds": "2", "speaker": "Kim", "language": "en"}
    mod.write("transcript", {**words, "text": "first words"})
    expect(page.locator("#live-news li")).to_have_count(1)
    expect(page.locator("#main")).to_contain_text("first words", timeout=8000)
    page.click("#live-hold")
    expect(page.locator("#live-hold")).to_have_attribute("aria-pressed", "true")
    mod.write("transcript", {**words, "text": "second words"})
    page.wait_for_timeout(4000)
    assert "second words" not in page.content()
    page.click("#live-hold")
    expect(page.locator("#main")).to_contain_text("second words", timeout=8000)
    expect(page.locator("#live-news li")).to_have_count(2)


def test_a_keyboard_is_enough(browser: Browser, hall: Hall):
    person = Person(browser, hall, "en", script=True)
    page = person.go("sign-in")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    outlines = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        outlines.add(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
        if page.evaluate("document.activeElement.id") == "f-address":
            break
    assert page.evaluate("document.activeElement.id") == "f-address"
    assert outlines <= {"solid", "auto"}
    page.keyboard.type("kim@example.org")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in/code")
    page.focus("#f-code")
    page.keyboard.type(hall.code("kim@example.org"))
    page.keyboard.press("Enter")
    expect(page.locator(".visitor strong")).to_have_text("chair")


def test_axe_finds_nothing_serious_and_a_phone_is_wide_enough(browser: Browser, hall: Hall):
    who = hold_the_hearing(browser, hall, "en", script=True)
    ids: Any = who.pop("ids")
    paths = ["", "questions", "transcript", "people", "moderation", "entries", "mine"]
    paths += [
        f"claim/{ids['claim']}",
        f"exhibit/{ids['exhibit']}",
        "write/finding",
        "write/exhibit",
        "sign-in",
    ]
    found = []
    for lang in ("en", "ko"):
        for person in (who["kim"], who["pan"]):
            person.lang = lang
            for path in paths:
                if person is who["kim"] or path in ("questions", "write/exhibit"):
                    page = person.go(path)
                    results = Axe().run(page)
                    found += [
                        (lang, path, each["id"], [node["html"][:120] for node in each["nodes"]][:2])
                        for each in results.response["violations"]
                        if each["impact"] in ("serious", "critical")
                    ]
                    name = path.replace("/", "-") or "board"
                    if person is who["kim"]:
                        person.shot(f"{re.sub(r'-[0-9]+$', '', name)}-{lang}")
    assert found == []
    phone = Person(browser, hall, "ko", script=True, width=360)
    for path in paths[:6]:
        page = phone.go(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    phone.go("")
    phone.shot("phone-ko")
