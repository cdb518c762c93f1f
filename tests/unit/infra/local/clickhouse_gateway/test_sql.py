"""Cutting statements: where an INSERT's data starts, and which FORMAT ends a query."""

from __future__ import annotations

import pytest

from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.sql import (
    DataKind,
    find_input_call,
    first_word,
    has_outfile,
    parse_insert,
    replace_words,
    split_output_format,
    tokens,
)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "SELECT"),
        ("  -- c\n /* x */ # y\n with x as (select 1) select x", "WITH"),
        ("((SELECT 1))", "SELECT"),
        ("'a'", ""),
        ("", ""),
        (";", ""),
    ],
)
def test_the_first_word_is_found_behind_comments(sql: str, expected: str) -> None:
    assert first_word(sql) == expected


def test_quotes_and_brackets_hide_what_is_inside() -> None:
    sql = "SELECT 'it''s; -- \\' FORMAT', `a``b`, \"c\\\"d\", $x$ ' $x$ FROM (t)"
    found = [(token.text, token.depth) for token in tokens(sql)]
    assert found == [
        ("SELECT", 0), ("'it''s; -- \\' FORMAT'", 0), (",", 0), ("`a``b`", 0), (",", 0), ('"c\\"d"', 0), (",", 0),
        ("$x$ ' $x$", 0), ("FROM", 0), ("(", 0), ("t", 1), (")", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("sql", ["'", "`x", "SELECT 'a", "/* open", "$a$ open", ")))(((", "\x00\xff"])
def test_broken_text_is_cut_without_failing(sql: str) -> None:
    assert "".join(token.text for token in tokens(sql)).strip() in sql or True
    assert parse_insert(sql) is None
    assert split_output_format(sql)[1] == ""


@pytest.mark.parametrize(
    ("sql", "rest", "name"),
    [
        ("SELECT 1 FORMAT JSON", "SELECT 1 ", "JSON"),
        ("SELECT 1 format `TSV` ;", "SELECT 1  ", "TSV"),
        ("SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "SELECT 1  SETTINGS max_threads = 1", "CSV"),
        ("SELECT 1;", "SELECT 1", ""),
        ("SELECT 1; ;", "SELECT 1", ""),
        ("SELECT 'x FORMAT JSON'", "SELECT 'x FORMAT JSON'", ""),
        ("SELECT format FROM t", "SELECT format FROM t", ""),
        ("SELECT * FROM (SELECT 1 AS x) -- FORMAT JSON", "SELECT * FROM (SELECT 1 AS x) -- FORMAT JSON", ""),
        ("SELECT format('{}', 1) AS format", "SELECT format('{}', 1) AS format", ""),
    ],
)
def test_the_output_format_is_split_off(sql: str, rest: str, name: str) -> None:
    assert split_output_format(sql) == (rest, name)


def test_an_outfile_is_seen_only_as_a_clause() -> None:
    assert has_outfile("SELECT 1 INTO OUTFILE 'x'")
    assert not has_outfile("SELECT 'INTO OUTFILE', outfile FROM t")
    assert not has_outfile("SELECT 1")


@pytest.mark.parametrize(
    ("sql", "target", "columns", "kind", "name", "tail"),
    [
        ("INSERT INTO t VALUES", "t", None, DataKind.VALUES, "Values", ""),
        ("insert into a.b (x, `y z`) values (1, ')')", "a.b", "x, `y z`", DataKind.VALUES, "Values", " (1, ')')"),
        ("INSERT INTO TABLE `a b`.`c` FORMAT CSV\n1,2\n", "`a b`.`c`", None, DataKind.FORMAT, "CSV", "1,2\n"),
        ("INSERT INTO t FORMAT JSONEachRow {\"a\": 1}", "t", None, DataKind.FORMAT, "JSONEachRow", '{"a": 1}'),
        ("INSERT INTO t FORMAT Native", "t", None, DataKind.FORMAT, "Native", ""),
        ("INSERT INTO t FORMAT TSV\r\n\t1", "t", None, DataKind.FORMAT, "TSV", "\t1"),
        ("INSERT INTO t (a)", "t", "a", DataKind.UNSPECIFIED, "", ""),
        ("INSERT INTO t;", "t", None, DataKind.UNSPECIFIED, "", ""),
        ("INSERT INTO t SELECT 1", "t", None, DataKind.QUERY, "", "SELECT 1"),
        ("INSERT INTO t (SELECT 1)", "t", None, DataKind.QUERY, "", "(SELECT 1)"),
        ("INSERT INTO t (a) WITH x AS (SELECT 1) SELECT x", "t", "a", DataKind.QUERY, "",
         "WITH x AS (SELECT 1) SELECT x"),
        ("INSERT INTO t (* EXCEPT (a, b)) VALUES", "t", "* EXCEPT (a, b)", DataKind.VALUES, "Values", ""),
    ],
)  # fmt: skip
def test_an_insert_is_cut_into_its_parts(
    sql: str, target: str, columns: str | None, kind: DataKind, name: str, tail: str
) -> None:
    insert = parse_insert(sql)
    assert insert is not None
    assert (insert.target, insert.columns, insert.kind, insert.format, insert.tail) == (
        target,
        columns,
        kind,
        name,
        tail,
    )
    assert not insert.is_function


def test_settings_and_functions_are_kept() -> None:
    insert = parse_insert(
        "INSERT INTO FUNCTION file('x', CSV, 'a Int8, b String') (a) SETTINGS x = 1, y = 'FORMAT' VALUES (1)"
    )
    assert insert is not None
    assert insert.is_function
    assert insert.settings == "SETTINGS x = 1, y = 'FORMAT'"
    assert insert.head() == "INSERT INTO FUNCTION file('x', CSV, 'a Int8, b String') (a)"


@pytest.mark.parametrize("sql", ["SELECT 1", "WITH 1 AS x INSERT INTO t SELECT x", "", "CREATE TABLE insert (a Int8)"])
def test_other_statements_are_not_inserts(sql: str) -> None:
    assert parse_insert(sql) is None


@pytest.mark.parametrize(
    "sql", ["INSERT", "INSERT INTO", "INSERT INTO TABLE", "INSERT INTO t FORMAT", "INSERT INTO t (a"]
)
def test_an_unfinished_insert_is_a_syntax_error(sql: str) -> None:
    with pytest.raises(EngineError) as failed:
        parse_insert(sql)
    assert failed.value.code == 62


def test_data_of_any_kind_is_not_read_as_sql() -> None:
    data = "'unclosed \\ ` \" ( $$ \x00 \udcff" * 3
    insert = parse_insert(f"INSERT INTO t FORMAT RowBinary\n{data}")
    assert insert is not None
    assert insert.tail == data


def test_an_input_call_is_found_with_its_structure_and_data() -> None:
    call = find_input_call("SELECT a + 1 FROM input('a Int8, b Array(String)') WHERE a > 1 FORMAT CSV\n1,x")
    assert call is not None
    assert call.before == "SELECT a + 1 FROM "
    assert call.structure == "'a Int8, b Array(String)'"
    assert call.after == " WHERE a > 1 "
    assert (call.format, call.data) == ("CSV", "1,x")


@pytest.mark.parametrize("select", ["SELECT input FROM t", "SELECT 'input(1)'", "SELECT input(", ""])
def test_other_selects_have_no_input_call(select: str) -> None:
    assert find_input_call(select) is None


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("KILL QUERY WHERE query_id = 'query_id'", "KILL QUERY WHERE X = 'query_id'"),
        ("KILL QUERY WHERE QUERY_ID IN ('a') /* query_id */ SYNC;", "KILL QUERY WHERE X IN ('a') /* query_id */ SYNC;"),
        ("KILL QUERY WHERE `query_id` = my_query_id", "KILL QUERY WHERE X = my_query_id"),
        ("KILL QUERY WHERE 1", "KILL QUERY WHERE 1"),
        ("", ""),
    ],
)
def test_words_are_replaced_where_they_are_names(sql: str, expected: str) -> None:
    assert replace_words(sql, {"query_id": "X"}) == expected
