"""What a request says about a person, on its way to the catalog."""

from __future__ import annotations

from pydantic import Field

from sluice_contracts.base import JsonObject, Part


class ContactProfile(Part):
    """A contact as somebody outside describes it; who `external_id` names is made where nobody is there yet.

    What is None was not said and stays as it is. `tags` are added, `attributes` merged. It never overwrites what was
    changed after the message that carries it was accepted. Addresses are as the caller wrote them. One that is
    `known_by_address` names its external id after its address: where nobody has that id, it is whoever has the phone
    number, or without a number the email.
    """

    external_id: str
    email: str | None = None
    phone_number: str | None = None
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    locale: str | None = None
    timezone: str | None = None
    tags: list[str] = Field(default_factory=list)
    attributes: JsonObject = Field(default_factory=dict)
    known_by_address: bool = False
