"""Audits frozen at each release are still read, still shown, and still hold.

``scripts/freeze_evidence.py`` writes the files of the version at hand before a release.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.records.audit import verify_audit
from jokbo.records.document import parse_audit
from jokbo.report.record import render_record_html

FROZEN = sorted((Path(__file__).parent / "audits").glob("*.json"))
RECORD = Path(__file__).resolve().parents[2] / "zoo" / "records" / "small"


def test_there_are_frozen_audits():
    assert len(FROZEN) >= 1


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_it_is_read_and_shown(path: Path):
    document = parse_audit(path.read_bytes(), where=path.name)
    assert canonical_bytes(document) + b"\n" == path.read_bytes()
    for lang in ("en", "ko"):
        assert document["record"]["digest"][:16] in render_record_html(document, lang=lang)


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_it_still_holds(path: Path):
    outcome = verify_audit(parse_audit(path.read_bytes(), where=path.name), RECORD)
    assert outcome.differences == ()
    assert outcome.holds


def test_another_set_of_checks_is_refused_by_name():
    document = parse_audit(FROZEN[-1].read_bytes(), where="audit")
    document["parameters"]["methods"] = 99
    with pytest.raises(EvidenceError, match="set 99 of the checks, and this version has set 1"):
        verify_audit(document, RECORD)


def test_a_field_named_twice_is_refused():
    data = FROZEN[-1].read_bytes().replace(b'{"checkpoints"', b'{"jokbo":"9","checkpoints"', 1)
    with pytest.raises(EvidenceError, match="named twice in one object"):
        parse_audit(data, where="audit")
