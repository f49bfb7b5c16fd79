from __future__ import annotations

import json
import logging as stdlib
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from sluice_runtime import logging, tracing


@pytest.fixture(autouse=True)
def _untouched_logging() -> Iterator[None]:
    root = stdlib.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    stdlib.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def configure(*, format: str = "json", level: str = "info") -> Any:  # noqa: A002 - the setting's name
    logging.configure("ingest", format, level)
    structlog.configure(cache_logger_on_first_use=False)
    return structlog.get_logger()


def test_a_line_says_when_what_who_and_with_which_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure().info("trigger.accepted", count=3)
    (line,) = lines(capsys)
    assert list(line)[:4] == ["timestamp", "level", "service", "event"]
    assert line["timestamp"].endswith("Z")
    assert {**line, "timestamp": None} == {
        "timestamp": None,
        "level": "info",
        "service": "ingest",
        "event": "trigger.accepted",
        "count": 3,
    }


def test_a_line_carries_the_bound_context_the_request_and_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    log = configure()
    parent = tracing.extract({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    token = logging.CURRENT_REQUEST.set("r1")
    try:
        with structlog.contextvars.bound_contextvars(trigger_id="t1"), tracing.attached(parent):
            log.info("thing.happened")
    finally:
        logging.CURRENT_REQUEST.reset(token)
    (line,) = lines(capsys)
    assert (line["trigger_id"], line["request_id"]) == ("t1", "r1")
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert line["span_id"] == "b7ad6b7169203331"


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log = configure(level="warning")
    log.info("thing.happened")
    stdlib.getLogger("library").info("chatter")
    log.warning("thing.failed")
    assert [line["event"] for line in lines(capsys)] == ["thing.failed"]


def test_a_librarys_record_looks_like_ours_and_is_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    stdlib.getLogger("asyncpg").warning("no mailbox %s", "ada@example.com", extra={})
    (line,) = lines(capsys)
    assert line["event"] == "no mailbox a***@example.com"
    assert (line["logger"], line["level"], line["service"]) == ("asyncpg", "warning", "ingest")


def test_an_exception_is_one_field_with_its_addresses_masked(capsys: pytest.CaptureFixture[str]) -> None:
    log = configure()
    try:
        int("+14155550123 already exists")
    except ValueError:
        log.exception("thing.failed")
    (line,) = lines(capsys)
    assert "Traceback" in line["exception"]
    assert "+14155550123" not in line["exception"]


def test_secrets_never_reach_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    configure().info("thing.happened", token="t0psecret", variables={"code": "4711"}, to="ada@example.com")
    output = capsys.readouterr().out
    for hidden in ("t0psecret", "4711", "ada@"):
        assert hidden not in output


def test_values_of_any_type_can_be_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure().info("thing.happened", key=b"\xff", big=2**80, odd={1: object}, lone="\ud800")
    (line,) = lines(capsys)
    assert line["event"] == "thing.happened"


def test_the_noise_of_libraries_is_turned_down(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    stdlib.getLogger("aiokafka.consumer").info("Updating subscribed topics")
    assert lines(capsys) == []


def test_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        stdlib.captureWarnings(capture=True)
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
        stdlib.captureWarnings(capture=False)
    (line,) = lines(capsys)
    assert "old way" in line["event"]


def test_on_a_console_a_line_is_short_and_an_exception_follows_below(capsys: pytest.CaptureFixture[str]) -> None:
    log = configure(format="console")
    try:
        int("no")
    except ValueError:
        log.exception("thing.failed", count=3)
    head, *rest = capsys.readouterr().out.splitlines()
    assert head.split()[1:] == ["error", "ingest", "thing.failed", "count=3"]
    assert rest[0].startswith("Traceback")
