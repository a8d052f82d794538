"""A small hearing, the same bytes each time: claims, an exhibit reproduced, questions, votes, a hold, a finding."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo.hearing import intake
from jokbo.hearing.case.case import Case, new_case
from jokbo.hearing.case.chain import sign_draft
from jokbo.hearing.case.entry import Author, Draft, Entry

if TYPE_CHECKING:
    from jokbo.records.commit.keys import Signer

BEGIN = datetime(2026, 1, 2, 10, 0, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"


@cache
def fixed_signer(name: str) -> Signer:
    """An Ed25519 key drawn from a name: for tests, and for nothing else."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from jokbo.records.commit.keys import load_signer

    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        return load_signer(path)


def fixed_salts() -> Callable[[], str]:
    """Salts that are the same each time."""
    numbers = count()
    return lambda: hashlib.sha256(str(next(numbers)).encode()).hexdigest()[:32]


def ticking(begin: datetime = BEGIN, seconds: float = 30) -> Callable[[], datetime]:
    """A clock that goes on by itself."""
    ticks = count()
    return lambda: begin + timedelta(seconds=seconds * next(ticks))


@dataclass(slots=True)
class Stage:
    """A case and short ways to speak in it.

    Attributes
    ----------
    case : Case
    numbers : dict of str to int
        Names of entries of the small hearing to their numbers.
    """

    case: Case
    numbers: dict[str, int] = field(default_factory=dict)

    def say(
        self,
        account: str,
        kind: str,
        payload: Mapping[str, Any],
        *,
        about: int | None = None,
        supersedes: int | None = None,
        signed: bool = False,
        name: str = "",
    ) -> Entry:
        """Enter something; signed with the key drawn from the account's name if asked for."""
        author = Author(account, self.case.state.role(account))
        draft = Draft(kind, payload, author, about, supersedes)
        if signed:
            salted = draft.salted(self.case.draw_salt)
            draft = sign_draft(salted, self.case.head().case, fixed_signer(account))
        entry = self.case.add(draft)
        if name:
            self.numbers[name] = entry.sequence
        return entry


def words(text: str, language: str = "en", **more: Any) -> dict[str, Any]:
    """A text in a language."""
    return {"text": text, "language": language, **more}


def open_stage(folder: Path, *, queue_order: str = "public") -> Stage:
    """A new case with a chair, a moderator, a panel of two, a claimant and a respondent, each with a key."""
    case = new_case(
        folder,
        {
            "title": "모델 A는 모델 B에서 나왔는가",
            "summary": "한 연구실이 모델 A의 가중치가 모델 B에서 왔다고 주장했습니다. "
            "누구나 다시 실행할 수 있는 증거로 확인합니다.",
            "language": "ko",
            "translations": {
                "en": "A laboratory claimed that the weights of model A come from model B. "
                "It is checked with evidence that anybody can run again."
            },
            "queue_order": queue_order,
            "reply_hours": 48,
        },
        chair="chair",
        signer=fixed_signer("host"),
        clock=ticking(),
        salts=fixed_salts(),
    )
    stage = Stage(case)
    roles = {
        "mod": ("moderator", "박진행", "Hearing office"),
        "ahn": ("panel", "안패널", "University"),
        "choi": ("panel", "Choi Panel", "Institute"),
        "lab": ("claimant", "Some Laboratory", "Some Laboratory"),
        "maker": ("respondent", "모델 제작사", "모델 제작사"),
    }
    chair = Author("chair", "chair")
    drafts = []
    for account, (role, name, affiliation) in roles.items():
        key = base64.b64encode(fixed_signer(account).public.der).decode()
        drafts += [
            Draft("role", {"account": account, "role": role}, chair),
            Draft("key", {"account": account, "key": key, "valid": True}, chair),
            Draft("party", {"account": account, "name": name, "affiliation": affiliation}, chair),
        ]
    case.add_many(drafts)
    return stage


def small_hearing(folder: Path, evidence: bytes, *, differing: bytes | None = None) -> Stage:
    """A whole small hearing.

    Parameters
    ----------
    folder : Path
        Of the case.
    evidence : bytes
        Evidence of `jokbo compare`: the exhibit, and the reproduction that agrees.
    differing : bytes, optional
        Evidence of the reproduction that differs.
    """
    stage = open_stage(folder)
    for step in (_claims, _exhibits, _questions, _moderation, _findings):
        step(stage, evidence, differing)
    return stage


def _claims(stage: Stage, evidence: bytes, differing: bytes | None) -> None:
    stage.say("ahn", "interest", {"none": True, **words("이해관계가 없습니다.", "ko")})
    stage.say("choi", "interest", {"none": False, **words("I advised a competitor in 2024.")})
    model = stage.say(
        "lab",
        "artefact",
        {"name": "Model A", "repository": "org/model-a", "commit": "ab" * 20, "digest": "cd" * 32},
        name="artefact",
    )
    stage.say(
        "lab",
        "claim",
        {
            "title": "모델 A의 정규화 벡터는 모델 B와 같다",
            "artefacts": [model.sequence],
            **words("코사인 유사도가 0.989이므로 모델 A는 모델 B에서 나왔습니다.", "ko"),
        },
        name="claim",
    )
    stage.say(
        "lab",
        "claim",
        {"title": "Model A copies the tokenizer", **words("All tokens are shared.")},
        name="second",
    )
    stage.say(
        "chair",
        "reply_timer",
        {"account": "maker", "until": "2026-01-04T10:00:00.000Z"},
        about=stage.numbers["claim"],
    )


def _exhibits(stage: Stage, evidence: bytes, differing: bytes | None) -> None:
    store = stage.case.exhibits
    with store.receive() as receiving:
        receiving.write(evidence)
        kept = receiving.finish()
    command = "jokbo compare org/model-b org/model-a --json evidence.json"
    payload = intake.with_evidence(
        {"title": "Comparison of all weights", "command": command, "versions": "jokbo 0.3.0"},
        kept,
        "evidence.json",
        store,
    )
    exhibit = stage.say("maker", "exhibit", payload, about=stage.numbers["claim"], name="exhibit")
    for account, data in (("ahn", evidence), ("choi", differing or evidence)):
        with store.receive() as receiving:
            receiving.write(data)
            again = receiving.finish()
        repeated = intake.reproduction({"machine": "2 CPU cores"}, data, again, "again.json", evidence)
        stage.say(
            account, "reproduction", repeated, about=exhibit.sequence, signed=True, name=f"by_{account}"
        )
    with store.receive() as receiving:
        receiving.write(b"layer,cosine\n0,0.989\n" + SCRIPT.encode())
        table = receiving.finish()
    payload = intake.with_file(
        {"title": "Table", "command": "python3 table.py > table.csv"}, table, "../table.csv"
    )
    stage.say("lab", "exhibit", payload, about=stage.numbers["claim"], name="table")
    rebuttal = words(
        "양수 벡터의 코사인은 서로 무관한 모델에서도 0.9를 넘습니다. 순서를 섞어도 같습니다.", "ko"
    )
    stage.say("maker", "rebuttal", rebuttal, about=stage.numbers["claim"], signed=True, name="rebuttal")
    reply = words(f"We see that shuffling gives the same value. {SCRIPT}")
    stage.say("lab", "reply", reply, about=stage.numbers["rebuttal"], name="reply")


def _questions(stage: Stage, evidence: bytes, differing: bytes | None) -> None:
    asked = {
        "answered": ("v1", "Which layers were left out?", "en"),
        "queued": ("v2", "섞은 대조군의 값은 얼마입니까?", "ko"),
        "published": ("v3", "체크포인트를 공개할 수 있습니까?", "ko"),
        "hidden": ("v4", "Why do you hate them?", "en"),
        "pending": ("v5", "Not read yet", "en"),
    }
    for name, (account, text, language) in asked.items():
        stage.say(account, "question", words(text, language), name=name)
    for name in ("answered", "queued", "published"):
        stage.say("mod", "question_state", {"state": "published"}, about=stage.numbers[name])
    stage.say("mod", "question_state", {"state": "hidden", "reason": "motive"}, about=stage.numbers["hidden"])
    for name, account, value in _ballots():
        stage.say(account, "vote", {"value": value}, about=stage.numbers[name])
    stage.say(
        "mod", "pin", {"pinned": True, "why": "넓은 관심", "language": "ko"}, about=stage.numbers["published"]
    )
    stage.say("mod", "question_state", {"state": "queued"}, about=stage.numbers["queued"])
    for state in ("answering", "answered"):
        if state == "answered":
            stage.say(
                "lab", "answer", words("Layers 0 to 5."), about=stage.numbers["answered"], name="answer"
            )
        stage.say("mod", "question_state", {"state": state}, about=stage.numbers["answered"])
    spoken = {
        "start_seconds": 61,
        "stop_seconds": 75.5,
        "speaker": "Some Laboratory",
        **words("Layers 0 to 5."),
    }
    stage.say("mod", "transcript", {**spoken, "questions": [stage.numbers["answered"]]}, name="segment")


def _ballots() -> Iterator[tuple[str, str, int]]:
    yield from (("queued", f"w{k}", 1) for k in range(6))
    yield from (("queued", account, 1) for account in ("ahn", "lab"))
    yield from (("published", f"w{k}", -1 if k == 0 else 1) for k in range(3))
    yield ("queued", "w0", -1)


def _moderation(stage: Stage, evidence: bytes, differing: bytes | None) -> None:
    said = stage.say(
        "lab", "reply", words("A person of the maker did this."), about=stage.numbers["rebuttal"], name="held"
    )
    hold = {
        "action": "hold",
        "reason": "defamation",
        "asked_by": "affected_party",
        "until": "2026-01-30T00:00:00.000Z",
    }
    held = stage.say("mod", "moderation", hold, about=said.sequence, name="hold")
    stage.say("mod", "notice", {"to": "author", "how": "mail"}, about=held.sequence)
    gone = stage.say(
        "maker", "reply", words("Secret 010-1234-5678"), about=stage.numbers["reply"], name="erased"
    )
    erase = {"action": "erase", "reason": "privacy", "asked_by": "author"}
    stage.say("mod", "moderation", erase, about=gone.sequence)


def _findings(stage: Stage, evidence: bytes, differing: bytes | None) -> None:
    refuted = words("무작위로 섞은 대조군과 차이가 없으므로 이 수치는 아무것도 보여 주지 않습니다.", "ko")
    finding = {"outcome": "refuted", **refuted, "exhibits": [stage.numbers["exhibit"]]}
    stage.say("ahn", "finding", finding, about=stage.numbers["claim"], name="finding")
    open_ = {
        "outcome": "not_proven",
        **words("Shared tokens alone do not show where weights come from."),
        "would_settle": "A comparison of merge ranks with a population of unrelated tokenizers.",
    }
    stage.say("choi", "finding", open_, about=stage.numbers["second"], name="open")
    residual = {
        **words("학습 기록은 공개되지 않았습니다.", "ko"),
        "would_settle": "학습 기록 감사 (`jokbo record audit`)",
    }
    stage.say("chair", "residual", residual, name="residual")
