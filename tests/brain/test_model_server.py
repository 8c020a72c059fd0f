"""The model server also runs as a program of its own."""

import asyncio
import sys

from app.brain.model import Context, End
from app.brain.openai import OpenAiModel


async def test_it_prints_its_url_and_answers() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.model_server", "--port", "0"),
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
