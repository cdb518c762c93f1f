"""The batch loop: nothing lost, nothing twice, whatever dies or moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.kernel.errors import Unavailable
from libs.messaging.batch_plan import Extent, Plan, digest, parse_plan
from libs.messaging.ports import EARLIEST, Position, TopicPartition
from tests.unit.libs.messaging.batch_world import FAST, GROUP, PLACE, TOPIC, World, open_records, until


def test_rows_are_inserted_once_and_the_end_is_committed(world: World) -> None:
    world.send("a", "b", "c")
    world.start()
    until(lambda: world.committed() == Position(3))
    world.send("d")
    until(lambda: world.committed() == Position(4))
    assert world.table.rows == ["a", "b", "c", "d"]


def test_what_can_not_be_decoded_is_in_the_dead_letters_before_the_end_is_committed(world: World) -> None:
    world.send("a", "bad one", "c")
    world.start()
    until(lambda: world.committed() == Position(3))
    (letter,) = world.letters()
    assert world.table.rows == ["a", "c"]
    assert (letter.value, letter.header("dlq_reason"), letter.header("dlq_offset")) == (b"bad one", "undecodable", "1")
    assert (letter.header("dlq_topic"), letter.header("dlq_error"), letter.header("h")) == (TOPIC, "it is bad", "1")


def test_a_batch_of_nothing_but_bad_messages_moves_on_too(world: World) -> None:
    world.send("bad", "bad")
    world.start()
    until(lambda: world.committed() == Position(2))
    assert (world.table.attempts, len(world.letters())) == (0, 2)


def test_a_refused_part_goes_to_the_dead_letters_alone_and_as_protobuf(world: World) -> None:
    world.send("part")
    world.start()
    until(lambda: world.committed() == Position(1))
    (letter,) = world.letters()
    assert (letter.value, letter.header("content-type"), letter.header("h")) == (b"P", "application/x-protobuf", "1")
    assert world.table.rows == ["part"]


def test_a_server_that_is_down_is_waited_for_and_nothing_is_lost_or_repeated(world: World) -> None:
    world.table.failures = [Unavailable("down")] * 3
    world.send("a", "b")
    loop = world.start()
    until(lambda: loop.problem() == "down")
    world.send("c")
    until(lambda: world.committed() == Position(3))
    until(lambda: loop.problem() is None)
    assert (world.table.rows, world.letters()) == (["a", "b", "c"], [])


def test_what_was_read_and_is_not_stored_counts_as_lag(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.messaging.batch_metrics.LAG_SECONDS", 0.0)
    world.table.failures = [Unavailable("down")] * 1000
    world.send("a", "b")
    world.start()
    until(lambda: world.metric("lag_messages", topic=TOPIC, partition="0") == 2)
    world.table.failures = []
    until(lambda: world.metric("lag_messages", topic=TOPIC, partition="0") == 0)


def test_a_message_whose_rows_are_refused_is_found_and_buried_alone(world: World) -> None:
    world.table.poison = "c"
    world.send(*"abcdefg")
    world.start()
    until(lambda: world.committed() == Position(7))
    assert world.table.rows == list("abdefg")
    assert [(r.value, r.header("dlq_reason")) for r in world.letters()] == [(b"c", "clickhouse_refused")]


@pytest.mark.parametrize("blame", [1, 4, 32])
def test_however_many_are_to_blame_they_are_tried_with_others_twice_at_the_most(world: World, blame: int) -> None:
    world.table.poison = "c"
    messages = [f"m{n}" for n in range(64)]
    for n in range(blame):
        messages.insert(2 * n, "c")
    world.send(*messages)
    world.start()
    until(lambda: world.committed() == Position(64 + blame))
    assert world.table.rows == [f"m{n}" for n in range(64)]
    assert len(world.letters()) == blame
    together = [rows for rows in world.table.refused if len(rows) > 1]
    assert max(sum(row in rows for rows in together) for row in messages if row != "c") <= 2


def test_after_a_death_between_insert_and_commit_the_same_range_is_rebuilt(world: World) -> None:
    world.table.die_after_insert = True
    world.send("a", "b")
    world.start()
    until(lambda: bool(world.errors))
    planned = world.committed()
    assert planned is not None
    assert planned.offset == 0
    assert parse_plan(planned.metadata) == Plan(1, 1, 2, digest(b"a,b"))
    world.table.die_after_insert = False
    world.send("c", "d")  # would have joined the batch, had its end not been planned
    world.start()
    until(lambda: world.committed() == Position(4))
    assert world.table.rows == ["a", "b", "c", "d"]


def test_a_rebuilt_range_is_verified_and_lost_rows_come_back(world: World) -> None:
    world.table.die_after_insert = True
    world.send("a", "b")
    world.start()
    until(lambda: bool(world.errors))
    world.table.die_after_insert = False
    world.table.rows.remove("a")  # its token is known, its part was never committed
    world.start()
    until(lambda: world.committed() == Position(2))
    assert sorted(world.table.rows) == ["a", "b"]
    assert world.table.verified == [Extent(TOPIC, 0, 0, 1)]


def test_an_insert_of_unknown_outcome_is_verified_and_later_ones_are_not(world: World) -> None:
    world.table.failures = [Unavailable("connection lost")]
    world.send("a")
    world.start()
    until(lambda: world.committed() == Position(1))
    world.send("b")
    until(lambda: world.committed() == Position(2))
    assert world.table.verified == [Extent(TOPIC, 0, 0, 0)]


def test_a_range_that_was_planned_with_other_rows_is_not_inserted_blindly(world: World) -> None:
    world.send("a", "b")
    world.table.rows.append("a")  # of the earlier plan
    place = TopicPartition(TOPIC, 0)
    world.broker.store(GROUP, {place: Position(0, Plan(1, 0, 1, digest(b"a")).text())})
    world.start()
    until(lambda: world.committed() == Position(2))
    assert (world.table.attempts, sorted(world.table.rows)) == (0, ["a", "b"])


def test_an_orderly_stop_delivers_what_was_read() -> None:
    world = World(replace(FAST, max_age_s=60))
    world.send("a", "b")
    loop = world.start()
    until(lambda: loop.problem() is None and bool(loop._partitions) and len(open_records(loop)) == 2)
    world.stop()
    assert (world.table.rows, world.committed()) == (["a", "b"], Position(2))


def test_reading_stops_while_too_much_is_held_and_goes_on_afterwards() -> None:
    world = World(replace(FAST, max_held_bytes=4, poll_records=1), partitions=2)
    world.table.failures = [Unavailable("down")] * 12
    for n in range(60):
        world.send(str(n), key=str(n).encode())
    loop = world.start()
    until(lambda: loop._choked)
    assert sum(p.held() for p in loop._partitions.values()) <= 8
    until(lambda: len(set(world.table.rows)) == 60)
    world.stop()
    assert sorted(world.table.rows, key=int) == [str(n) for n in range(60)]


def test_a_partition_that_left_and_came_back_in_one_poll_is_read_again(world: World) -> None:
    world.send("a", "b", "c")
    loop, member = world.member()
    loop._adopt(member)
    stale = member.poll(10, 0)
    loop._revoked, start = {PLACE}, loop._partitions[PLACE].start
    loop._take(member, stale[1:])  # as though the first had been lost on the way
    assert (loop._partitions[PLACE].records, start) == ([], EARLIEST)
    assert [r.value for r in member.poll(10, 0)] == [b"a", b"b", b"c"]


def test_a_broker_that_does_not_let_a_partition_be_read_again_is_asked_until_it_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send("a", "b", "c")
    loop, member = world.member()
    loop._adopt(member)
    stale, seek = member.poll(10, 0), member.seek

    def away(_place: TopicPartition, _offset: int) -> None:
        raise Unavailable("cannot go on")

    monkeypatch.setattr(member, "seek", away)
    loop._revoked = {PLACE}
    loop._take(member, stale[1:])
    with pytest.raises(Unavailable):
        loop._adopt(member)
    loop._revoked = set()
    loop._take(member, stale[2:])  # what comes meanwhile is dropped, or the first would never be stored
    assert loop._partitions == {}
    monkeypatch.setattr(member, "seek", seek)
    loop._adopt(member)
    loop._take(member, member.poll(10, 0))
    assert [r.value for r in loop._partitions[PLACE].records] == [b"a", b"b", b"c"]


def test_a_partition_paused_before_it_moved_away_is_read_when_it_comes_back(world: World) -> None:
    loop, member = world.member()
    loop._adopt(member)
    member.pause([PLACE])
    member.assign([])
    loop._adopt(member)
    assert loop._partitions == {}
    member.assign([PLACE])
    loop._adopt(member)
    world.send("a")
    assert [r.value for r in member.poll(10, 0)] == [b"a"]


def test_messages_read_before_their_partition_could_be_adopted_are_read_again(world: World) -> None:
    loop, member = world.member()
    world.send("a", "b")
    loop._take(member, member.poll(1, 0))  # the committed positions could not be had
    loop._adopt(member)
    assert [r.value for r in member.poll(10, 0)] == [b"a", b"b"]


def test_messages_of_held_partitions_are_kept_while_another_can_not_be_adopted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, member = world.member()
    loop._adopt(member)
    world.send("a")

    def fail(_source: object) -> None:
        raise Unavailable("the coordinator loads")

    monkeypatch.setattr(loop, "_adopt", fail)
    loop._turn(member)
    assert [r.value for r in open_records(loop)] == [b"a"]


def test_without_the_dead_letters_nothing_is_committed(world: World) -> None:
    world.broker._partitions.pop(f"{TOPIC}.dlq")
    world.send("a", "bad")
    loop = world.start()
    until(lambda: "cannot write" in (loop.problem() or ""))
    position = world.committed()
    assert position is not None
    assert position.offset == 0
    world.broker._partitions[f"{TOPIC}.dlq"] = 1
    until(lambda: world.committed() == Position(2))
    assert (world.table.rows, len(world.letters())) == (["a"], 1)


def test_nothing_is_read_before_the_table_exists(world: World) -> None:
    world.table.missing = True
    world.send("a")
    loop = world.start()
    until(lambda: loop.problem() == "no such table")
    assert world.committed() is None
    world.table.missing = False
    until(lambda: world.committed() == Position(1))


def test_a_partition_that_moves_to_another_member_keeps_its_rows_exact() -> None:
    world = World(partitions=4)
    for n in range(200):
        world.send(str(n), key=str(n % 16).encode())
    world.start()
    until(lambda: len(world.table.rows) > 0)
    world.start()
    for n in range(200, 400):
        world.send(str(n), key=str(n % 16).encode())
    until(lambda: len(set(world.table.rows)) == 400)
    world.stop()
    assert sorted(world.table.rows, key=int) == [str(n) for n in range(400)]
