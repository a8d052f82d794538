"""Names of models are somebody else's text: in DOT and Mermaid they are labels and nothing more."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jokbo.lineage.graph.dot import to_dot
from jokbo.lineage.graph.mermaid import to_mermaid
from jokbo.lineage.graph.names import plain_label, quoted_dot, quoted_mermaid
from jokbo.testing.trees import HOSTILE, tree_document

DOT_STRING = r'"(?:[^"\\\n]|\\.)*"'
DOT_LINES = re.compile(
    rf"digraph family \{{|\}}|  rankdir=LR;|  node \[shape=box, fontname={DOT_STRING}\];"
    rf"|  subgraph cluster_\d+ \{{|  \}}|    m\d+;|  m\d+ \[label={DOT_STRING}\];"
    rf"|  m\d+ -> m\d+ \[(?:[a-z]+=(?:[a-z0-9]+|{DOT_STRING})(?:, )?)+\];"
)
MERMAID_STRING = r'"[^"\n`<>]*"'
MERMAID_LINES = re.compile(
    rf"flowchart LR|  m\d+\[{MERMAID_STRING}\]|  m\d+ (?:-->|==>|===|---|-\.-|-\.-\|{MERMAID_STRING}\|) m\d+"
)


@pytest.mark.parametrize("name", HOSTILE)
def test_every_line_is_one_of_ours(name: str):
    document = tree_document((name, *HOSTILE[:5]))
    for line in to_dot(document).splitlines():
        assert DOT_LINES.fullmatch(line), line
    for line in to_mermaid(document).splitlines():
        assert MERMAID_LINES.fullmatch(line), line


@given(st.text(max_size=200))
def test_a_label_is_one_closed_string(name: str):
    assert re.fullmatch(DOT_STRING, quoted_dot(name))
    assert re.fullmatch(MERMAID_STRING, quoted_mermaid(name))
    assert len(plain_label(name)) <= 80
    assert not re.search(r"#(?!\d+;)", quoted_mermaid(name))


def test_a_name_of_letters_is_left_as_it_is():
    assert quoted_dot("org/model-7B.v2") == '"org/model-7B.v2"'
    assert quoted_mermaid("한국어/모델-7B") == '"한국어/모델-7B"'
