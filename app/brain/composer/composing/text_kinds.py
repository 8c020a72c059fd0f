"""Planners for the kinds of scene that consist of text."""

import re

from app.brain.composer.composing.brief import NEON, Brief
from app.brain.composer.composing.plan import Plan, Values, size_of
from app.brain.composer.composing.typescript import component_name_of
from app.brain.composer.reading.colours import readable_on
from app.brain.composer.reading.items import read_items
from app.brain.composer.reading.wording import MASK, headline, shorten

MAX_BRAND_CHARACTERS = 60
MAX_BUTTON_CHARACTERS = 40
MAX_DETAIL_CHARACTERS = 120
MAX_INITIALS = 2

# A name and a role without quotes: "for Jane Doe, CEO".
_NAME_AND_ROLE = re.compile(
    r"\b(?:for|named|of|saying)\s+(?P<name>[^,;.\n]{1,60}),\s*(?P<role>[^,;.\n]{1,60})"
)
# What separates a name from a role in one text: "Jane Doe | CEO".
_ROLE_SEPARATOR = re.compile(r"\s*(?:,|\||\s[\u2014\u2013-]\s)\s*")
# A prompt that says what its list is about: "a list of our drinks".
_LIST_TOPIC = re.compile(r"^[^:\n]*?\b(?:about|for|of)\b")
_NUMBERED = re.compile(r"\b(?:steps?|numbered|top [0-9]+)\b")
# The author behind a quote: "by Steve Jobs", "— Ada"; up to four capitalised words.
_AUTHOR = re.compile(
    r"(?:\bby|\bfrom|\bauthor:?|[\u2014\u2013~]|\s-)\s*((?:[A-Z][\w.'-]{0,30}\s?){1,4})"
)
_BUTTON = re.compile(
    r"\b(subscribe|sign ?up|buy now|order now|download(?: now)?|learn more|get started"
    r"|join(?: us| now)?|shop now|try it(?: free)?|book now|follow us|contact us)\b"
)
_WEB_ADDRESS = re.compile(
    r"\b(?:https?://)?(?:www\.)?[a-z0-9][a-z0-9-]{0,60}\.[a-z]{2,12}(?:/[\w-]{0,40})?\b"
)


def plan_title(brief: Brief) -> Plan:
    title = brief.said or brief.topic("Hello")
    values: Values = {
        "TITLE": title,
        "SUBTITLE": brief.second_text,
        "NEON": bool(NEON.search(brief.plain)),
        "FONT_SIZE": size_of(brief, title, 0.11),
    }
    return Plan(values, component_name_of(title, "Title"))


def plan_lower_third(brief: Brief) -> Plan:
    name, role = brief.said or brief.topic("Your Name"), brief.second_text
    if not role and (parts := _ROLE_SEPARATOR.split(name, maxsplit=1))[1:]:
        name, role = parts[0] or name, parts[1]
    if not role and not brief.quotes and (found := _NAME_AND_ROLE.search(brief.plain)):
        name, role = (brief.text[slice(*found.span(part))].strip() for part in ("name", "role"))
    size = size_of(brief, name, 0.05, width=0.7, height=0.2)
    values: Values = {"NAME": name, "ROLE": role, "FONT_SIZE": size}
    return Plan(values, component_name_of(name, "LowerThird"))


def plan_list(brief: Brief) -> Plan:
    heading, items = read_items(brief.text)
    note = None
    if not items:
        items = ["First point", "Second point", "Third point"]
        note = "You named no items, so I put in placeholders: tell me what they should say."
    is_listing = ":" in brief.plain or len(items) > 1
    has_topic = _LIST_TOPIC.search(brief.plain) and not brief.quotes and (note or not is_listing)
    title = heading or (brief.topic("") if has_topic else "")
    height = 0.62 / (len(items) + 1)
    values: Values = {
        "TITLE": title,
        "ITEMS": items,
        "NUMBERED": bool(_NUMBERED.search(brief.plain)),
        "FONT_SIZE": min(size_of(brief, item, 0.05, width=0.66, height=height) for item in items),
    }
    return Plan(values, component_name_of(title or items[0], "List"), note)


def plan_quote(brief: Brief) -> Plan:
    quote, author = brief.said, brief.second_text
    if not author:
        found = _AUTHOR.search(brief.text[brief.plain.rfind(MASK) + 1 :])
        author = found[1].strip(" .") if found else ""
    quote = quote or brief.topic("Less is more")
    size = size_of(brief, quote, 0.06, width=0.78, height=0.42)
    values: Values = {"QUOTE": quote, "AUTHOR": author, "FONT_SIZE": size}
    return Plan(values, component_name_of(author or quote, "Quote"))


def plan_logo(brief: Brief) -> Plan:
    brand = shorten(brief.said or brief.topic("Your Brand"), MAX_BRAND_CHARACTERS)
    letters = "".join(word[0] for word in brand.split() if word[0].isalnum())
    values: Values = {
        "BRAND": brand,
        "MARK": letters[:MAX_INITIALS].upper() or brand[:1] or "\u2022",
        "TAGLINE": brief.second_text,
        "FONT_SIZE": size_of(brief, brand, 0.08, height=0.22),
    }
    return Plan(values, component_name_of(brand, "Logo"))


def plan_call_to_action(brief: Brief) -> Plan:
    order = _BUTTON.search(brief.plain)
    button = headline(order[1]) if order else "Get Started"
    heading = brief.said or brief.topic("Ready?")
    if len(brief.quotes) > 1:
        button = shorten(brief.quotes[1], MAX_BUTTON_CHARACTERS)
    address = _WEB_ADDRESS.search(brief.plain)
    detail = address[0] if address else ""
    if len(brief.quotes) > 2:
        detail = shorten(brief.quotes[2], MAX_DETAIL_CHARACTERS)
    values: Values = {
        "HEADLINE": heading,
        "BUTTON": button,
        "DETAIL": detail,
        "BUTTON_TEXT_COLOR": readable_on(brief.palette.accent),
        "FONT_SIZE": size_of(brief, heading, 0.085, height=0.4),
    }
    return Plan(values, component_name_of(heading, "CallToAction"))
