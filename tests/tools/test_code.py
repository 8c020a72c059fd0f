"""Which scene code is refused, and the name and duration that code declares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scenes.model import MAX_CODE_CHARACTERS
from app.tools.code import component_name, duration_of, find_faults, title_of

GOOD = """import { AbsoluteFill, useCurrentFrame } from "remotion";

export default function HelloTitle() {
  const frame = useCurrentFrame();
  return <AbsoluteFill style={{ opacity: frame / 30 }}>rest of my life</AbsoluteFill>;
}
"""


def having(text: str, old: str = "  const frame") -> str:
    return GOOD.replace(old, text + "\n" + old, 1)


@pytest.mark.parametrize(
    "code",
    [
        GOOD,
        GOOD.replace("export default function", "export function"),
        GOOD.replace("export default function", "function") + "export default HelloTitle;",
        GOOD.replace("export default function", "function") + "export { HelloTitle };",
        GOOD.replace('"remotion"', "'remotion'"),
        "export default () => <div>this is long enough to be a scene</div>;",
        having("// keeps its position unchanged while the rest moves"),
        having('const quote = "... rest of code unchanged";'),
        having("const top = 3; const parent = { fetch: 1, eval: 2 }; parent.fetch;"),
        GOOD.replace("rest of my life", '{"\u2028 \U0001f600 fetch(1)"}'),
    ],
)
def test_playable_code_has_no_faults(code: str) -> None:
    assert find_faults(code) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("export default 1", "too short"),
        ("x" * (MAX_CODE_CHARACTERS + 1), "at most 200000"),
        (GOOD + "\0", "NUL"),
        (GOOD + '"\ud800"', "lone surrogate"),
        (GOOD[:-3], "not valid TSX"),
        (GOOD.replace("function HelloTitle", "function 1Hello"), "Line 3: this is not valid"),
        (GOOD.replace("</AbsoluteFill>", "</AbsoluteFil>"), "closes <AbsoluteFill>"),
        (GOOD.replace("export default ", ""), "No component is exported"),
        (GOOD.replace("export default function Hello", "export function hello"), "No component"),
        ("```tsx\n" + GOOD + "```", "No component"),
        (having("// ... existing code"), "Line 4: a placeholder"),
        (having("// \u2026 existing code \u2026"), "placeholder"),
        (having("/* rest of code unchanged */"), "placeholder"),
        (having("// Rest of the component stays the same"), "placeholder"),
        (having("// ...rest of the imports"), "placeholder"),
        (having("// the code remains unchanged"), "placeholder"),
        (having("// omitted for brevity"), "placeholder"),
        (GOOD.replace("rest of", "... rest of code unchanged"), "placeholder"),
        ('import x from "lodash";\n' + GOOD, "Line 1: only 'react' and 'remotion'"),
        ('import "https://x.org/a.js";\n' + GOOD, "only 'react'"),
        ('export * from "./other";\n' + GOOD, "only 'react'"),
        ('import fs = require("fs");\n' + GOOD, "only 'react'"),
        (having('fetch("/x");'), "Line 4: `fetch`"),
        (having('window.fetch("/x");'), "`window.fetch`"),
        (having('window["fetch"]("/x");'), "`window.fetch`"),
        (having("const x = { fetch };"), "`fetch`"),
        (having("new XMLHttpRequest();"), "`XMLHttpRequest`"),
        (having('new WebSocket("ws://x");'), "`WebSocket`"),
        (having('eval("1");'), "`eval`"),
        (having('new Function("return 1")();'), "`Function`"),
        (having('Function("return 1")();'), "`Function`"),
        (having('import("react");'), "`import()`"),
        (having('require("fs");'), "`require`"),
        (having("document.cookie;"), "`document.cookie`"),
        (having("localStorage.clear();"), "`localStorage`"),
        (having("window.localStorage.clear();"), "`window.localStorage`"),
        (having("window.parent.postMessage(1);"), "`window.parent`"),
    ],
)
def test_faults_are_named(code: str, expected: str) -> None:
    faults = find_faults(code)
    assert len(faults) == 1
    assert expected in faults[0]


def test_all_faults_of_one_code_are_listed_in_order() -> None:
    code = having('eval("1");\nfetch("2");') + "// ... existing code\n"
    assert [fault[:8] for fault in find_faults(code)] == ["Line 9: "]
    code = having('eval("1");\nfetch("2");')
    assert [fault[:7] for fault in find_faults(code)] == ["Line 4:", "Line 5:"]


@given(st.text(max_size=400))
def test_any_text_can_be_checked(code: str) -> None:
    assert all(find_faults(code))
    assert title_of(code)


@pytest.mark.parametrize(
    ("code", "name", "title"),
    [
        (GOOD, "HelloTitle", "Hello Title"),
        ("export default function Q1SalesChart() {}", "Q1SalesChart", "Q1 Sales Chart"),
        ("export default function NASALaunch() {}", "NASALaunch", "NASA Launch"),
        ("const Intro = () => null; export default Intro;", "Intro", "Intro"),
        ("export const Scene2 = () => null", "Scene2", "Scene2"),
        ("export const a = 1; export default function Main() {}", "Main", "Main"),
        ("function Deep() {} export { Deep as Other };", "Deep", "Deep"),
        ("export default () => null", None, "Scene"),
        ("nothing", None, "Scene"),
    ],
)
def test_names(code: str, name: str | None, title: str) -> None:
    assert component_name(code) == name
    assert title_of(code) == title


def test_the_duration_that_code_asks_for() -> None:
    assert duration_of("export const durationInFrames = 90;\n" + GOOD) == 90
    assert duration_of("export const durationInFrames = 90000;\n" + GOOD) is None
    assert duration_of(GOOD) is None
