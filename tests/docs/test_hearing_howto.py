"""The commands of `hold-a-hearing` run as they stand, in both languages."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.cli.hearing import command
from jokbo.hearing.case.case import open_case

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "tests/compat/evidence/0.3.0-base0-base1.json"
TEXTS = ("rebuttal", "answer", "finding", "residual", "close")


def commands(page: Path) -> list[list[str]]:
    """Words of each command, the page's own `add` written out."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            words = words[1:] if words[0].startswith("JOKBO_") else words
            if words[:2] == ["jokbo", "hearing"]:
                found.append(words[2:])
            elif words[0] == "add":
                found.append(["add", "case", words[1], "--key", "host.key", "--as", *words[2:]])
            else:
                assert line.startswith("add() { "), line
    return found


def prepare(folder: Path) -> None:
    from jokbo.cli.claim.new import command as new_claim
    from jokbo.records.commit.keys import make_key

    make_key(folder / "kim.key")
    for name in TEXTS:
        (folder / f"{name}.yaml").write_text("text: some words\nlanguage: en\n", encoding="utf-8")
    (folder / "artefact.yaml").write_text(
        f"name: A\nrepository: org/a\ncommit: {'a' * 40}\n", encoding="utf-8"
    )
    (folder / "table.csv").write_text("layer,cosine\n0,0.98\n", encoding="utf-8")
    new_claim.main([str(folder / "claim.yaml")], standalone_mode=False)
    for name in ("evidence.json", "mine.json"):
        shutil.copy(EVIDENCE, folder / name)


@pytest.mark.parametrize("name", ["hold-a-hearing.md", "hold-a-hearing.ko.md"])
def test_the_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    words = commands(ROOT / "docs/how-to" / name)
    assert len(words) > 25
    for each in words:
        if each[0] == "serve":  # it would not end; the page's own test is below
            continue
        if each[0] == "sign":  # by then Kim has the archive
            command.main(["export", "case", "archive"], standalone_mode=False)
        if "--head" in each:
            with open_case(tmp_path / "case") as case:
                each[each.index("--head") + 1] = case.head().digest[:16]
        assert (command.main(each, standalone_mode=False) or 0) == 0, each
    with open_case(tmp_path / "case") as case:
        assert case.state.closed is not None
        assert case.state.items[13].payload["agrees"]
        assert case.public.items[12].payload is None


@pytest.mark.parametrize("name", ["hold-a-hearing.md", "hold-a-hearing.ko.md"])
def test_the_page_is_served_as_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All ways to serve, up to the socket: the options, the files, the host that is answered for."""
    for module in ("starlette", "sqlalchemy", "uvicorn", "python_multipart", "authlib"):
        pytest.importorskip(module)
    from jokbo.hearing.live import server

    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    page = ROOT / "docs/how-to" / name
    monkeypatch.setenv("JOKBO_OIDC_SECRET_EXAMPLE", "hush")
    people, providers = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "people.toml").write_text(people, encoding="utf-8")
    (tmp_path / "providers.toml").write_text(providers, encoding="utf-8")
    words = commands(page)
    for each in words[: 1 + [each[0] for each in words].index("new")]:
        command.main(each, standalone_mode=False)
    seen = []

    def serve(app: Any, *, proxy: str | None, **options: Any) -> None:
        room = app.state.site.room
        codes = app.state.site.codes
        seen.append((room.settings.base_url, proxy, codes.account(codes.mailbox("kim@example.org"))))
        room._case.close()

    monkeypatch.setattr(server, "serve", serve)
    for each in words:
        if each[0] == "serve":
            assert (command.main(each, standalone_mode=False) or 0) == 0
    assert seen == [
        ("http://127.0.0.1:8000", None, "kim"),
        ("https://hearing.example.org", "127.0.0.1", "kim"),
        ("http://127.0.0.1:8000", None, "kim"),
    ]
