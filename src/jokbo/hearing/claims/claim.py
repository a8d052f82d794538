"""A claim: which artefacts, what was measured, held against what, and what is concluded from it.

A claim is a short YAML file, written in ten minutes, with its table beside it as CSV or JSON. It names the numbers
of its text one by one, so that each can be computed again.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError, NotFoundError, SourceError
from jokbo.formats.strict_yaml import MAX_BYTES, YamlTree, parse_yaml
from jokbo.hearing.claims.measures import MEASURES, Measure
from jokbo.hearing.claims.schema import CLAIM, claim_problems, schema, typed
from jokbo.hearing.claims.table import Row, parse_table

MAX_FILE_BYTES = 64 << 20
"""Of each file beside a claim; each kind has a smaller bound of its own."""

MAX_PROBLEMS = 12
DEPENDENT = frozenset({"derived", "dependent"})


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model as a claim names it; texts are empty and numbers None where it says nothing."""

    label: str
    name: str = ""
    repository: str = ""
    commit: str = ""
    digest: str = ""
    loaded: str = ""
    parameters: int | None = None
    layers: int | None = None
    public_since: str = ""
    source: str = ""

    @property
    def pinned(self) -> bool:
        """Whether anybody can fetch exactly these bytes, or check that they have."""
        return bool(self.digest or (self.repository and self.commit))


@dataclass(frozen=True, slots=True)
class Control:
    """What was done to rule out the ordinary explanation.

    Attributes
    ----------
    subtracted : str or float or None
        Of centring: ``"mean"``, or the constant.
    passed : bool or None
        By the claim's own account.
    """

    kind: str
    subtracted: str | float | None = None
    passed: bool | None = None
    model: str = ""
    note: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of the text and what it is; field names as in the file, ``is`` as `kind`."""

    says: str
    kind: str
    of: str = "effect"
    against: str = "baseline"
    measure: str = ""
    computed_as: str = ""
    resamples: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """What the measure's own script concluded."""

    score: float | None = None
    out_of: float | None = None
    concluded: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim and the files beside it.

    Attributes
    ----------
    file : str
        Name of its file.
    folder : Path
        Where it lies; a repository that begins with a dot is meant from here.
    tree : YamlTree
        Where each thing stands.
    files : mapping of str to bytes
        Every file read, by name.
    says : str
        ``derived``, ``dependent``, ``not_shown`` or ``independent``.
    about : str
        ``model``, or ``measured`` tensors alone.
    """

    file: str
    folder: Path
    tree: YamlTree
    files: Mapping[str, bytes]
    title: str
    models: Mapping[str, ModelRef]
    reference: str
    candidate: str
    measure: Measure
    tensors: tuple[str, ...]
    share: float | None
    script: Script
    null: str
    controls: tuple[Control, ...]
    figures: tuple[Figure, ...]
    says: str
    about: str
    text: str
    against: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    table: str = ""
    vectors: str = ""
    evidence: str = ""
    claimant: str = ""
    date: str = ""
    source: str = ""

    @property
    def claims_dependence(self) -> bool:
        """Whether the conclusion is that the models are related."""
        return self.says in DEPENDENT

    @property
    def digest(self) -> str:
        """SHA-256 over the names and digests of all files."""
        lines = "".join(
            f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(self.files.items())
        )
        return hashlib.sha256(lines.encode()).hexdigest()


def read_claim(path: Path) -> Claim:
    """Read a claim and the files that it names.

    Only files in the claim's own folder are read: a claim comes from somebody else.

    Raises
    ------
    NotFoundError
        A file is not there.
    SourceError
        A file cannot be read, or is none of the claim's folder.
    FormatError
        A file does not follow its format; the message has one line a problem, each with its place.
    """
    data = _read(path, MAX_BYTES)
    tree = parse_yaml(data, where=path.name)
    document = _checked(tree, path.name)
    files = {path.name: data}
    for key in ("table", "vectors", "evidence"):
        if key in document:
            files[document[key]] = _read(_beside(path, document[key]), MAX_FILE_BYTES)
    rows: tuple[Row, ...] = ()
    if "table" in document:
        rows = parse_table(files[document["table"]], where=document["table"])
        _check_labels(rows, document["models"], document["table"])
    return _build(document, path, tree, files, rows)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError:
        raise NotFoundError(f"{path} is not there. Check the name.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Name a file that can.") from None
    if len(data) > limit:
        raise FormatError(f"{path.name} is larger than {limit:,} bytes, which a file of a claim never is.")
    return data


def _beside(path: Path, name: str) -> Path:
    """A file in the claim's folder; names with a separator were refused by the schema, links and pipes are here."""
    found = path.parent / name
    if name in (".", "..") or found.is_symlink():
        raise SourceError(f"{path.name}: {name} leads out of the claim's folder. Put the file itself there.")
    if found.exists() and not found.is_file():
        # A pipe, which an archive of files can hold, would keep whoever reads it waiting without end.
        raise SourceError(f"{path.name}: {name} is no ordinary file. Put one there.")
    return found


def _checked(tree: YamlTree, file: str) -> dict[str, Any]:
    """The document with types, or every problem at once."""
    whole = schema(CLAIM)
    document = typed(tree.value, whole, whole)
    found = list(claim_problems(document))
    if not found:
        found = list(_contradictions(document))
    if not found:
        checked: dict[str, Any] = document
        return checked
    lines = [_sentence(tree, file, path, problem) for path, problem in found[:MAX_PROBLEMS]]
    if len(found) > MAX_PROBLEMS:
        lines.append(f"{file}: {len(found) - MAX_PROBLEMS} more problems. Correct these first.")
    raise FormatError("\n".join(lines))


def _sentence(tree: YamlTree, file: str, path: str, problem: str) -> str:
    line, hint = tree.line(path), ""
    if problem.startswith("unknown field "):
        known = {
            key
            for each in (schema(CLAIM), *schema(CLAIM)["$defs"].values())
            for key in each.get("properties", ())
        }
        near = difflib.get_close_matches(
            problem.removeprefix("unknown field ").strip("'\""), sorted(known), n=1
        )
        hint = f" Did you mean {near[0]!r}?" if near else ""
    at = f" ({path})" if path else ""
    return f"{file}{f':{line}' if line else ''}{at}: {problem}.{hint}"


def _contradictions(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a schema cannot say."""
    labels = ", ".join(map(repr, document["models"])) or "none"
    found = [
        (key, f"expected the label of a model ({labels}), found {document[key]!r}")
        for key in ("reference", "candidate")
        if document[key] not in document["models"]
    ]
    if document["reference"] == document["candidate"]:
        found.append(("candidate", "expected another model than the reference"))
    for k, control in enumerate(document.get("controls", ())):
        if "model" in control and control["model"] not in document["models"]:
            found.append(
                (
                    f"controls/{k}/model",
                    f"expected the label of a model ({labels}), found {control['model']!r}",
                )
            )
    names = [document[key] for key in ("table", "vectors", "evidence") if key in document]
    if len(set(names)) < len(names):
        found.append(("table", "expected different files for table, vectors and evidence"))
    return found


def _check_labels(rows: Sequence[Row], models: Mapping[str, Any], file: str) -> None:
    """Every row is about models that the claim names; random vectors have no model."""
    for row in rows:
        for label in row.pair if row.role != "random" else ():
            if label not in models:
                raise FormatError(
                    f"{file}:{row.line}: {label[:60]!r} is none of the claim's models ({', '.join(models)}). Name it "
                    "there, or write its label."
                )


def _build(
    document: Mapping[str, Any], path: Path, tree: YamlTree, files: Mapping[str, bytes], rows: tuple[Row, ...]
) -> Claim:
    measure, conclusion = document["measure"], document["conclusion"]
    models = {label: ModelRef(label, **fields) for label, fields in document["models"].items()}
    chosen = MEASURES[measure["name"]]
    if "higher_is_closer" in measure and chosen.name == "other":
        chosen = Measure("other", higher_is_closer=measure["higher_is_closer"])
    figures = tuple(
        Figure(kind=figure["is"], **{key: value for key, value in figure.items() if key != "is"})
        for figure in document.get("figures", ())
    )
    return Claim(
        file=path.name,
        folder=path.parent,
        tree=tree,
        files=files,
        models=models,
        measure=chosen,
        tensors=tuple(measure.get("tensors", ())),
        share=_share(measure, models[document["candidate"]]),
        script=Script(**measure.get("script", {})),
        null=document.get("null", ""),
        controls=tuple(Control(**control) for control in document.get("controls", ())),
        figures=figures,
        says=conclusion["says"],
        about=conclusion["about"],
        text=conclusion["text"],
        against=tuple(document.get("would_count_against", ())),
        rows=rows,
        **{
            key: document.get(key, "")
            for key in (
                *(
                    "title",
                    "reference",
                    "candidate",
                    "table",
                    "vectors",
                    "evidence",
                    "claimant",
                    "date",
                    "source",
                ),
            )
        },
    )


def _share(measure: Mapping[str, Any], candidate: ModelRef) -> float | None:
    if "share" in measure:
        return float(measure["share"])
    if "parameters" in measure and candidate.parameters:
        return float(measure["parameters"] / candidate.parameters)
    return None
