"""What the brain's tests share: a scripted model server, and models that speak with it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.brain.openai import OpenAiModel, Timeouts
from tests.brain.calls import FAST, SECRET, Make
from tests.model_server import ModelServer


@pytest.fixture
async def model_server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def make(model_server: ModelServer) -> AsyncIterator[Make]:
    made: list[OpenAiModel] = []

    def build(timeouts: Timeouts = FAST, **more: Any) -> OpenAiModel:
        made.append(
            OpenAiModel(
                api_key=SECRET,
                base_url=model_server.url,
                model="test-model",
                timeouts=timeouts,
                **more,
            )
        )
        return made[-1]

    yield build
    for model in made:
        await model.close()


@pytest.fixture
def model(make: Make) -> OpenAiModel:
    return make()
