"""Lists of models: what is right is read, and every line that is not is named with what was expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jokbo.errors import FormatError, NotFoundError
from jokbo.lineage.register.archive import ENTRY_FIELDS
from jokbo.lineage.register.entries import LICENSE, Entry, Facts
from jokbo.lineage.register.lists import KEYS, ListedModel, known_models, parse_list, read_list
from jokbo.sources.open import HUB_ID

HEAD = 'schema = "jokbo.models/1"\n'

WHOLE = (
    HEAD
    + """
[[model]]
id = "org/name"
revision = "v1.0"
name = "A name"
parents = ["org/base", "org/other"]
relation = "merge"
license = "apache-2.0"
public_since = "2024-07-23"
public_since_source = "https://example.org/announcement"
group = "Mine"

[[model]]
path = "weights/model"
"""
)


def test_a_whole_list_is_read(tmp_path: Path):
    (tmp_path / "list.toml").write_text(WHOLE)
    facts = Facts(
        name="A name",
        parents=("org/base", "org/other"),
        relation="merge",
        license="apache-2.0",
        public_since="2024-07-23",
        public_since_source="https://example.org/announcement",
    )
    assert read_list(tmp_path / "list.toml") == (
        ListedModel("org/name@v1.0", facts, "Mine"),
        ListedModel(str(tmp_path / "weights/model"), Facts(), None),
    )


def model(body: str) -> str:
    return f'{HEAD}[[model]]\nid = "org/name"\n{body}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (model('licence = "mit"'), "line 4: unknown key 'licence'; did you mean 'license'?"),
        (model("zzz = 1"), "line 4: unknown key 'zzz'; expected one of id, path"),
        (model("license = 3"), "line 4: license is 3; expected a text in quotation marks."),
        (model('license = "see site"'), "line 4: license is 'see site'; expected an SPDX identifier"),
        (model("public_since = 2024-07-23"), "line 4: public_since is datetime.date"),
        (model('public_since = "2024-07-23"'), "line 4: public_since has no public_since_source"),
        (model('public_since = "soon"\npublic_since_source = "x"'), "line 4: public_since is 'soon'"),
        (
            model('public_since = "2024-W30-2"\npublic_since_source = "x"'),
            "line 4: public_since is '2024-W30-2'; expected a date",
        ),
        (model("license = 0x" + "f" * 20_000), "a number of absurd length (at line 4)"),
        (model("parents" + ".a" * 5000 + " = 1"), "more than 200 dots in one line: break the line (at line 4)"),
        (model('public_since_source = "x"'), "line 4: public_since_source is given without public_since"),
        (model('relation = "stolen"'), "line 4: relation is 'stolen'; expected one of adapter"),
        (model('parents = "org/base"'), "line 4: parents is 'org/base'; expected a list of texts."),
        (model("parents = [1]"), "line 4: parents is"),
        (model('parents = ["a", "a"]'), "a parent is named twice"),
        (model('path = "here"'), "expected either id (org/name) or path, and not both."),
        (model('revision = "a b"'), "line 4: revision is 'a b'"),
        (model('group = ""'), "line 4: group is ''"),
        (model('name = "a\\u0007"'), "line 4: name is"),
        (HEAD + '[[model]]\nname = "x"\n', "line 2: expected either id"),
        (HEAD + '[[model]]\nid = "name"\n', "line 3: id is 'name'; expected a Hugging Face id, org/name."),
        (HEAD + '[[model]]\nid = "org/name@main"\n', "A revision has its own key."),
        (HEAD + '[[model]]\nid = "../../etc"\n', "line 3: id is '../../etc'"),
        (HEAD + '[[model]]\npath = "../other"\n', "line 3: path is '../other'; expected one below the folder"),
        (HEAD + '[[model]]\npath = "~/x"\n', "line 3: path is '~/x'"),
        (HEAD + '[[model]]\npath = "x"\nrevision = "main"\n', "line 4: revision is 'main'"),
        (HEAD + '[[model]]\nid = "o/n"\n[[model]]\nid = "o/n"\n', "line 4: o/n stands at line 2 already"),
        (HEAD, "holds no models; expected 1 to"),
        (HEAD + "model = 3\n", "holds no models"),
        (HEAD + "model = [1]\n", "model 1: expected a table [[model]]."),
        (HEAD + 'more = "x"\n[[model]]\nid = "o/n"\n', "unknown key 'more'; expected schema and [[model]] alone."),
        ('[[model]]\nid = "o/n"\n', "names the schema 'None'; expected schema = 'jokbo.models/1'"),
        ('schema = "jokbo.models/2"\n', "A newer one needs a newer Jokbo."),
        ("[[model]\n", "is not TOML"),
        ("schema = " + "[" * 5000, "is not TOML"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_line(text: str, message: str):
    with pytest.raises(FormatError) as told:
        parse_list(text.encode(), where="list.toml", folder=Path("/folder"))
    assert message in str(told.value)
    assert str(told.value).startswith("list.toml")


def test_every_mistake_is_told_at_once():
    text = HEAD + "".join(f'[[model]]\nid = "bad {k}"\n' for k in range(30))
    with pytest.raises(FormatError) as told:
        parse_list(text.encode(), where="list.toml", folder=None)
    lines = str(told.value).splitlines()
    assert len(lines) == 21
    assert lines[3].startswith("list.toml: line 9: id is 'bad 3'")
    assert lines[-1] == "… and 10 more problems of this list."


def test_tables_written_another_way_are_told_by_number():
    text = HEAD + 'model = [{id = "o/n"}, {id = "bad"}]\n'
    with pytest.raises(FormatError, match=r"list.toml: model 2: id is 'bad'"):
        parse_list(text.encode(), where="list.toml", folder=None)


def test_a_heading_inside_a_text_does_not_move_the_lines():
    text = HEAD + '[[model]]\nid = "o/n"\nname = """x\n[[model]]\n"""\n'
    with pytest.raises(FormatError, match=r"list.toml: model 1: name is"):
        parse_list(text.encode(), where="list.toml", folder=None)


def test_bytes_that_are_no_text_and_lists_that_are_too_large():
    with pytest.raises(FormatError, match="is not TOML"):
        parse_list(b"\xff\xfe", where="list.toml", folder=None)
    with pytest.raises(FormatError, match="is larger than"):
        parse_list(b" " * ((16 << 20) + 1), where="list.toml", folder=None)


def test_a_list_that_is_not_there(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"the list .*none.toml cannot be read"):
        read_list(tmp_path / "none.toml")


DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("page", ["keep-a-register.md", "keep-a-register.ko.md"])
def test_the_list_of_the_documentation_is_one(page: str):
    text = (DOCS / "how-to" / page).read_text(encoding="utf-8")
    block = re.search(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    assert block is not None
    body = "\n".join(line.removeprefix("   ") for line in block[1].splitlines())
    (listed,) = parse_list(body.encode(), where=page, folder=None)
    assert listed.spec == "org/our-model@v1.0"


@pytest.mark.parametrize("page", ["register.md", "register.ko.md"])
def test_every_key_of_a_list_and_field_of_an_entry_is_explained(page: str):
    text = (DOCS / "reference" / page).read_text(encoding="utf-8")
    for word in (*KEYS, *Entry.__slots__, *ENTRY_FIELDS):
        assert f"`{word}`" in text, word


# The list that ships.

LICENSES = {
    "apache-2.0", "mit", "other", "gemma", "llama2", "llama3", "llama3.1", "llama3.2", "cc-by-nc-4.0", "cc-by-sa-4.0",
    "bigscience-bloom-rail-1.0", "bigcode-openrail-m",
}  # fmt: skip
"""Licence tags of Hugging Face that the list uses."""


def test_the_known_models_have_ids_of_a_hub_each_once():
    specs = [model.spec for model in known_models()]
    assert len(specs) >= 150
    assert len({spec.lower() for spec in specs}) == len(specs)
    assert all(HUB_ID.fullmatch(spec) and "@" not in spec for spec in specs)


def test_the_known_models_say_what_is_declared_and_nothing_else():
    models = known_models()
    for listed in models:
        facts = listed.facts
        assert facts.license is None or (facts.license in LICENSES and LICENSE.fullmatch(facts.license))
        assert (facts.public_since, facts.name, facts.source) == (None, None, None)
        assert facts.relation is None or facts.parents, listed.spec
    assert sum(listed.facts.license is None for listed in models) <= 3


def test_the_parents_of_known_models_are_known_and_without_circles():
    parents = {listed.spec: listed.facts.parents for listed in known_models()}
    assert sum(map(bool, parents.values())) >= 20
    for spec in parents:
        seen = [spec]
        while parents[seen[-1]]:
            (parent,) = parents[seen[-1]]
            assert parent in parents, f"{seen[-1]} names {parent}"
            assert parent not in seen
            seen.append(parent)


def test_every_group_stands_in_one_place():
    groups = [listed.group for listed in known_models()]
    assert None not in groups
    runs = [group for k, group in enumerate(groups) if k == 0 or groups[k - 1] != group]
    assert len(runs) == len(set(runs)) >= 20
