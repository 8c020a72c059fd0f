"""Scenes that live of their words."""

import re

from app.brain.composer.brief import NEON, Brief
from app.brain.composer.colours import readable_on
from app.brain.composer.items import read_items
from app.brain.composer.plan import Plan, Values, second_text, size_of
from app.brain.composer.source import component_of
from app.brain.composer.wording import MASK, headline, shorten

_NAME_AND_ROLE = re.compile(
    r"\b(?:for|named|of|saying)\s+(?P<name>[^,;.\n]{1,60}),\s*(?P<role>[^,;.\n]{1,60})"
)
_ADDRESS = re.compile(
    r"\b(?:https?://)?(?:www\.)?[a-z0-9][a-z0-9-]{0,60}\.[a-z]{2,12}(?:/[\w-]{0,40})?\b"
)


def plan_title(brief: Brief) -> Plan:
    title = brief.said or brief.topic("Hello")
    values: Values = {
        "TITLE": title,
        "SUBTITLE": second_text(brief),
        "NEON": bool(NEON.search(brief.plain)),
        "FONT_SIZE": size_of(brief, title, 0.11),
    }
    return Plan(values, component_of(title, "Title"))


def plan_lower_third(brief: Brief) -> Plan:
    name, role = brief.said or brief.topic("Your Name"), second_text(brief)
    if (
        not role
        and (parts := re.split(r"\s*(?:,|\||\s[\u2014\u2013-]\s)\s*", name, maxsplit=1))[1:]
    ):
        name, role = parts[0] or name, parts[1]
    if not role and not brief.quotes and (found := _NAME_AND_ROLE.search(brief.plain)):
        name, role = (brief.text[slice(*found.span(part))].strip() for part in ("name", "role"))
    size = size_of(brief, name, 0.05, width=0.7, tall=0.2)
    return Plan({"NAME": name, "ROLE": role, "FONT_SIZE": size}, component_of(name, "LowerThird"))


def plan_list(brief: Brief) -> Plan:
    heading, items = read_items(brief.text)
    note = None
    if not items:
        items = ["First point", "Second point", "Third point"]
        note = "You named no items, so I put in placeholders: tell me what they should say."
    about = re.search(r"^[^:\n]*?\b(?:about|for|of)\b", brief.plain)
    listed = ":" in brief.plain or len(items) > 1
    named = brief.topic("") if about and not brief.quotes and (note or not listed) else ""
    title = heading or named
    box = 0.62 / (len(items) + 1)
    size = min(size_of(brief, item, 0.05, width=0.66, tall=box) for item in items)
    numbered = bool(re.search(r"\b(?:steps?|numbered|top [0-9]+)\b", brief.plain))
    values = {"TITLE": title, "ITEMS": items, "NUMBERED": numbered, "FONT_SIZE": size}
    return Plan(values, component_of(title or items[0], "List"), note)


def plan_quote(brief: Brief) -> Plan:
    quote, author = brief.said, second_text(brief)
    if not author:
        text = brief.text[brief.plain.rfind(MASK) + 1 :]
        found = re.search(
            r"(?:\bby|\bfrom|\bauthor:?|[\u2014\u2013~]|\s-)\s*((?:[A-Z][\w.'-]{0,30}\s?){1,4})",
            text,
        )
        author = found[1].strip(" .") if found else ""
    quote = quote or brief.topic("Less is more")
    size = size_of(brief, quote, 0.06, width=0.78, tall=0.42)
    values: Values = {"QUOTE": quote, "AUTHOR": author, "FONT_SIZE": size}
    return Plan(values, component_of(author or quote, "Quote"))


def plan_logo(brief: Brief) -> Plan:
    brand = shorten(brief.said or brief.topic("Your Brand"), 60)
    initials = "".join(word[0] for word in brand.split() if word[0].isalnum())[:2].upper()
    values: Values = {
        "BRAND": brand,
        "MARK": initials or brand[:1] or "\u2022",
        "TAGLINE": second_text(brief),
        "FONT_SIZE": size_of(brief, brand, 0.08, tall=0.22),
    }
    return Plan(values, component_of(brand, "Logo"))


def plan_call_to_action(brief: Brief) -> Plan:
    words = re.search(
        r"\b(subscribe|sign ?up|buy now|order now|download(?: now)?|learn more|get started"
        r"|join(?: us| now)?|shop now|try it(?: free)?|book now|follow us|contact us)\b",
        brief.plain,
    )
    button = headline(words[1]) if words else "Get Started"
    heading = brief.said or brief.topic("Ready?")
    if len(brief.quotes) > 1:
        button = shorten(brief.quotes[1], 40)
    found = re.search(
        r"\b(?:https?://)?(?:www\.)?[a-z0-9][a-z0-9-]{0,60}\.[a-z]{2,12}(?:/[\w-]{0,40})?\b",
        brief.plain,
    )
    values: Values = {
        "HEADLINE": heading,
        "BUTTON": button,
        "DETAIL": shorten(brief.quotes[2], 120)
        if len(brief.quotes) > 2
        else (found[0] if found else ""),
        "BUTTON_TEXT_COLOR": readable_on(brief.palette.accent),
        "FONT_SIZE": size_of(brief, heading, 0.085, tall=0.4),
    }
    return Plan(values, component_of(heading, "CallToAction"))
