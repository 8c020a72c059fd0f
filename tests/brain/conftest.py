"""A scripted model server, and models that use it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.brain.openai import CallLimits, OpenAiModel
from tests.brain.calls import FAST, SECRET, Make
from tests.harness.model_server import ModelServer


@pytest.fixture
async def model_server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def make(model_server: ModelServer) -> AsyncIterator[Make]:
    made: list[OpenAiModel] = []

    def build(limits: CallLimits = FAST, **more: Any) -> OpenAiModel:
        made.append(
            OpenAiModel(
                api_key=SECRET,
                base_url=model_server.url,
                model="test-model",
                limits=limits,
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
