"""The people of a run: each with a telephone, a mailbox and a name unlike anything else in a log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

_FIRST_NUMBER: Final = 2_000_000
_NUMBERS_A_WORKSPACE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Person:
    """One contact."""

    external_id: str
    phone: str
    email: str
    name: str
    tags: tuple[str, ...]

    def address(self, channel: str) -> str:
        """Return where a message on `channel` goes."""
        return self.email if channel == "email" else self.phone

    def contact(self) -> dict[str, Any]:
        """Return the body that creates the contact."""
        return {
            "external_id": self.external_id,
            "phone_number": self.phone,
            "email": self.email,
            "name": self.name,
            "first_name": self.name.partition(" ")[0],
            "tags": list(self.tags),
        }


@dataclass(slots=True)
class Population:
    """Everybody in one workspace: an audience under the tag `everyone`, and `regulars` in small groups.

    Two of the regulars are in no group, nor is the `stubborn` one, who is not a regular.
    """

    stubborn: Person
    people: list[Person] = field(default_factory=list)
    regulars: list[Person] = field(default_factory=list)
    groups: dict[str, list[Person]] = field(default_factory=dict)

    @property
    def grouped(self) -> list[Person]:
        """Everybody in a group."""
        return [person for group in self.groups.values() for person in group]


GROUP_SIZE: Final = 10
FLAKY: Final = {"sms": "+15005550003", "email": "flaky@sandbox.test"}
STUBBORN: Final = {"sms": "+14155550166", "email": "stubborn@sandbox.test"}
"""Whom the carrier cannot reach the first time that a trigger tries, and reaches the second time."""

THROTTLED: Final = {"sms": "+15005550004", "email": "throttled@sandbox.test"}


def populate(workspace: str, number: int, audience: int, regulars: int) -> Population:
    """Return the people of workspace `number`: `audience` in one big tag, and `regulars`, ten to a group."""
    flaky, throttled, stubborn = (
        Person(f"{workspace}-{nickname}", magic["sms"], magic["email"], f"Quizzle{nickname} Zyxwell", ())
        for nickname, magic in (("flaky", FLAKY), ("throttled", THROTTLED), ("stubborn", STUBBORN))
    )
    population = Population(stubborn)
    first = _FIRST_NUMBER + number * _NUMBERS_A_WORKSPACE
    for place in range(audience + regulars):
        is_regular = place >= audience
        tags = ("everyone",) if not is_regular else (f"group-{(place - audience) // GROUP_SIZE}",)
        mark = f"{number}{place:06x}"
        person = Person(
            f"{workspace}-{place}",
            f"+1415{first + place}",
            f"qz{mark}@{workspace}.example.test",
            f"Quizzle{mark} Zyxwell{mark}",
            tags,
        )
        population.people.append(person)
        if is_regular:
            population.regulars.append(person)
            population.groups.setdefault(tags[0], []).append(person)
    population.people += [flaky, throttled, stubborn]
    population.regulars += [flaky, throttled]
    return population
