"""Splits a script of SQL into its statements, and each into code and literals."""

import re

import msgspec

TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<text> (?<!\w)[eE]'(?P<escaped>(?:\\.|''|[^'\\])*)' | '(?P<plain>(?:''|[^'])*)' )
    | (?P<name> "(?:""|[^"])*" )
    | (?P<body> (?<![\w$])\$(?P<tag>\w*)\$(?P<inner>.*?)\$(?P=tag)\$ )
    | (?P<end> ; )
    | (?P<code> . )
    """,
    re.DOTALL | re.VERBOSE,
)


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of a script.

    `sql` is as written. `code` is in lower case with single spaces, without comments, and with
    `''` for each literal. `texts` are the contents of the literals and of function bodies.
    """

    sql: str
    code: str
    texts: tuple[str, ...]


def split(script: str) -> list[Statement]:
    """Return the script's statements in order, without those of only space and comments."""
    found = []
    sql: list[str] = []
    code: list[str] = []
    texts: list[str] = []
    for token in TOKEN.finditer(script + ";"):
        match token.lastgroup:
            case "end":
                words = " ".join("".join(code).split())
                if words:
                    whole = "".join(sql).strip()
                    found.append(Statement(sql=whole, code=words, texts=tuple(texts)))
                sql, code, texts = [], [], []
                continue
            case "comment":
                code.append(" ")
            case "text" | "body":
                inner = token["escaped"] or token["plain"] or token["inner"] or ""
                code.append("''")
                texts.append(" ".join(re.sub(r"--[^\n]*|/\*.*?\*/", " ", inner).lower().split()))
            case "name":
                code.append(token[0])
            case _:
                code.append(token[0].lower())
        sql.append(token[0])
    return found
