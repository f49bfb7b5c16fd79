"""What every message on a topic has in common, and how it becomes bytes.

Producers are strict and consumers lenient: the type checker refuses unknown fields where a model is built, and reading
ignores them, so that services of different ages can run together. Fields are only ever added, with a
default; a change of meaning is a new type with a new version suffix.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Self
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer


def _to_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a zone")
    return value.astimezone(UTC)


def format_instant(value: datetime) -> str:
    """Return `value` in UTC as ISO 8601 with milliseconds and `Z`, the form of every time that leaves Sluice."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Instant = Annotated[
    datetime,
    AfterValidator(_to_utc),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
]
"""A moment, in UTC; on the wire ISO 8601 with milliseconds and `Z`."""


class Part(BaseModel):
    """A piece of a message. Frozen; unknown fields are ignored when reading."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_enum_values=False, ser_json_inf_nan="null")

    _blank: ClassVar[dict[str, Any]]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Note what fields are when they are not given, in the order in which they are written."""
        cls._blank = {name: field.get_default(call_default_factory=True) for name, field in cls.model_fields.items()}

    @classmethod
    def plain(cls, **fields: Any) -> dict[str, Any]:
        """Return what a `cls(**fields)` is written as, for `Message.written`: nothing is checked and no part made."""
        return cls._blank | fields


class Message(Part):
    """A whole message; `TYPE` names it in the record's `ce_type` header and in its `type` field.

    `KEY` names the fields that are its key in Kafka; none: only whoever appends it can tell.
    """

    TYPE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> bytes | None:
        """The key under which it is appended: messages with one key stay in order. None where it cannot tell."""
        return ":".join([str(getattr(self, name)) for name in self.KEY]).encode() if self.KEY else None

    @classmethod
    def written(cls, **fields: Any) -> bytes:
        """Return what `cls(**fields).encode()` would, in a third of the time: nothing is checked and no message made.

        For what has been validated already; whoever calls it gives every field that has no default. A part that many
        messages have in common may be given as it is `fragment`ed, one of this message alone as it is `plain`.
        """
        try:
            return _dumped(cls._blank | fields)
        except TypeError:
            return cls(**{name: _whole(value) for name, value in fields.items()}).encode()

    @classmethod
    def form(cls, left_open: Collection[str], **fields: Any) -> Form:
        """Return what messages have in common that have these `fields`, and each its own for those `left_open`."""
        return Form({name: value for name, value in (cls._blank | fields).items() if name not in left_open})

    def encode(self) -> bytes:
        """Return the JSON bytes that go into the record's value."""
        try:
            return orjson.dumps(self.__dict__, default=_plain, option=_OPTIONS)
        except TypeError:
            # orjson knows neither integers beyond 64 bits nor half characters, which callers may have put into a
            # variable; it writes the same bytes as pydantic, in a fifth of the time where a message has many rows.
            return self.model_dump_json().encode()

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a record's value.

        Raises pydantic.ValidationError when it is not such a message.
        """
        return cls.model_validate_json(value)


class Form:
    """A message that is written but for some of its fields, for many that differ in nothing else.

    As with `Message.written` nothing is checked, and a part may be a fragment or plain. Raises TypeError for what
    orjson does not write: a whole number beyond 64 bits, half a character, a key that is no plain text.
    """

    __slots__ = ("_rest",)

    def __init__(self, common: Mapping[str, Any]) -> None:
        self._rest = b"," + _dumped(common)[1:]

    def filled(self, **fields: Any) -> bytes:
        """Return the bytes of the message with `fields`, those that were left open. They come first in it."""
        return _dumped(fields)[:-1] + self._rest


JsonObject = dict[str, Any]

_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS


def fragment(part: Part) -> orjson.Fragment:
    """Return `part` as `Message.written` takes it when it is not to be written anew each time."""
    return orjson.Fragment(orjson.dumps(part, default=_plain, option=_OPTIONS))


def _dumped(fields: Mapping[str, Any]) -> bytes:
    """Return `fields` as JSON. Keys must be plain text: to expect others takes orjson half as long again."""
    return orjson.dumps(fields, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _whole(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value)) if isinstance(value, orjson.Fragment) else value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    if hasattr(value, "__pydantic_fields_set__"):
        # A model; to ask which class it is of would take three times as long.
        return value.__dict__
    if isinstance(value, UUID):
        # One of a database driver's own: orjson writes only the library's.
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
