"""A field named twice: two readers would see two documents, so nobody may read either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jokbo.errors import EvidenceError
from jokbo.lineage.document import parse_parents
from jokbo.lineage.graph.document import parse_tree
from jokbo.lineage.plan_document import parse_plan
from jokbo.lineage.search_document import parse_search


@pytest.mark.parametrize(
    ("parse", "schema"),
    [
        (parse_tree, "jokbo.tree/1"),
        (parse_search, "jokbo.search/1"),
        (parse_parents, "jokbo.parents/1"),
        (parse_plan, "jokbo.tasks/1"),
    ],
)
def test_a_field_named_twice_is_refused(parse: Callable[..., Any], schema: str) -> None:
    data = f'{{"schema": "{schema}", "schema": "{schema}"}}'.encode()
    with pytest.raises(EvidenceError, match=r"it\.json is not JSON \(the field 'schema' is named twice"):
        parse(data, where="it.json")
