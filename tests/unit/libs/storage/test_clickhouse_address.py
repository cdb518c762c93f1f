"""Reading and writing ClickHouse addresses."""

from __future__ import annotations

import pytest

from libs.kernel.errors import InvalidInput
from libs.storage.clickhouse import ClickHouse
from libs.storage.clickhouse_address import ClickHouseAddress, identifier

HARD = "p@ss/w:o#r?d%20&'\" é"


@pytest.mark.parametrize(
    "address",
    [
        ClickHouseAddress("clickhouse", 9000, 8123, "incidentscope", "incidentscope", "incidentscope"),
        ClickHouseAddress("clickhouse", user=HARD, password=HARD, database="a/b?c#d"),
        ClickHouseAddress("::1", 19000, 18123),
    ],
)
def test_what_is_written_is_read_again(address: ClickHouseAddress) -> None:
    assert ClickHouseAddress.parse(str(address), {}) == address


def test_what_an_address_leaves_out_is_what_clickhouse_takes() -> None:
    assert ClickHouseAddress.parse("clickhouse://host", {}) == ClickHouseAddress(
        "host", 9000, 8123, "default", "", "default"
    )


def test_another_database_is_used_with_the_same_account() -> None:
    named_alike = ClickHouseAddress.parse("clickhouse://same:same@same:9000/same?http_port=8124", {})

    assert named_alike.of("default") == ClickHouseAddress("same", 9000, 8124, "same", "same", "default")


def test_a_password_that_is_not_in_the_address_comes_from_the_environment() -> None:
    environment = {"CLICKHOUSE_PASSWORD": HARD}

    assert ClickHouseAddress.parse("clickhouse://me@host/db", environment).password == HARD
    assert ClickHouseAddress.parse("clickhouse://me:other@host/db", environment).password == "other"
    assert ClickHouseAddress.parse("clickhouse://me:@host/db", environment).password == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:9000",
        "http://me:secret@host:8123/db",
        "clickhouse:///db",
        "clickhouse://me:secret@host:many/db",
        "clickhouse://me:sec/secret@host/db",
        "clickhouse://me:secret@host:70000/db",
        "clickhouse://me:secret@host/db?http_port=secret",
        "clickhouse://host/secret/db",
        "clickhouse://me:secret@[host/db",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="should look like clickhouse://user:password@host:9000") as refused:
        ClickHouse(url)

    assert "secret" not in str(refused.value)


def test_a_password_does_not_show_in_what_is_printed() -> None:
    assert HARD not in repr(ClickHouseAddress("host", password=HARD))


def test_any_name_is_an_identifier() -> None:
    assert identifier("plain") == "`plain`"
    assert identifier("a`; DROP \\") == "`a\\`; DROP \\\\`"
