"""Links that lead back to us cannot be made, bent or mistaken by anybody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_channel.tracking import ForgedTokenError, LinkKind, Links, TrackedLink, is_web_address, read_link, sign_link
from sluice_contracts.vocabulary import Channel

KEY = b"k" * 32
REFERENCE = "a" * 48
references = st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567", min_size=48, max_size=48)
destinations = st.builds(
    "https://example.com/{}".format, st.text(st.characters(min_codepoint=0x21, exclude_characters="\x7f"), max_size=60)
).filter(is_web_address)


@given(references, st.sampled_from(Channel), st.integers(0, 10_000), destinations)
def test_a_click_comes_back_as_it_was_signed(reference: str, channel: Channel, number: int, destination: str) -> None:
    link = TrackedLink(LinkKind.CLICK, channel, reference, number, destination)
    token = sign_link(link, KEY)
    assert read_link(token, LinkKind.CLICK, KEY) == link
    assert token.replace("-", "").replace("_", "").replace(".", "").isalnum()


def test_a_link_of_another_kind_or_key_is_refused() -> None:
    token = sign_link(TrackedLink(LinkKind.OPEN, Channel.EMAIL, REFERENCE), KEY)
    assert read_link(token, LinkKind.OPEN, KEY).reference == REFERENCE
    with pytest.raises(ForgedTokenError):
        read_link(token, LinkKind.UNSUBSCRIBE, KEY)
    with pytest.raises(ForgedTokenError):
        read_link(token, LinkKind.OPEN, b"o" * 32)


@given(st.integers(0, 10_000), st.characters(codec="ascii"))
def test_no_character_of_a_token_can_be_changed(place: int, character: str) -> None:
    token = sign_link(TrackedLink(LinkKind.CLICK, Channel.EMAIL, REFERENCE, 1, "https://example.com/a"), KEY)
    place %= len(token)
    changed = token[:place] + character + token[place + 1 :]
    if changed == token:
        return
    with pytest.raises(ForgedTokenError):
        read_link(changed, LinkKind.CLICK, KEY)


@given(st.text(max_size=200))
def test_no_text_whatever_is_taken_for_a_token(text: str) -> None:
    with pytest.raises(ForgedTokenError):
        read_link(text, LinkKind.OPEN, KEY)


@pytest.mark.parametrize(
    "destination",
    [
        "javascript:alert(1)",
        "mailto:a@b.c",
        "//example.com",
        "https://",
        "",
        "https://e.com/\r\nSet-Cookie: a",
        "http://[",
        "data:,",
    ],
)
def test_a_click_leads_to_the_web_alone(destination: str) -> None:
    with pytest.raises(ValueError, match="cannot lead"):
        sign_link(TrackedLink(LinkKind.CLICK, Channel.EMAIL, REFERENCE, 1, destination), KEY)


def test_links_have_the_addresses_of_their_doors() -> None:
    links = Links("https://t.example/", KEY)
    pixel = links.open_pixel(Channel.EMAIL, REFERENCE)
    assert pixel.startswith("https://t.example/o/")
    assert pixel.endswith(".gif")
    assert read_link(pixel.removeprefix("https://t.example/o/").removesuffix(".gif"), LinkKind.OPEN, KEY)
    click = links.click(Channel.EMAIL, REFERENCE, 3, "https://example.com/?a=b|c")
    assert read_link(click.removeprefix("https://t.example/c/"), LinkKind.CLICK, KEY).destination.endswith("b|c")
    stop = links.unsubscribe(Channel.EMAIL, REFERENCE)
    assert read_link(stop.removeprefix("https://t.example/u/"), LinkKind.UNSUBSCRIBE, KEY).channel is Channel.EMAIL
