"""A rehearsal of a hearing over models of the zoo: one accusation that is false, one that is true.

``python -m benchmarks.hearing_demo --output hearing-demo`` opens a case, hears both claims by evidence that it makes
now (two comparisons and an audit of a training record), closes it, writes the archive and verifies it. With
``--serve`` the case stays open and the live page comes up: sign in with the addresses it prints; codes are printed in
the terminal.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.hearing_claims import MODELS, ROOT, TRUE_CLAIM, write_false_claim
from jokbo.hearing import intake
from jokbo.hearing.case.case import Case, new_case
from jokbo.hearing.case.chain import sign_draft
from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.case.state import stamp

if TYPE_CHECKING:
    from jokbo.records.commit.keys import Signer

RECORD = ROOT / "zoo" / "records" / "small"
AUDIT_SEED = 1
ROLES = {
    "chair": "chair",
    "moderator": "moderator",
    "panel-1": "panel",
    "panel-2": "panel",
    "claimant": "claimant",
    "respondent": "respondent",
}
CASE = {
    "title": "base1과 sft0는 base0에서 나왔는가",
    "summary": "동물원의 작은 모델 셋에 대한 예행연습입니다. 두 주장 가운데 하나는 참이고 하나는 거짓입니다.",
    "language": "ko",
    "translations": {
        "en": "A rehearsal on three small models of the zoo. Of its two claims, one is true and one is false."
    },
    "queue_order": "public",
    "reply_hours": 72,
}


@dataclass
class Rehearsal:
    """A case on its way."""

    case: Case
    folder: Path
    keys: dict[str, Signer]

    def say(self, account: str, kind: str, payload: dict[str, Any], about: int | None = None) -> int:
        draft = Draft(kind, payload, Author(account, ROLES.get(account, "public")), about)
        return self.case.add(draft).sequence

    def text(self, account: str, kind: str, text: str, about: int | None = None, **more: Any) -> int:
        return self.say(account, kind, {"text": text, "language": "en", **more}, about)

    def signed(self, account: str, kind: str, payload: dict[str, Any], about: int) -> int:
        """The same, signed with the account's own key, so that it counts."""
        draft = Draft(kind, payload, Author(account, ROLES[account]), about)
        return self.case.add(sign_draft(draft, self.case.head().case, self.keys[account])).sequence

    def evidence(self, candidate: str) -> Path:
        """Compare for real."""
        from jokbo.evidence.compare import compare

        path = self.folder / "evidence" / f"base0-{candidate}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        found = compare(str(MODELS / "base0"), str(MODELS / candidate), bounds=False)
        path.write_bytes(found.evidence.to_json())
        return path

    def audit(self) -> Path:
        """Audit a training record for real; what runs the model is left out, since a rehearsal is short."""
        from jokbo.records.audit import audit

        path = self.folder / "evidence" / "audit.json"
        path.write_bytes(audit(str(RECORD), seed=AUDIT_SEED, replay=False).to_json())
        return path

    def claim(self, candidate: str, path: Path) -> int:
        """Enter a claim, linted now, and its two models by the digests of the bytes that are here."""
        from jokbo.views.model import open_model

        artefacts = []
        for name in ("base0", candidate):
            digest = open_model(str(MODELS / name)).digest
            named = {"name": name, "repository": f"zoo/models/{name}", "digest": digest}
            artefacts.append(self.say("claimant", "artefact", named))
        payload = intake.with_lint({"artefacts": artefacts}, path, "en")
        return self.say("claimant", "claim", payload)

    def exhibit(self, account: str, about: int, path: Path, title: str, command: str) -> int:
        stored = self.case.exhibits.add(path)
        given = {"title": title, "command": f"{command} --json {path.name}"}
        return self.say(
            account, "exhibit", intake.with_evidence(given, stored, path.name, self.case.exhibits), about
        )

    def repeat(self, account: str, exhibit: int, path: Path) -> int:
        stored, data = self.case.exhibits.add(path), path.read_bytes()
        payload = intake.reproduction({"machine": "another machine"}, data, stored, path.name, data)
        return self.signed(account, "reproduction", payload, exhibit)


def hear(r: Rehearsal) -> Iterator[str]:
    """The hearing, step by step; yields what happened."""
    appoint(r)
    false = r.claim("base1", write_false_claim(r.folder / "claims" / "base1"))
    true = r.claim("sft0", TRUE_CLAIM)
    faults = [r.case.state.items[claim].payload["lint"]["faults"] for claim in (false, true)]  # type: ignore[index]
    yield f"two claims entered (entries {false} and {true}); the linter found {faults[0]} and {faults[1]} faults"
    until = stamp(datetime.now(UTC) + timedelta(hours=72))
    for claim in (false, true):
        r.say("chair", "reply_timer", {"account": "respondent", "until": until}, claim)
    rebuttal = r.text(
        "respondent", "rebuttal", "Raw cosines of positive norms are near 1 for any two models.", false
    )
    shown = compared(r, "respondent", rebuttal, "base1", again="panel-1")
    found = compared(r, "claimant", true, "sft0", again="panel-2")
    r.text("respondent", "reply", "We fine-tuned base0, and say so in the model card.", true)
    yield f"evidence exhibited and repeated (entries {shown} and {found})"
    yield from hear_questions(r)
    yield from hear_of_records(r)
    find(r, (false, shown), (true, found))
    yield "findings entered: one claim is proven, one is not"


def appoint(r: Rehearsal) -> None:
    """Roles, names, keys, interests."""
    for account, role in list(ROLES.items())[1:]:
        r.say("chair", "role", {"account": account, "role": role})
        r.say("chair", "party", {"account": account, "name": account.capitalize()})
    for account, signer in r.keys.items():
        key = base64.b64encode(signer.public.der).decode()
        r.say("chair", "key", {"account": account, "valid": True, "key": key})
    r.say("panel-1", "interest", {"none": True, "text": "None.", "language": "en"})


def compared(r: Rehearsal, account: str, about: int, name: str, *, again: str) -> int:
    """Exhibit a comparison that is made now, and have somebody repeat it."""
    path = r.evidence(name)
    command = f"jokbo compare zoo/models/base0 zoo/models/{name}"
    exhibit = r.exhibit(account, about, path, f"jokbo compare base0 {name}", command)
    r.repeat(again, exhibit, path)
    return exhibit


def hear_questions(r: Rehearsal) -> Iterator[str]:
    """A question is asked, voted on, answered, and said aloud."""
    question = r.text("p-reader", "question", "Which rows were compared?")
    r.say("moderator", "question_state", {"state": "published"}, question)
    for account in ("p-one", "p-two", "panel-1", "respondent"):
        r.say(account, "vote", {"value": 1}, question)
    r.say("moderator", "question_state", {"state": "answering"}, question)
    r.text("respondent", "answer", "Those that the evidence names, by their digests.", question)
    r.say("moderator", "question_state", {"state": "answered"}, question)
    said = {"start_seconds": 95, "stop_seconds": 130, "speaker": "Respondent", "questions": [question]}
    r.text("moderator", "transcript", "The rows are those that the evidence names.", **said)
    yield f"a question was asked, voted on and answered (entry {question})"


def find(r: Rehearsal, false: tuple[int, int], true: tuple[int, int]) -> None:
    """Findings on both claims, each with its exhibit, and what stays open."""
    (claim, shown), (other, found) = false, true
    settles = (
        "The training record of base1: data order, logs and checkpoints, as `jokbo record audit` reads them."
    )
    said = (
        f"No evidence of dependence down to the bounds of exhibit {shown}. This does not prove independence."
    )
    more = {"outcome": "not_proven", "would_settle": settles, "exhibits": [shown]}
    r.text("panel-1", "finding", said, claim, **more)
    said = f"Dependence is shown by exhibit {found}."
    r.text("panel-1", "finding", said, other, outcome="proven", exhibits=[found])
    said = "Was the tokenizer of base1 taken from base0?"
    r.text("panel-2", "residual", said, would_settle="Its merges' source.")


def hear_of_records(r: Rehearsal) -> Iterator[str]:
    """A question that an audit of a training record answers, as an exhibit of its own kind."""
    question = r.text("p-one", "question", "What would a training record have to show?")
    for state in ("published", "answering"):
        r.say("moderator", "question_state", {"state": state}, question)
    answer = r.text(
        "panel-2",
        "answer",
        "What an audit asks for: this one is of the record of another model of the zoo, and says what it leaves open.",
        question,
    )
    command = f"jokbo record audit zoo/records/small --seed {AUDIT_SEED} --no-replay"
    audit = r.exhibit("panel-2", answer, r.audit(), "jokbo record audit zoo/records/small", command)
    r.say("moderator", "question_state", {"state": "answered"}, question)
    yield f"a training record was audited, and the audit exhibited (entry {audit})"


def finish(rehearsal: Rehearsal) -> tuple[int, str]:
    """Close, export, verify; exit status of the verification and the head."""
    from jokbo.hearing.archive.export import Exporter
    from jokbo.hearing.archive.verify import verify_folder

    case = rehearsal.case
    rehearsal.text("chair", "close", "Both claims were heard.")
    head = case.head().digest
    Exporter(rehearsal.folder / "archive").export(case.entries, case.state, case.exhibits)
    found = verify_folder(rehearsal.folder / "archive", head=head)
    return found.exit_status, head


def serve(rehearsal: Rehearsal, port: int) -> int:
    """Bring the live page up over the case as it stands."""
    from jokbo.cli.hearing.serve import command

    folder = rehearsal.folder
    people = folder / "people.toml"
    people.write_text("".join(f'{name} = "{name}@example.org"\n' for name in ROLES), encoding="utf-8")
    rehearsal.case.close()
    print("Sign in as: " + ", ".join(f"{name}@example.org" for name in ROLES))
    args = [folder / "case", "--key", folder / "host.pem", "--people", people, "--rehearsal", "--port", port]
    return int(
        command.main([*map(str, args), "--archive", str(folder / "archive")], standalone_mode=False) or 0
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("hearing-demo"))
    parser.add_argument("--serve", action="store_true", help="leave the case open and serve it")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    from jokbo.records.commit.keys import make_key

    if args.output.exists() and not (args.output / "host.pem").exists():
        parser.error(f"{args.output} is there already, and was not made here")
    shutil.rmtree(args.output, ignore_errors=True)
    args.output.mkdir(parents=True)
    signer = make_key(args.output / "host.pem")
    recovery = make_key(args.output / "recovery.pem").public
    with new_case(args.output / "case", CASE, chair="chair", signer=signer, recovery=recovery) as case:
        keys = {name: make_key(args.output / f"{name}.pem") for name in ("panel-1", "panel-2")}
        rehearsal = Rehearsal(case, args.output, keys)
        for done in hear(rehearsal):
            print(done)
        if args.serve:
            return serve(rehearsal, args.port)
        status, head = finish(rehearsal)
    print(f"archive: {args.output / 'archive' / 'index.html'}; verification exits {status}; head {head}")
    return status


if __name__ == "__main__":
    sys.exit(main())
