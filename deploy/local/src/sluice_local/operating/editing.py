"""`sluice dlq edit`: another value in place of a dead letter's own, for the next redrive."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Final

from sluice_contracts.topics import Topic
from sluice_local.operating import marks
from sluice_local.operating.dead_letters import noted_marks, shown_value
from sluice_local.operating.errors import OperatingError
from sluice_local.operating.installation import Installation
from sluice_local.operating.letters import Letter, letter_at
from sluice_local.operating.messages import NotAMessageError, message_of, source_of

_STANDARD_INPUT: Final = "-"


async def edit(installation: Installation, arguments: Namespace) -> int:
    """Take a new value from a file or the editor, and keep it if it is a message of the letter's own topic."""
    source = source_of(arguments.topic)
    noted = await noted_marks(installation)
    async with installation.broker() as broker:
        letter = await letter_at(broker, arguments.topic, arguments.place, noted)
    if arguments.discard:
        return await _discard(installation, letter)
    # No connection is kept open while somebody types.
    file = Path(arguments.value_file) if arguments.value_file else None
    text = _typed(letter) if file is None else _read(file)
    if file is None and text == _opened(letter):
        return _unchanged(letter)
    value = _accepted(source, letter, text, typed=file is None)
    if value == letter.value:
        return _unchanged(letter)
    async with installation.database(marks.SCHEMA) as connection:
        await marks.note_edit(connection, letter, value, installation.clock.now())
    print(f"{arguments.topic} {letter.place} is edited; `sluice dlq redrive {arguments.topic} {letter.place}` sends it")
    return 0


def _unchanged(letter: Letter) -> int:
    print(f"{letter.record.topic} {letter.place} is as it was: nothing changed")
    return 0


async def _discard(installation: Installation, letter: Letter) -> int:
    async with installation.database(marks.SCHEMA) as connection:
        if not await marks.discard_edit(connection, letter):
            raise OperatingError(f"{letter.record.topic} {letter.place} was not edited")
    print(f"the edit of {letter.record.topic} {letter.place} is discarded")
    return 0


def _accepted(source: Topic, letter: Letter, text: str, *, typed: bool) -> bytes:
    """Return `text` as the bytes of a value, which a consumer of `source` can read. Raises OperatingError."""
    try:
        message = message_of(source.name, text.encode(), letter.record.message_type)
    except NotAMessageError as error:
        kept = f"\n  what you typed is in {_keep(text)}: mend it and give it with --value-file" if typed else ""
        problems = "".join(f"\n  {problem}" for problem in error.problems)
        raise OperatingError(f"not accepted, it is not a message of {source.name}:{problems}{kept}") from error
    if message.key not in (None, letter.record.key):
        print(
            f"sluice: the letter's key is {_text(letter.record.key)} and that of this message {_text(message.key)}: "
            "it will not be in order with others of its key",
            file=sys.stderr,
        )
    return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")).encode()


def _read(file: Path) -> str:
    try:
        value = sys.stdin.buffer.read() if str(file) == _STANDARD_INPUT else file.read_bytes()
        return value.decode()
    except (OSError, UnicodeDecodeError) as error:
        what = "standard input" if str(file) == _STANDARD_INPUT else file
        raise OperatingError(f"{what} cannot be read: {error}") from error


def _typed(letter: Letter) -> str:
    """Let the operator change the value in an editor and return what was saved."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise OperatingError("set EDITOR to the editor to open, or give the new value with --value-file")
    file = Path(_keep(_opened(letter)))
    try:
        code = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode
        if code:
            raise OperatingError(f"{editor} ended with {code}: nothing changed")
        return _read(file)
    except (OSError, ValueError) as error:
        raise OperatingError(f"{editor} cannot be started: {error}") from error
    finally:
        file.unlink(missing_ok=True)


def _opened(letter: Letter) -> str:
    """Return the text that the editor opens with."""
    return shown_value(letter.value, unmasked=True) + "\n"


def _keep(text: str) -> str:
    """Write `text` to a file that only its owner can read; return its path."""
    descriptor, path = tempfile.mkstemp(prefix="sluice-letter-", suffix=".json")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path


def _text(key: bytes | None) -> str:
    return "none" if key is None else key.decode(errors="backslashreplace")
