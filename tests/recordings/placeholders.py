"""Placeholders for what differs from run to run: ids, times, durations, epochs, secrets, ports."""

import re

_ID = re.compile(
    r"\b(?!0{8}-)[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b"
)
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?(?=Z|\+)")
_NUMBERS = re.compile(
    r'("(?:timestamp|executionTimeMs|milliseconds|generationTimeMs|durationMs)": ?)\d+\b'
)
_LIST_CURSOR = re.compile(r'(?:(?<=cursor=)|(?<=Cursor":"))\d{16}(?=\.)')
_PORT = re.compile(r"(?:127\.0\.0\.1|localhost):\d+")
_HERD = re.compile(r"(?<=: come again\nretry: )[1-5]\d{3}\b")
_EPOCH = re.compile(r'(?:"epoch": ?"|"cursor": ?"|\bid: |\betag: ")([0-9a-f]{8})(?=["\.])')
_SECRET = re.compile(
    r'(?:"token":"|/invites/|/login/|reelroom_session=)((?:rr_)?[\w-]{43})(?![\w-])'
)


class Placeholders:
    """Replaces what varies by placeholders; ids, epochs and secrets are numbered as they appear."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def name(self, value: str, kind: str) -> str:
        """Return the placeholder of a value, a new one when the value appears first."""
        if value not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[value] = f"<{kind} {self._counts[kind]}>"
        return self._names[value]

    def learn(self, text: str) -> None:
        """Number the epochs and secrets of a text: only what is around them shows what they are."""
        for pattern, kind in ((_EPOCH, "epoch"), (_SECRET, "secret")):
            for found in pattern.finditer(text):
                self.name(found[1], kind)

    def replace(self, text: str) -> str:
        """Return the text with placeholders for everything that varies."""
        self.learn(text)
        text = _ID.sub(self._id, text)
        for value, name in self._names.items():
            if name.startswith(("<epoch", "<secret")) and value in text:
                text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", name, text)
        text = _TIME.sub("<time>", text)
        text = _NUMBERS.sub(r'\1"<ms>"', text)
        text = _LIST_CURSOR.sub("<microseconds>", text)
        text = _HERD.sub("<1000 to 5999>", text)
        return _PORT.sub(lambda found: found[0].partition(":")[0] + ":<port>", text)

    def _id(self, found: re.Match[str]) -> str:
        """Return the placeholder of a UUID; it shows the version unless that is 7."""
        return self.name(found[0], "id" if found[1] == "7" else f"id of version {found[1]}")
