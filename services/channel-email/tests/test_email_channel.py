"""Email as the worker needs it: bodies, tracked links, and ways out."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_email.channel import EmailChannel
from channel_email.plain_text import text_template_of
from channel_email.tracked_html import track
from sluice_catalog.templating import MissingVariable, parse, render_values
from sluice_channel.channels import Envelope
from sluice_channel.provider import EmailMessage
from sluice_channel.tracking import LinkKind, Links, read_link
from sluice_contracts.messages.content import Sender
from sluice_contracts.vocabulary import Category, Channel

KEY = b"k" * 32
LINKS = Links("https://public.example", KEY)
REFERENCE = "reference"


def clicks(html: str) -> list[str]:
    """Where the tracked links of `html` lead."""
    tokens = re.findall(r'href="https://public\.example/c/([^"]+)"', html, re.IGNORECASE)
    return [read_link(unescape(token), LinkKind.CLICK, KEY).destination for token in tokens]


def email(category: Category = Category.MARKETING, sender: Sender | None = None, **content: str) -> EmailMessage:
    channel = EmailChannel(LINKS)
    rendered = channel.compile(content).render({"name": "Ann & Bob", "link": "https://example.com/?a=1&b=2"})
    message = channel.address_to(rendered, Envelope(REFERENCE, category, sender or Sender()))
    assert isinstance(message, EmailMessage)
    return message


@pytest.mark.parametrize("address", ["ada@example.com", "a+b.c@sub.example.co"])
def test_addresses(address: str) -> None:
    assert EmailChannel(LINKS).is_address(address)


@pytest.mark.parametrize("address", ["ada", "a@b@c", "a b@example.com", "a@", "@b", "a\n@b", "+14155550123"])
def test_what_is_no_address(address: str) -> None:
    assert not EmailChannel(LINKS).is_address(address)


def test_values_are_escaped_in_html_alone() -> None:
    message = email(subject="Hi {{name}}", html="<p>{{name}}</p>", text="{{name}}")
    assert (message.subject, message.text) == ("Hi Ann & Bob", "Ann & Bob")
    assert message.html is not None
    assert "<p>Ann &amp; Bob</p>" in message.html


@pytest.mark.parametrize(
    "content",
    [
        {"subject": "Hi {{first_name}}", "html": "<p>{{what}} {{contact.last_name}}</p>"},
        {"subject": "Hi", "text": "{{first_name}} {{unsubscribe_url}}"},
        {"subject": "{{what}}", "html": "<p>{{first_name}}</p>", "text": "{{last_name}} {{unsubscribe_url}}"},
        {"subject": "{{first_name | upcase}}", "text": "{{last_name}}"},
    ],
)
def test_many_rendered_together_are_as_each_by_itself(content: dict[str, str]) -> None:
    compiled = EmailChannel(LINKS).compile(content)
    fields = {"first_name": ["Ann", None, "A&B"], "last_name": ["Lee", "Ray", None]}
    variables = {"what": "Half  price"}
    together = compiled.render_columns(fields, variables)
    for place in range(3):
        values = render_values({path: column[place] for path, column in fields.items()}, variables)
        try:
            alone = compiled.render(values)
        except MissingVariable:
            alone = None
        if together is not None:
            assert together[place] == alone
    assert (together is None) == ("|" in content["subject"])


@pytest.mark.parametrize("end", ["</body>", "</BODY >", ""])
def test_the_pixel_is_the_last_thing_in_the_last_body(end: str) -> None:
    html = track(f"<body>quoted: </body><body>\u0130{end}\n</html>", LINKS, REFERENCE)
    before, pixel, after = re.split(r"(<img [^>]*>)", html)
    assert pixel
    if end:
        assert (before, after) == ("<body>quoted: </body><body>\u0130", f"{end}\n</html>")
    else:
        assert (before, after) == ("<body>quoted: ", "</body><body>\u0130\n</html>")


def test_a_subject_is_one_line() -> None:
    assert email(subject="Hi\r\nBcc: x@example.com", text="x").subject == "Hi Bcc: x@example.com"


def test_web_links_are_tracked_and_numbered_and_the_pixel_is_last() -> None:
    message = email(
        subject="x",
        html="<html><body><a href='{{link}}'>1</a> <A class=x HREF=\"http://example.com/2\">2</A></body></html>",
    )
    assert message.html is not None
    assert clicks(message.html) == ["https://example.com/?a=1&b=2", "http://example.com/2"]
    assert re.search(r'<img src="https://public\.example/o/[^"]+\.gif"[^>]*></body></html>$', message.html)


@pytest.mark.parametrize(
    "link",
    [
        '<a href="mailto:a@example.com">x</a>',
        '<a href="tel:+1">x</a>',
        '<a href="#top">x</a>',
        '<a href="/relative">x</a>',
        '<a href="javascript:alert(1)">x</a>',
        '<a href="https://example.com/unsubscribe?x">x</a>',
        '<a data-notrack href="https://example.com">x</a>',
        '<a href="https://example.com" data-notrack>x</a>',
        '<link href="https://example.com/style.css">',
        "<a name=x>x</a>",
    ],
)
def test_other_links_stay_as_they_are(link: str) -> None:
    assert track(link, LINKS, REFERENCE).startswith(link)


def test_a_code_is_not_tracked_and_cannot_be_unsubscribed_from() -> None:
    html = '<a href="https://example.com/login?token=secret">Log in</a>'
    message = email(Category.AUTHENTICATION, subject="x", html=html)
    assert message.html == html
    assert not message.headers


@pytest.mark.parametrize("category", [Category.MARKETING, Category.UTILITY])
def test_what_is_not_essential_can_be_unsubscribed_from_with_one_click(category: Category) -> None:
    message = email(category, subject="x", html='<a href="{{unsubscribe_url}}">Leave</a>', text="{{unsubscribe_url}}")
    link = message.headers["List-Unsubscribe"].strip("<>")
    assert message.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert read_link(link.rpartition("/")[2], LinkKind.UNSUBSCRIBE, KEY).reference == REFERENCE
    assert message.text == link
    assert message.html is not None
    assert f'<a href="{link}">' in message.html


def test_the_sender_of_the_request_is_taken() -> None:
    message = email(subject="x", text="y", sender=Sender(from_email="a@b.test", from_name="A", reply_to="c@d.test"))
    assert (message.from_email, message.from_name, message.reply_to) == ("a@b.test", "A", "c@d.test")


def test_a_missing_plain_text_is_made_from_the_html() -> None:
    message = email(
        subject="x",
        html="<head><title>No</title><style>p{}</style></head><body><h1>Hi&nbsp;{{name}}</h1>\n<p>One<br>two "
        "<a href='{{link}}'>three</a></p><ul><li>a<li>b</ul><script>no()</script></body>",
    )
    assert message.text == "Hi\xa0Ann & Bob\n\nOne\ntwo three (https://example.com/?a=1&b=2)\n\n- a\n- b".replace(
        "\xa0", " "
    )


def test_tags_of_the_template_survive_in_the_plain_text() -> None:
    html = "<p>{% if name == 'a<b' %}{{ name | default: '>' }}{% endif %}</p>"
    assert text_template_of(html) == "{% if name == 'a<b' %}{{ name | default: '>' }}{% endif %}"


@given(st.text())
def test_tracking_never_fails_and_loses_no_text(html: str) -> None:
    tracked = track(html, LINKS, REFERENCE)
    assert len(tracked) > len(html)
    assert re.sub(r"<img src=.https://public\.example/o/[^>]*>", "", tracked) == html or clicks(tracked)


@given(st.text(alphabet="ab<>/{}%=\"' \n", max_size=60))
def test_any_html_has_a_plain_text(html: str) -> None:
    assert isinstance(text_template_of(html), str)


def test_the_channel_is_email() -> None:
    channel = EmailChannel(LINKS)
    assert channel.channel is Channel.EMAIL
    assert channel.segments(email(subject="x", text="y")) is None
    assert parse("x", escape_html=True).render({}) == "x"
