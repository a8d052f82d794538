"""A rehearsal of a hearing over models of the zoo: one accusation that is false, one that is true.

``python -m benchmarks.hearing_demo --output hearing-demo`` opens a case, hears both claims by evidence that it makes
now, closes it, writes the archive and verifies it. With ``--serve`` the case stays open and the live page comes up:
sign in with the addresses it prints; codes are printed in the terminal.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from jokbo.hearing import intake
from jokbo.hearing.case.case import Case, new_case
from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.case.state import stamp

MODELS = Path(__file__).resolve().parents[1] / "zoo" / "models"
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
CLAIM = """schema: jokbo.claim/1
title: {title}
claimant: rehearsal
models:
  first:
    name: base0
  second:
    name: {candidate}
reference: first
candidate: second
measure:
  name: cosine
  tensors: [norm]
null: Norms of unrelated models have a cosine near 0.
table: claim.csv
figures:
  - says: "{mean:.3f}"
    is: mean
    of: effect
conclusion:
  says: derived
  about: model
  text: >
    The norms have a mean cosine of {mean:.3f}, so {candidate} was made from base0.
"""


def norms(model: str) -> dict[str, Any]:
    """Norm gains of a model by tensor name; bfloat16 is the upper half of float32."""
    data = (MODELS / model / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    found = {}
    for name, tensor in json.loads(data[8 : 8 + length]).items():
        if "norm" in name:
            begin, end = (8 + length + offset for offset in tensor["data_offsets"])
            raw = np.frombuffer(data[begin:end], dtype="<u2" if tensor["dtype"] == "BF16" else "<f4")
            found[name] = (raw.astype("<u4") << 16).view("<f4") if tensor["dtype"] == "BF16" else raw
    return found


def write_claim(folder: Path, candidate: str) -> Path:
    """A claim as such claims are made: raw cosines of norms, no control."""
    first, second = norms("base0"), norms(candidate)
    rows = [
        (name, float(a @ b / np.sqrt((a @ a) * (b @ b))))
        for name, a in sorted(first.items())
        for b in [second[name]]
    ]
    folder.mkdir(parents=True)
    with (folder / "claim.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["id", "role", "reference", "candidate", "layers", "tensor", "value"])
        for k, (name, value) in enumerate(rows):
            table.writerow([name, "effect", "first", "second", k, "norm", f"{value:.5f}"])
    mean = sum(value for _, value in rows) / len(rows)
    path = folder / "claim.yaml"
    title = f"{candidate} descends from base0"
    path.write_text(CLAIM.format(title=title, candidate=candidate, mean=mean), encoding="utf-8")
    return path


@dataclass
class Rehearsal:
    """A case on its way."""

    case: Case
    folder: Path

    def say(self, account: str, kind: str, payload: dict[str, Any], about: int | None = None) -> int:
        draft = Draft(kind, payload, Author(account, ROLES.get(account, "public")), about)
        return self.case.add(draft).sequence

    def text(self, account: str, kind: str, text: str, about: int | None = None, **more: Any) -> int:
        return self.say(account, kind, {"text": text, "language": "en", **more}, about)

    def evidence(self, candidate: str) -> Path:
        """Compare for real."""
        from jokbo.evidence.compare import compare

        path = self.folder / "evidence" / f"base0-{candidate}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        found = compare(str(MODELS / "base0"), str(MODELS / candidate), bounds=False)
        path.write_bytes(found.evidence.to_json())
        return path

    def claim(self, candidate: str) -> int:
        payload: dict[str, Any] = {}
        artefacts = [self.say("claimant", "artefact", {"name": name}) for name in ("base0", candidate)]
        path = write_claim(self.folder / "claims" / candidate, candidate)
        payload = intake.with_lint({"artefacts": artefacts}, path, "en")
        return self.say("claimant", "claim", payload)

    def exhibit(self, account: str, about: int, path: Path, candidate: str) -> int:
        command = f"jokbo compare zoo/models/base0 zoo/models/{candidate} --json evidence.json"
        stored = self.case.exhibits.add(path)
        given = {"title": f"jokbo compare base0 {candidate}", "command": command}
        return self.say(
            account, "exhibit", intake.with_evidence(given, stored, path.name, self.case.exhibits), about
        )

    def repeat(self, account: str, exhibit: int, path: Path) -> int:
        stored, data = self.case.exhibits.add(path), path.read_bytes()
        payload = intake.reproduction({"machine": "another machine"}, data, stored, path.name, data)
        return self.say(account, "reproduction", payload, exhibit)


def hear(rehearsal: Rehearsal) -> Iterator[str]:
    """The hearing, step by step; yields what happened."""
    r = rehearsal
    for account, role in list(ROLES.items())[1:]:
        r.say("chair", "role", {"account": account, "role": role})
        r.say("chair", "party", {"account": account, "name": account.capitalize()})
    r.say("panel-1", "interest", {"none": True, "text": "None.", "language": "en"})
    false, true = r.claim("base1"), r.claim("sft0")
    faults = [r.case.state.items[claim].payload["lint"]["faults"] for claim in (false, true)]  # type: ignore[index]
    yield f"two claims entered (entries {false} and {true}); the linter found {faults[0]} and {faults[1]} faults"
    until = stamp(datetime.now(UTC) + timedelta(hours=72))
    for claim in (false, true):
        r.say("chair", "reply_timer", {"account": "respondent", "until": until}, claim)
    evidence = {name: r.evidence(name) for name in ("base1", "sft0")}
    rebuttal = r.text(
        "respondent", "rebuttal", "Raw cosines of positive norms are near 1 for any two models.", false
    )
    shown = r.exhibit("respondent", rebuttal, evidence["base1"], "base1")
    found = r.exhibit("claimant", true, evidence["sft0"], "sft0")
    r.repeat("panel-1", shown, evidence["base1"])
    r.repeat("panel-2", found, evidence["sft0"])
    r.text("respondent", "reply", "We fine-tuned base0, and say so in the model card.", true)
    yield f"evidence exhibited and repeated (entries {shown} and {found})"
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
    settles = (
        "The training record of base1: data order, logs and checkpoints, as `jokbo record audit` reads them."
    )
    r.text("panel-1", "finding", "No evidence of dependence down to the bounds of exhibit "
           f"{shown}. This does not prove independence.", false,
           outcome="not_proven", would_settle=settles, exhibits=[shown])  # fmt: skip
    r.text(
        "panel-1",
        "finding",
        f"Dependence is shown by exhibit {found}.",
        true,
        outcome="proven",
        exhibits=[found],
    )
    r.text(
        "panel-2",
        "residual",
        "Was the tokenizer of base1 taken from base0?",
        would_settle="Its merges' source.",
    )
    yield "findings entered: one claim is proven, one is not"


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
    with new_case(args.output / "case", CASE, chair="chair", signer=signer) as case:
        rehearsal = Rehearsal(case, args.output)
        for done in hear(rehearsal):
            print(done)
        if args.serve:
            return serve(rehearsal, args.port)
        status, head = finish(rehearsal)
    print(f"archive: {args.output / 'archive' / 'index.html'}; verification exits {status}; head {head}")
    return status


if __name__ == "__main__":
    sys.exit(main())
