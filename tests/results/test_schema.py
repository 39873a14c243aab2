"""The columns of a row: one list, from which the schema and the tables of docs/results.md derive."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from orchestrator.results.schema import COLUMNS, SCHEMA, TOPICS

FIXTURE = Path(__file__).parents[1] / "fixtures" / "finished.parquet"


def test_rows_of_earlier_commits_have_the_same_columns_and_later_ones_end_the_group_of_their_type() -> None:
    stored = pq.read_schema(FIXTURE)
    common = [name for name in SCHEMA.names if name in stored.names]
    assert [name for name in stored.names if name in SCHEMA.names] == common
    assert all(stored.field(name).type == SCHEMA.field(name).type for name in common)
    for column in {field.type: field for field in SCHEMA}:
        group = [field.name in common for field in SCHEMA if field.type == column]
        assert group == sorted(group, reverse=True)


def test_no_column_is_listed_twice() -> None:
    assert len(set(SCHEMA.names)) == len(COLUMNS)


def test_every_topic_has_columns() -> None:
    assert {column.topic for column in COLUMNS} == set(TOPICS)
