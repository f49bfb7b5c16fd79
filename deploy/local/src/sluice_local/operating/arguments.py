"""The part of the command line that operators use."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sluice_local.durations import parse_duration
from sluice_local.operating.letters import Place


def add_operating(commands: Any, shared: ArgumentParser) -> None:
    """Add the operators' tools to the commands of `sluice`; `shared` has the options that all have."""
    _add_dead_letters(commands.add_parser("dlq", help="look into dead letters, mend them, send them back"), shared)
    replay = commands.add_parser("replay", parents=[shared], help="do again what was not done of a trigger")
    replay.add_argument("trigger_id", type=_trigger_id)
    replay.add_argument(
        "--older-than",
        type=_checked(parse_duration),
        default=timedelta(seconds=60),
        metavar="DURATION",
        help="only commands that are unanswered for so long (60s)",
    )
    audit = commands.add_parser("audit", parents=[shared], help="count jobs anew and compare with what is shown")
    what = audit.add_mutually_exclusive_group(required=True)
    what.add_argument("trigger_id", type=_trigger_id, nargs="?")
    what.add_argument("--all", action="store_true", help="every trigger")
    doctor = commands.add_parser("doctor", parents=[shared], help="say what is behind, what is stuck, and why")
    doctor.add_argument(
        "--service",
        type=_checked(_named_url),
        action="append",
        metavar="NAME=URL",
        help="a service of clusters of your own, to be asked whether it is ready; may be given several times",
    )


def _add_dead_letters(dlq: ArgumentParser, shared: ArgumentParser) -> None:
    actions = dlq.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", parents=[shared], help="say how many there are, since when, and why")
    show = actions.add_parser("show", parents=[shared], help="print one, readable")
    _add_letter(show)
    show.add_argument("--unmasked", action="store_true", help="with addresses and names")
    edit = actions.add_parser("edit", parents=[shared], help="give one another value, for the next redrive")
    _add_letter(edit)
    how = edit.add_mutually_exclusive_group()
    how.add_argument("--value-file", metavar="FILE", help="the new value, - for standard input; else EDITOR is opened")
    how.add_argument("--discard", action="store_true", help="forget the edit")
    redrive = actions.add_parser("redrive", parents=[shared], help="send them back to their own topic")
    redrive.add_argument("topic", metavar="TOPIC")
    which = redrive.add_mutually_exclusive_group()
    which.add_argument("places", metavar="PARTITION:OFFSET", type=_checked(Place.parse), nargs="*", default=[])
    which.add_argument("--all", action="store_true", help="all that were not redriven yet")
    which.add_argument("--reason", metavar="TEXT", help="those whose reason holds this text")
    redrive.add_argument("--again", action="store_true", help="also those that were redriven before")


def _add_letter(command: ArgumentParser) -> None:
    command.add_argument("topic", metavar="TOPIC")
    command.add_argument("place", metavar="PARTITION:OFFSET", type=_checked(Place.parse))


def _trigger_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not the id of a trigger") from None


def _named_url(text: str) -> tuple[str, str]:
    name, _, url = text.partition("=")
    if not name or urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"{text!r} is not of the form NAME=http://host:port")
    return name, url


def _checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return checked
