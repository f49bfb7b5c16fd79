"""A dead letter without a broker: where it came from, what became of it, what goes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sluice_contracts.vocabulary import JobState
from sluice_local.arguments import parser
from sluice_local.data import Connections, Credentials, DataDirectory
from sluice_local.operating.commands import run
from sluice_local.operating.dead_letters import Tally
from sluice_local.operating.doctor.services import open_circuits
from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import Installation
from sluice_local.operating.letters import Letter, Mark, Origin, Place
from sluice_local.operating.reporting_again import is_lost
from sluice_messaging.dead_letters import dead_letter
from sluice_messaging.errors import PoisonError
from sluice_messaging.records import Record

NOW = datetime(2026, 3, 3, 8, tzinfo=UTC)
DEAD = Record("deliveries", 3, 118, b"key", b"{", {"ce_type": "jobs.reported.v1", "traceparent": "00-1"}, 0)


def letter_about(record: Record, offset: int, reason: str = "broken at 7", group: str = "status") -> Record:
    """Return the record that a consumer leaves among the dead letters."""
    written = dead_letter(record, PoisonError(reason), attempts=1, group=group, now=NOW)
    return Record(written.topic, 0, offset, written.key, written.value, written.headers, 1_772_524_800_000 + offset)


def test_the_letters_of_two_groups_are_about_one_record() -> None:
    one, other = (Origin.of(letter_about(DEAD, offset, group=group)) for offset, group in ((0, "a"), (1, "b")))
    assert one == other == Origin("deliveries", Place(3, 118), one.fingerprint)
    anew = Record("deliveries", 3, 118, b"key", b"{}", {}, 0)
    assert Origin.of(letter_about(anew, 2)) != one


def test_a_letter_that_does_not_say_where_it_died_is_known_by_where_it_lies() -> None:
    stray = Record("deliveries.dlq", 0, 5, None, b"", {"x-original-topic": "deliveries", "x-original-offset": "x"}, 0)
    assert Origin.of(stray)[:2] == ("deliveries.dlq", Place(0, 5))


def test_what_goes_back_is_as_it_was_and_says_where_it_has_been() -> None:
    letter = Letter.of(letter_about(DEAD, 4), {})
    back = letter.redriven("deliveries", None)
    assert (back.topic, back.key, back.value) == ("deliveries", b"key", b"{")
    assert back.headers == {**DEAD.headers, "x-redriven-from": "deliveries.dlq 0:4"}
    again = Record("deliveries", 0, 9, back.key, back.value, back.headers, 0)
    once_more = Letter.of(letter_about(again, 6), {}).redriven("deliveries", "other.v1")
    assert once_more.headers == {"ce_type": "other.v1", "traceparent": "00-1", "x-redriven-from": "deliveries.dlq 0:6"}


def test_letters_are_counted_by_reason_whatever_numbers_stand_in_it() -> None:
    written = [letter_about(DEAD, 0), letter_about(Record("deliveries", 0, 1, b"k", b"[", {}, 0), 1, "broken at 9")]
    marks = {Origin.of(written[0]): Mark(redriven_at=NOW)}
    counted = Tally()
    for record in written:
        counted.add(Letter.of(record, marks))
    assert (counted.waiting, counted.redriven) == (1, 1)
    counted.add(Letter.of(written[0], {}))
    (reason,) = counted.reasons.values()
    assert (reason.letters, reason.first, reason.sentence) == (2, Place(0, 1), "PoisonError: broken at 9")


def test_a_reason_shows_nobodys_address() -> None:
    assert "ada@" not in Letter.of(letter_about(DEAD, 0, "no such mailbox: ada@example.com"), {}).reason


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "-1:2", "1:2:3", "a:b", "1:9999999999999999999"])
def test_a_place_reads_back_and_nothing_else_does(text: str) -> None:
    assert str(Place.parse("0:12")) == "0:12"
    with pytest.raises(ValueError, match="PARTITION:OFFSET"):
        Place.parse(text)


@pytest.mark.parametrize(
    ("recorded", "shown", "lost"),
    [
        (JobState.SENT, None, True),
        (JobState.SENT, JobState.HELD.rank, True),
        (JobState.SENT, JobState.FAILED.rank, True),
        (JobState.SENT, JobState.SENT.rank, False),
        (JobState.FAILED, JobState.SENT.rank, False),
        (JobState.FILTERED, JobState.PENDING.rank, True),
        (JobState.HELD, None, False),
        (JobState.SENDING, None, False),
    ],
)
def test_a_report_is_lost_when_what_is_shown_cannot_follow_it(
    recorded: JobState, shown: int | None, lost: bool
) -> None:
    assert is_lost(recorded, shown) is lost


def test_only_circuits_that_are_open_are_told() -> None:
    text = """# HELP sluice_circuit_open 1 while a provider refuses the account.
# TYPE sluice_circuit_open gauge
sluice_circuit_open{account="a",provider="twilio"} 0.0
sluice_circuit_open{account="b",provider="twilio"} 1.0
"""
    assert open_circuits(text) == [{"account": "b", "provider": "twilio"}]


def test_the_environment_names_clusters_of_ones_own_before_any_data_directory(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    data.write_connections(Connections("kafka:1", "postgresql://here"))
    data.write_credentials(Credentials("http://here", "key"))
    here = Installation.find(tmp_path, {})
    assert (here.kafka, here.api) == ("kafka:1", Credentials("http://here", "key"))
    own = {"SLUICE_KAFKA": "kafka:2", "SLUICE_POSTGRES": "postgresql://there"}
    there = Installation.find(tmp_path, own)
    assert (there.kafka, there.data, there.api) == ("kafka:2", None, None)
    api = {"SLUICE_PUBLIC_URL": "https://there", "SLUICE_API_KEY": "other"}
    assert Installation.find(tmp_path, own | api).api == Credentials("https://there", "other")
    assert Installation.find(tmp_path, api).api == Credentials("http://here", "other")
    with pytest.raises(OperatingError, match="SLUICE_KAFKA is not set"):
        Installation.find(tmp_path, {"SLUICE_POSTGRES": "postgresql://there"})


@pytest.mark.parametrize(
    ("kafka", "postgres", "said"),
    [
        (
            "127.0.0.1:port",
            "postgresql://127.0.0.1:1/x",
            "'127.0.0.1:port' in a Kafka address is not of the form host:port",
        ),
        ("127.0.0.1:1", "postgresql://me:secret@127.0.0.1:port/x", "address postgresql://me@127.0.0.1:port/x cannot"),
        ("127.0.0.1:1", "nonsense", "address nonsense cannot be used"),
    ],
)
async def test_an_address_that_cannot_be_used_is_named_without_its_password(
    kafka: str, postgres: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_KAFKA", kafka)
    monkeypatch.setenv("SLUICE_POSTGRES", postgres)
    assert await run(parser().parse_args(["dlq", "list"])) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "secret" not in printed


async def test_a_file_is_no_data_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert await run(parser().parse_args(["doctor", "--data", str(tmp_path / "file")])) == 2
    assert "there is no stack over" in capsys.readouterr().err


async def test_a_stack_of_somebody_elses_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(file: Path) -> str:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "read_text", forbidden)
    assert await run(parser().parse_args(["audit", "--all", "--data", str(tmp_path)])) == 2
    assert "run this as the same user" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay", "42"), "is not the id of a trigger"),
        (("audit",), "one of the arguments trigger_id --all is required"),
        (("audit", "--all", "01a1fe2e-f9a8-7d92-8b8d-5fcb10d220aa"), "not allowed"),
        (("dlq",), "ACTION"),
        (("dlq", "redrive", "deliveries.dlq", "0:1", "--all"), "not allowed"),
        (("dlq", "edit", "deliveries.dlq", "0:1", "--discard", "--value-file", "x"), "not allowed"),
        (("doctor", "--service", "ingest"), "NAME=http://host:port"),
        (("replay", "01a1fe2e-f9a8-7d92-8b8d-5fcb10d220aa", "--older-than", "long"), "is not a duration"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_words_that_make_sense_are_taken() -> None:
    redrive = parser().parse_args(["dlq", "redrive", "deliveries.dlq", "0:1", "0:2", "--again"])
    assert (redrive.places, redrive.again, redrive.all) == ([Place(0, 1), Place(0, 2)], True, False)
    every = parser().parse_args(["dlq", "redrive", "deliveries.dlq", "--all"])
    assert (every.places, every.all) == ([], True)
    replay = parser().parse_args(["replay", "01a1fe2e-f9a8-7d92-8b8d-5fcb10d220aa"])
    assert replay.older_than == timedelta(seconds=60)
    doctor = parser().parse_args(["doctor", "--service", "ingest=http://10.0.0.1:80"])
    assert doctor.service == [("ingest", "http://10.0.0.1:80")]
