"""What counts as personal data in a log, and what does not."""

from __future__ import annotations

import pytest

from chaos.leaks import Known, leaks

KNOWN = Known(
    phones=frozenset({"14152000001"}),
    mails=frozenset({"qz1@north.example.test"}),
    codes=frozenset({"907312345678"}),
    words=frozenset({"Quizzle", "sk_secret"}),
)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"event": "x.y", "to": "+14152000001"}', "a telephone number"),
        ("GET /api/v1/contacts?phone=14152000001 200", "a telephone number"),
        ("GET /?phone=%2B14152000001", "a telephone number"),
        ("DETAIL:  Key (address)=(qz1@north.example.test) already exists.", "an email address"),
        ("GET /?to=QZ1%40north.example.test", "an email address"),
        ("Your code is 907312345678", "a code"),
        ("hello Quizzle1 and others", "a name or a key"),
        ("X-Api-Key: sk_secret", "a name or a key"),
    ],
)
def test_a_line_that_shows_something_personal_is_named(line: str, kind: str) -> None:
    (found,) = leaks("ingest.log", ["nothing here", line], KNOWN)
    assert (found.file, found.line, found.kind) == ("ingest.log", 2, kind)


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "x.y", "to": "+14***01"}',
        "offset 14152000002",
        "1a14152000001",
        "01a1fe34-7bf8-70c9-afce-14152000001a",
        "q…1@north.example.test",
    ],
)
def test_a_masked_address_or_a_number_of_something_else_is_no_leak(line: str) -> None:
    assert not list(leaks("ingest.log", [line], KNOWN))


def test_the_finding_says_which_event_it_was_and_does_not_repeat_what_it_shows() -> None:
    (found,) = leaks("ingest.log", ['{"event": "contact.seen", "to": "+14152000001"}'], KNOWN)
    assert found.event == "contact.seen"
    assert "14152000001" not in repr(found)
