"""The condition library: what conditions may use, each with its types and an example that is true of the sample.

Conditions are CEL (https://cel.dev). A comparison of values of different types, and a field that is not there, cannot
be decided and count as no match; `has(…)` asks first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["field", "operator", "function", "macro"]

SAMPLE: Final[dict[str, dict[str, Any]]] = {
    "contact": {
        "external_id": "user_123",
        "status": "active",
        "email": "ada@example.com",
        "phone_number": "+14155550123",
        "country": "US",
        "locale": "en-US",
        "timezone": "America/New_York",
        "name": "Ada L",
        "first_name": "Ada",
        "last_name": None,
        "tags": ["vip", "beta"],
        "attributes": {"plan": "pro", "seats": 3, "trial_ends": "2026-03-10T00:00:00Z"},
        "opt_outs": {"sms": ["marketing"]},
    },
    "event": {
        "id": "0199a7c0-9000-7000-8000-000000000001",
        "name": "order.paid",
        "data": {"total": 49.9, "coupon": None, "items": [{"sku": "A1", "price": 30.0}, {"sku": "B2", "price": 19.9}]},
        "occurred_at": "2026-03-02T09:00:00.000Z",
        "correlation_key": "o-77",
    },
    "variables": {"code": "1234", "amount": 12},
    "steps": {
        "welcome": {"state": "sent", "message": "delivered", "engagements": ["opened"]},
        "wait": {"outcome": "received", "data": {"order": "o-77"}},
    },
}
"""What the examples are evaluated with."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One thing that a condition may use. `example` is true of `SAMPLE`."""

    name: str
    kind: Kind
    type: str
    description: str
    example: str


def _field(name: str, kind: str, description: str, example: str) -> Expression:
    return Expression(name, "field", kind, description, example)


LIBRARY: Final = (
    _field("contact.external_id", "string", "The caller's own id of the contact.", "contact.external_id == 'user_123'"),
    _field("contact.status", "string", "active or inactive.", "contact.status == 'active'"),
    _field("contact.email", "string or null", "In lower case.", "contact.email.endsWith('@example.com')"),
    _field("contact.phone_number", "string or null", "E.164.", "contact.phone_number.startsWith('+1')"),
    _field(
        "contact.country", "string or null", "The phone number's, ISO 3166 alpha-2.", "contact.country in ['US', 'CA']"
    ),
    _field("contact.locale", "string or null", "BCP 47.", "contact.locale == 'en-US'"),
    _field("contact.timezone", "string or null", "IANA name.", "contact.timezone == 'America/New_York'"),
    _field("contact.name", "string or null", "The whole name.", "contact.name == 'Ada L'"),
    _field("contact.first_name", "string or null", "The first name.", "contact.first_name == 'Ada'"),
    _field("contact.last_name", "string or null", "The last name.", "contact.last_name == null"),
    _field("contact.tags", "list of string", "The contact's tags.", "'vip' in contact.tags"),
    _field(
        "contact.attributes", "map", "Whatever the caller keeps of the contact.", "contact.attributes.plan == 'pro'"
    ),
    _field(
        "contact.opt_outs",
        "map",
        'Categories by channel that the contact does not want; "*" is every one.',
        "'sms' in contact.opt_outs && 'marketing' in contact.opt_outs.sms",
    ),
    _field(
        "event.id", "string", "The event's id. Events are there in filters of trigger rules.", "size(event.id) == 36"
    ),
    _field("event.name", "string", "The event's name.", "event.name == 'order.paid'"),
    _field("event.data", "map", "What was sent with the event.", "event.data.total > 40.0"),
    _field(
        "event.occurred_at",
        "string",
        "When it happened, ISO 8601.",
        "timestamp(event.occurred_at) > timestamp('2026-03-01T00:00:00Z')",
    ),
    _field("event.correlation_key", "string or null", "What the event belongs to.", "event.correlation_key == 'o-77'"),
    _field("variables", "map", "The trigger's variables, in conditions of steps.", "variables.code == '1234'"),
    _field(
        "steps.<step_id>.state",
        "string",
        "How the contact's job of an earlier step stands: pending, held, queued, "
        "sending, sent, failed, filtered or cancelled.",
        "steps.welcome.state == 'sent'",
    ),
    _field(
        "steps.<step_id>.message",
        "string",
        'What became of the message of an earlier step, "" while there is none.',
        "steps.welcome.message in ['delivered', 'read']",
    ),
    _field(
        "steps.<step_id>.engagements",
        "list of string",
        "opened, clicked, replied, complained, unsubscribed.",
        "'opened' in steps.welcome.engagements",
    ),
    _field(
        "steps.<step_id>.outcome",
        "string",
        "How a wait for an event ended: received or timed_out.",
        "steps.wait.outcome == 'received'",
    ),
    _field(
        "steps.<step_id>.data", "map", "The data of the event that a wait received.", "steps.wait.data.order == 'o-77'"
    ),
    Expression(
        "==, !=", "operator", "any, any → bool", "The same, or not.", "variables.amount == 12 && variables.code != ''"
    ),
    Expression(
        "<, <=, >, >=",
        "operator",
        "number, number → bool; string, string → bool; timestamp, timestamp → bool",
        "Comparison.",
        "contact.attributes.seats >= 3 && 'a' < 'b'",
    ),
    Expression(
        "&&, ||, !", "operator", "bool, bool → bool", "And, or, not.", "!(contact.country == 'FR') && (true || false)"
    ),
    Expression(
        "+, -, *, /, %",
        "operator",
        "number, number → number; string + string → string; list + list → list",
        "Arithmetic; whole numbers divide to whole numbers.",
        "variables.amount + 1 == 13 && 7 % 2 == 1 && 'a' + 'b' == 'ab'",
    ),
    Expression(
        "? :",
        "operator",
        "bool, any, any → any",
        "One or the other.",
        "(contact.country == 'US' ? 'en' : 'fr') == 'en'",
    ),
    Expression(
        "in",
        "operator",
        "any, list → bool; string, map → bool",
        "Is in a list, or is a key of a map.",
        "'beta' in contact.tags && 'plan' in contact.attributes",
    ),
    Expression(
        "[ ]",
        "operator",
        "list, int → any; map, string → any",
        "An entry of a list, from 0, or of a map.",
        "contact.tags[0] == 'vip' && contact.attributes['plan'] == 'pro'",
    ),
    Expression(
        "has",
        "macro",
        "field → bool",
        "Whether a field is there.",
        "has(event.data.total) && !has(event.data.discount)",
    ),
    Expression(
        "all",
        "macro",
        "list, condition → bool",
        "Whether every entry meets a condition.",
        "event.data.items.all(item, item.price > 10.0)",
    ),
    Expression(
        "exists",
        "macro",
        "list, condition → bool",
        "Whether some entry does.",
        "event.data.items.exists(item, item.sku == 'A1')",
    ),
    Expression(
        "exists_one",
        "macro",
        "list, condition → bool",
        "Whether exactly one entry does.",
        "event.data.items.exists_one(item, item.price > 20.0)",
    ),
    Expression(
        "filter",
        "macro",
        "list, condition → list",
        "The entries that do.",
        "size(event.data.items.filter(item, item.price > 20.0)) == 1",
    ),
    Expression(
        "map",
        "macro",
        "list, expression → list",
        "Something of every entry.",
        "'B2' in event.data.items.map(item, item.sku)",
    ),
    Expression("size", "function", "string, list or map → int", "How long it is.", "size(contact.tags) == 2"),
    Expression(
        "contains",
        "function",
        "string.contains(string) → bool",
        "Whether a text is part of it.",
        "contact.email.contains('@')",
    ),
    Expression(
        "startsWith",
        "function",
        "string.startsWith(string) → bool",
        "How it begins.",
        "event.name.startsWith('order.')",
    ),
    Expression(
        "endsWith", "function", "string.endsWith(string) → bool", "How it ends.", "event.name.endsWith('.paid')"
    ),
    Expression(
        "matches",
        "function",
        "string.matches(string) → bool",
        "A regular expression (RE2) that matches some part.",
        "contact.phone_number.matches('^[+]1[0-9]{10}$')",
    ),
    Expression(
        "int",
        "function",
        "number, string or timestamp → int",
        "A whole number; of a timestamp its Unix seconds.",
        "int('42') == 42 && int(3.9) == 3",
    ),
    Expression("double", "function", "number or string → double", "A number with decimals.", "double('1.5') > 1.0"),
    Expression(
        "string", "function", "number, bool or timestamp → string", "As text.", "string(variables.amount) == '12'"
    ),
    Expression("bool", "function", "string → bool", "The text 'true' or 'false' as truth.", "bool('true')"),
    Expression("type", "function", "any → type", "What something is.", "type(variables.code) == string"),
    Expression(
        "timestamp",
        "function",
        "string → timestamp",
        "A moment from ISO 8601 text.",
        "timestamp(contact.attributes.trial_ends) > timestamp('2026-03-01T00:00:00Z')",
    ),
    Expression(
        "duration",
        "function",
        "string → duration",
        "A length of time, such as '90m' or '36h'.",
        "timestamp(event.occurred_at) + duration('24h') > timestamp('2026-03-02T10:00:00Z')",
    ),
    Expression(
        "getFullYear, getMonth, getDayOfMonth, getDayOfWeek, getHours, getMinutes",
        "function",
        "timestamp.getHours([zone]) → int",
        "Parts of a moment; months and days count from 0, Sunday is 0.",
        "timestamp(event.occurred_at).getHours('Europe/Paris') == 10",
    ),
)
"""Everything, in the order in which it is shown."""
