"""The scripted model server: its default answers are usable, and it runs as its own process."""

import asyncio
import sys

import pytest

from app.brain.decide import decide, write_code
from app.brain.model import Context, End, WriteJob
from app.brain.openai import OpenAiModel
from app.problems import AiError
from tests.harness.model_server import CODE, ModelServer, truncate

pytestmark = pytest.mark.slow


async def test_its_default_answers_are_a_decision_and_code_that_can_be_played(
    model_server: ModelServer,
) -> None:
    model = OpenAiModel(api_key="key", base_url=model_server.url, model="any")
    context = Context(prompt="a title")
    job = WriteJob(instruction="a title", context=context)
    deltas: list[str] = []

    async def keep(text: str) -> None:
        deltas.append(text)

    async def restart() -> None:
        deltas.clear()

    decided = await decide(model, context)
    assert decided.decision.tool_name == "addScene"
    assert not decided.repaired
    written = await write_code(model, job, on_delta=keep, on_restart=restart)
    assert "".join(deltas) == written.code == CODE
    assert model_server.connections == 1
    model_server.script(truncate(200), truncate(200))
    with pytest.raises(AiError):
        await write_code(model, job, on_delta=keep, on_restart=restart)
    await model.close()


async def test_it_prints_its_url_and_answers() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.harness.model_server", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        model = OpenAiModel(api_key="key", base_url=url, model="any")
        pieces = [piece async for piece in model.decide(Context(prompt="a title"))]
        assert isinstance(pieces[-1], End)
        await model.close()
    finally:
        process.terminate()
        await process.wait()
