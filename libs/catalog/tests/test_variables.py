"""Which of a contact's values a template needs, and how they reach it."""

from __future__ import annotations

from uuid import UUID

import pytest

from sluice_catalog.models import Contact
from sluice_catalog.templating import contact_column, contact_paths, parse, render_values

ADA = Contact(
    id=UUID(int=1),
    workspace_id=UUID(int=2),
    external_id="user_123",
    status="active",
    email="ada@example.com",
    phone_number="+14155550123",
    country="US",
    locale="en-US",
    timezone=None,
    name="Ada L",
    first_name=None,
    last_name=None,
    tags=("vip",),
    attributes={"plan": "pro", "address": {"city": "London"}, "a.b": 1},
    opt_outs={},
)


@pytest.mark.parametrize(
    ("references", "given", "expected"),
    [
        ({"code"}, {}, []),
        ({"first_name", "email"}, {}, ["email", "first_name"]),
        ({"first_name"}, {"first_name": "x"}, []),
        ({"contact.first_name"}, {"contact": 1, "first_name": 1}, ["first_name"]),
        ({"contact_first_name", "contact_attributes.plan"}, {}, ["attributes.plan", "first_name"]),
        ({"contact_first_name"}, {"contact_first_name": 1}, []),
        ({"contact.attributes.address.city"}, {}, ["attributes.address"]),
        ({"contact.attributes", "contact.attributes.plan"}, {}, ["attributes"]),
        ({"contact.nothing", "contact_nothing", "country"}, {}, []),
    ],
)
def test_only_what_is_referred_to_travels(references: set[str], given: dict[str, object], expected: list[str]) -> None:
    assert contact_paths(references, given) == expected


def test_the_whole_contact_is_every_field() -> None:
    paths = contact_paths({"contact"}, {})
    assert {"attributes", "tags", "first_name", "country"} <= set(paths)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ name }} {{ contact.name }} {{ contact_name }}", "Ada L Ada L Ada L"),
        ("{{ contact.attributes.plan }} {{ contact_attributes.plan }}", "pro pro"),
        ("{{ contact.attributes.address.city }}", "London"),
        ("{{ contact.attributes['a.b'] }}", "1"),
        ("{{ contact.tags | join: ',' }}", "vip"),
        ("{{ greeting }} {{ locale }}", "Hello en-US"),
        ("{{ email }}", "given@example.com"),
        ("{{ contact.email }}", "ada@example.com"),
        ("{% for pair in contact.attributes %}{{ pair[0] }} {% endfor %}", "plan address a.b "),
        ("{% if contact.first_name %}x{% else %}y{% endif %}", "y"),
    ],
)
def test_values_travel_by_path_and_come_out_where_they_belong(source: str, expected: str) -> None:
    variables = {"greeting": "Hi", "email": "given@example.com"}
    channel_variables = {"greeting": "Hello"}
    template = parse(source, escape_html=False)
    paths = contact_paths(template.references, variables | channel_variables)
    fields = {path: contact_column([ADA], path)[0] for path in paths}
    assert template.render(render_values(fields, variables, channel_variables)) == expected


def test_a_path_that_leads_nowhere_is_none() -> None:
    assert contact_column([ADA, None], "attributes.nothing") == [None, None]
    assert contact_column([ADA], "nothing") == [None]
