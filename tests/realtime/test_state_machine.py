"""Random sequences of faults: each client's events are the log, its state is the snapshot."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.harness.redis import RedisServer
from tests.realtime.world import TRANSPORTS, World, three_servers

pytestmark = pytest.mark.one_delivery

MAX_CLIENTS = 8  # that follow at the same time
STEP_SECONDS = 60.0  # the longest that one step may take
SHORT = {"max_examples": 5, "stateful_step_count": 20}
LONG = {"max_examples": 25, "stateful_step_count": 50}  # ten minutes or so

which = st.integers(0, 1)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("size", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
async def test_every_client_is_in_sync_after_random_faults(
    database: str, redis_server: RedisServer, size: dict[str, int], request: pytest.FixtureRequest
) -> None:
    loop = asyncio.get_running_loop()
    number = int(request.config.getoption("--hypothesis-seed") or random.randrange(2**32))
    random.seed(number)
    async with three_servers(database, redis_server) as (one, two, mute):

        class Machine(Following):
            def wait(self, work: Coroutine[Any, Any, None]) -> None:
                asyncio.run_coroutine_threadsafe(work, loop).result(STEP_SECONDS)

            def make(self) -> World:
                return World([one, two], mute, redis_server)

        chosen = settings(
            **size,  # type: ignore[arg-type]
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        Following.steps = 0
        try:
            await asyncio.to_thread(
                run_state_machine_as_test, seed(number)(Machine), settings=chosen
            )
        except BaseException as error:
            error.add_note(f"again with --hypothesis-seed={number}")
            raise
        finally:
            print(f"--hypothesis-seed={number}: {Following.steps} steps")
            redis_server.start()


class Following(RuleBasedStateMachine):
    """Clients change and follow a project and are cut off; servers and Redis stop and start."""

    steps = 0  # in all examples

    def wait(self, work: Coroutine[Any, Any, None]) -> None:
        raise NotImplementedError

    def make(self) -> World:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.world = self.make()
        self.wait(self.world.open())

    @invariant()
    def count(self) -> None:
        Following.steps += 1

    @initialize()
    def join_all(self) -> None:
        self.change_role("editor")
        self.edit("add", 0)
        for transport in TRANSPORTS:
            self.join(transport, guest=True, from_zero=False)
            self.join(transport, guest=False, from_zero=transport == "sse")
        self.settle()

    @rule(
        what=st.sampled_from(["add", "add", "rename", "rename", "delete", "reorder", "retitle"]),
        number=st.integers(0, 10**6),
    )
    def edit(self, what: str, number: int) -> None:
        self.wait(self.world.edit(what, number))

    @rule(number=st.integers(0, 10**6))
    def edit_without_hint(self, number: int) -> None:
        self.wait(self.world.edit_without_hint(number))

    @rule(size=st.integers(2, 12))
    def burst(self, size: int) -> None:
        self.wait(self.world.burst(size))

    @precondition(lambda self: len(self.world.clients) < MAX_CLIENTS)
    @rule(transport=st.sampled_from(TRANSPORTS), guest=st.booleans(), from_zero=st.booleans())
    def join(self, transport: str, guest: bool, from_zero: bool) -> None:
        self.wait(self.world.join(transport, guest=guest, from_zero=from_zero))

    @precondition(lambda self: self.world.clients)
    @rule(number=st.integers(0, MAX_CLIENTS))
    def leave(self, number: int) -> None:
        clients = self.world.clients
        self.wait(clients.pop(number % len(clients)).close())

    @rule(server=which)
    def cut(self, server: int) -> None:
        self.wait(self._with(lambda: self.world.servers[server].network.reset()))

    @rule(server=which, size=st.integers(0, 4000))
    def cut_after(self, server: int, size: int) -> None:
        self.world.servers[server].network.cut_after = size

    @rule(server=which, delay=st.sampled_from([0.0, 0.01, 0.05]))
    def delay(self, server: int, delay: float) -> None:
        self.world.servers[server].network.delay = delay

    @rule(server=which)
    def restart(self, server: int) -> None:
        async def again() -> None:
            await self.world.servers[server].stop()
            await self.world.servers[server].start()

        self.wait(again())

    @precondition(lambda self: self.world.redis.running)
    @rule()
    def kill_subscribers(self) -> None:
        with self.world.redis.admin as admin:
            admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    @rule()
    def toggle_redis(self) -> None:
        if self.world.redis.running:
            self.world.redis.kill()
        else:
            self.world.redis.start()

    @rule(role=st.sampled_from([None, None, "viewer", "editor"]))
    def change_role(self, role: str | None) -> None:
        self.wait(self.world.set_role(role))

    @rule()
    def settle(self) -> None:
        self.wait(self.world.settle())

    def teardown(self) -> None:
        """At the end of each example: a change without a hint, a removed guest, and no Redis."""
        try:
            self.settle()
            self.edit_without_hint(0)
            self.settle()
            self.change_role(None)
            if self.world.redis.running:
                self.world.redis.kill()
            self.burst(3)
            self.settle()
        finally:
            self.world.redis.start()
            self.wait(self.world.close())

    async def _with(self, work: Any) -> None:
        work()
