"""The table of races and faults, each with the tests that cover it.

The races R01 to R36 are typical of servers of this kind. The faults F01 to F23 are those of the
process and Redis, F55 to F64 those of clients and of concurrent requests; other numbers are not
used. A test may have its number in its name. Every test that the tables name exists.
"""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent


class Case(NamedTuple):
    """A race or fault, its description, and the tests that cover it: `<file>::<function>`."""

    name: str
    sentence: str
    tests: list[str]


RACES = {
    "R01": Case(
        "snapshot then commit",
        "An event is committed after the snapshot was read and before the hub knows it: "
        "it follows the snapshot.",
        [
            "realtime/test_races_log.py::test_snapshot_then_commit",
        ],
    ),
    "R02": Case(
        "commit during snapshot",
        "Changes are committed while a snapshot is read: it shows the log up to its own revision.",
        [
            "chat/test_races.py::test_commit_during_snapshot",
        ],
    ),
    "R03": Case(
        "inverted publish",
        "The hint of a later commit arrives before that of an earlier one: the order "
        "stays that of the log.",
        [
            "realtime/test_races_log.py::test_inverted_publish",
        ],
    ),
    "R04": Case(
        "commit, no publish",
        "A process dies between its commit and its hint: every hub finds the event in the log.",
        [
            "realtime/test_races_log.py::test_commit_no_publish",
        ],
    ),
    "R05": Case(
        "publish, no commit",
        "A transaction rolls back: nothing of it is published.",
        [
            "realtime/test_database.py::test_publish_no_commit",
        ],
    ),
    "R06": Case(
        "sequence hole",
        "Writers commit in another order than they began, and some roll back: no reader "
        "passes over a revision.",
        [
            "realtime/test_races_log.py::test_sequence_hole",
        ],
    ),
    "R07": Case(
        "Redis kill",
        "Redis closes the subscriptions while events are published: none is lost.",
        [
            "realtime/test_redis.py::test_redis_kill",
        ],
    ),
    "R08": Case(
        "Redis black hole",
        "Packets to Redis vanish while the connection looks open: it is given up, and "
        "the log goes on.",
        [
            "realtime/test_races_redis.py::test_redis_blackhole",
        ],
    ),
    "R09": Case(
        "Redis restart, failover, output buffer kill",
        "Redis restarts, fails over, moves the slot of the bus, or ends a subscription "
        "whose buffer is full.",
        [
            "realtime/test_redis.py::test_redis_restart",
            "realtime/test_redis_kinds.py::test_a_replica_takes_over_when_the_node_of_the_bus_dies",
            "realtime/test_redis_kinds.py::test_the_bus_follows_its_slot_to_another_node",
            "realtime/test_redis.py::test_output_buffer_kill",
        ],
    ),
    "R10": Case(
        "subscribe, ack",
        "Events are published between the request for a subscription and its acknowledgement.",
        [
            "realtime/test_races_redis.py::test_subscribe_ack_race",
        ],
    ),
    "R11": Case(
        "last leave, first join",
        "The last subscriber of a project leaves while another one joins.",
        [
            "realtime/test_redis.py::test_last_leave_first_join",
            "realtime/test_races_redis.py::test_last_leave_first_join_while_unsubscribing",
            "realtime/test_races_redis.py::test_subscriptions_change_while_redis_closes_the_connection",
        ],
    ),
    "R12": Case(
        "ring, PostgreSQL seam",
        "The ring drops the events that the replay from PostgreSQL is about to reach.",
        [
            "realtime/test_cursors.py::test_ring_pg_seam",
        ],
    ),
    "R13": Case(
        "catch-up slower than writes",
        "A replay reads more slowly than events are written: it ends with a snapshot.",
        [
            "realtime/test_races_readers.py::test_catch_up_slower_than_writes",
        ],
    ),
    "R14": Case(
        "duplicate delivery",
        "Every message arrives several times, and pages and ring overlap: each event is "
        "delivered once.",
        [
            "realtime/test_races_log.py::test_duplicate_delivery",
        ],
    ),
    "R15": Case(
        "Last-Event-ID and cursor",
        "A client sends a cursor as `Last-Event-ID` and another one as `after`, or one "
        "that can't be served.",
        [
            "realtime/test_cursors.py::test_last_event_id_vs_cursor",
            "realtime/test_cursors.py::test_last_event_id_that_cannot_be_served",
        ],
    ),
    "R16": Case(
        "epoch change",
        "A backup is restored, with a new epoch, while clients are connected or away.",
        [
            "realtime/test_cursors.py::test_epoch_change_while_connected",
            "realtime/test_races_readers.py::test_epoch_change_while_away",
        ],
    ),
    "R17": Case(
        "cursor older than retention, trimmed in mid-catch-up",
        "A cursor is older than the log, or the log is trimmed during a replay.",
        [
            "realtime/test_cursors.py::test_cursor_older_than_retention",
            "realtime/test_races_readers.py::test_retention_mid_catch_up",
        ],
    ),
    "R18": Case(
        "slow reader",
        "A client reads more slowly than events are published: it falls behind, and "
        "stalled it is disconnected.",
        [
            "realtime/test_endings.py::test_slow_reader",
            "realtime/test_sockets.py::test_slow_reader_of_a_socket",
            "realtime/test_delivery.py::test_a_stalled_reader_holds_less_than_256_kb_and_is_reset",
        ],
    ),
    "R19": Case(
        "cut at every byte",
        "A connection is cut after any byte: resuming gives exactly the rest.",
        [
            "realtime/test_races_readers.py::test_cut_at_every_byte",
        ],
    ),
    "R20": Case(
        "half open",
        "A client vanishes without closing its connection: it is given up, and the "
        "others see it leave.",
        [
            "realtime/test_races_vanished.py::test_half_open",
            "realtime/test_races_vanished.py::test_half_open_with_more_events_than_the_buffers_hold",
            "realtime/test_races_readers.py::test_half_open_socket_by_its_ping",
        ],
    ),
    "R21": Case(
        "SIGTERM and SIGKILL with N streams",
        "A server ends or is killed with many streams open: each client goes on elsewhere.",
        [
            "test_operation.py::test_a_shutdown_ends_all_streams_and_the_run_goes_on_after_the_next_start",
            "test_operation.py::test_two_workers_are_one_server",
            "chat/test_races.py::test_sigkill_with_n_streams",
        ],
    ),
    "R22": Case(
        "rolling deploy",
        "Two versions serve at once: clients of one go on at the other, with what they understand.",
        [
            "realtime/test_races_clients.py::test_rolling_deploy",
            "realtime/test_races_clients.py::test_rolling_deploy_negotiates_a_version_of_both_sides",
            "realtime/test_races_log.py::test_rolling_deploy_with_two_event_schema_versions",
        ],
    ),
    "R23": Case(
        "thundering herd",
        "All clients reconnect within a second: they cost one query for each cursor.",
        [
            "realtime/test_races_readers.py::test_thundering_herd",
        ],
    ),
    "R24": Case(
        "revoke race",
        "A member is removed while a stream, a poll or a replay of theirs is under way: "
        "nothing later reaches them.",
        [
            "realtime/test_rights.py::test_revoke_race",
            "realtime/test_rights.py::test_revoke_race_of_a_long_poll_in_flight",
            "realtime/test_races_readers.py::test_revoke_race_in_a_catch_up",
        ],
    ),
    "R25": Case(
        "token expiry in mid-stream",
        "A token or session expires during a stream: another one loses nothing, none "
        "ends the stream.",
        [
            "realtime/test_races_clients.py::test_token_expiry_mid_stream_with_a_new_token_loses_nothing",
            "realtime/test_races_clients.py::test_token_expiry_mid_stream_without_another_ends_it",
            "realtime/test_rights.py::test_token_expiry_mid_stream",
        ],
    ),
    "R26": Case(
        "deltas: join in mid-message, lost, after the end",
        "A subscriber joins in the middle of a text, misses a delta, or gets one after the end.",
        [
            "realtime/test_live.py::test_delta_join_mid_message",
            "realtime/test_live.py::test_lost_delta",
            "realtime/test_live.py::test_delta_after_completed_and_regenerate",
        ],
    ),
    "R27": Case(
        "regenerate, zombie worker",
        "A worker that lost its lease goes on writing: nothing of it is stored or delivered.",
        [
            "realtime/test_redis.py::test_zombie_worker",
            "chat/test_processes.py::test_a_worker_without_its_lease_commits_nothing",
        ],
    ),
    "R28": Case(
        "link atomicity",
        "A scene, its iteration and the message that caused it are seen together or not at all.",
        [
            "chat/test_races.py::test_link_atomicity",
        ],
    ),
    "R29": Case(
        "read your writes",
        "After an answer to a change the next read has that change.",
        [
            "chat/test_races.py::test_read_your_writes",
        ],
    ),
    "R30": Case(
        "two tabs, leader dies; seven tabs",
        "The tab that shares its stream closes, and seven tabs are open over HTTP/1.1.",
        [
            "web/test_races_browser.py::test_two_tabs_leader_dies_and_seven_tabs_over_http_1",
        ],
    ),
    "R31": Case(
        "proxy buffering",
        "A proxy holds answers back: another transport is used.",
        [
            "web/test_races_browser.py::test_proxy_buffering",
            "realtime/test_races_clients.py::test_proxy_buffering",
        ],
    ),
    "R32": Case(
        "frozen tab, sleep, bfcache, clock jump",
        "A tab freezes, a machine sleeps, a page comes out of the back-forward cache, or "
        "the clock jumps.",
        [
            "web/test_races_browser.py::test_frozen_tab",
            "web/test_races_browser.py::test_sleep_of_ten_minutes",
            "web/test_races_browser.py::test_bfcache",
            "web/test_races_browser.py::test_clock_jump",
        ],
    ),
    "R33": Case(
        "replica lag",
        "Reads come from a replica that is behind: no client goes back or skips a revision.",
        [
            "realtime/test_races_replica.py::test_replica_lag",
            "realtime/test_races_replica.py::test_replica_lag_behind_the_cursor_of_a_client",
            "realtime/test_races_replica.py::test_replica_lag_while_subscribers_join_and_leave",
        ],
    ),
    "R34": Case(
        "deadlock",
        "Two transactions lock two projects in opposite order: one is tried again, "
        "nothing is lost.",
        [
            "realtime/test_races_log.py::test_deadlock",
        ],
    ),
    "R35": Case(
        "hub callback exception, poison event",
        "A callback of a hub raises, or a message can't be decoded: all others go on.",
        [
            "realtime/test_races_redis.py::test_hub_callback_exception",
            "realtime/test_races_redis.py::test_heartbeats_go_on_when_the_bus_raises",
            "realtime/test_redis.py::test_poison_event",
        ],
    ),
    "R36": Case(
        "transport equivalence",
        "Every transport delivers the same events in the same order.",
        [
            "realtime/test_following.py::test_transport_equivalence",
            "realtime/test_transports_agree.py::test_all_transports_deliver_the_same_through_faults_and_late_joins",
        ],
    ),
}

FAULTS = {
    "F01": Case(
        "client leaves in mid-run",
        "A client closes its connection while its run is under way: the run goes on.",
        [
            "chat/test_races.py::test_f01_a_client_that_leaves_in_mid_run_gets_the_rest",
            "test_operation.py::test_a_shutdown_ends_all_streams_and_the_run_goes_on_after_the_next_start",
        ],
    ),
    "F02": Case(
        "client leaves a replay",
        "A client closes its connection during a replay: its subscription ends at once.",
        [
            "realtime/test_races_readers.py::test_f02_a_client_that_leaves_during_a_replay_is_gone_at_once",
        ],
    ),
    "F03": Case(
        "kill -9 in mid-run",
        "A worker is killed during a run: another one finishes it once.",
        [
            "chat/test_processes.py::test_a_run_of_a_killed_server_is_finished_once_by_another",
        ],
    ),
    "F04": Case(
        "kill -9 at every statement",
        "A worker is killed before any one statement of a run: the run is done once.",
        [
            "chat/test_crash_points.py::test_a_run_killed_at_any_statement_is_done_once",
        ],
    ),
    "F05": Case(
        "kill -9 between commit and publish",
        "A process is killed between its commit and its hint.",
        [
            "realtime/test_races_log.py::test_commit_no_publish",
        ],
    ),
    "F06": Case(
        "kill -9 between commit and answer",
        "A process is killed between its commit and its answer: a repeated request gives "
        "the first answer.",
        [
            "chat/test_crash_points.py::test_a_run_killed_at_any_statement_is_done_once",
            "chat/test_races.py::test_read_your_writes",
        ],
    ),
    "F07": Case(
        "SIGTERM with streams and runs",
        "SIGTERM with streams open and runs under way.",
        [
            "test_operation.py::test_a_shutdown_ends_all_streams_and_the_run_goes_on_after_the_next_start",
            "test_operation.py::test_two_workers_are_one_server",
            "chat/test_processes.py::test_a_terminated_server_hands_its_run_over",
        ],
    ),
    "F08": Case(
        "signals",
        "Several SIGTERM or SIGINT in a row.",
        [
            "test_process_faults.py::test_f08_several_signals_end_it_once",
        ],
    ),
    "F09": Case(
        "no memory",
        "The process can't allocate memory.",
        [
            "test_process_world.py::test_f09_without_memory_it_refuses_and_goes_on",
        ],
    ),
    "F10": Case(
        "stands still",
        "The process stands still for some seconds (SIGSTOP).",
        [
            "test_process_faults.py::test_f10_a_stopped_process_loses_nothing",
        ],
    ),
    "F11": Case(
        "no file descriptors",
        "The process has no file descriptors left.",
        [
            "test_process_faults.py::test_f11_without_file_descriptors_it_survives_and_recovers",
        ],
    ),
    "F12": Case(
        "two processes",
        "Two processes serve one project.",
        [
            "realtime/test_races_redis.py::test_f12_two_processes_deliver_the_same_events",
        ],
    ),
    "F13": Case(
        "clocks",
        "The clocks of two processes differ by days, and jump.",
        [
            "test_process_world.py::test_f13_clocks_that_differ_and_jump",
        ],
    ),
    "F14": Case(
        "older version, newer schema",
        "A process of an older version works on the schema of a newer one.",
        [
            "test_process_world.py::test_f14_an_older_version_works_on_the_schema_of_a_newer_one",
        ],
    ),
    "F15": Case(
        "Redis away at the start",
        "Redis is away when a process starts.",
        [
            "realtime/test_redis.py::test_f15_redis_may_be_away_at_the_start",
        ],
    ),
    "F16": Case(
        "Redis dies",
        "Redis is killed.",
        [
            "realtime/test_redis.py::test_redis_restart",
            "test_operation.py::test_health_reports_each_dependency",
        ],
    ),
    "F17": Case(
        "Redis comes back empty",
        "Redis comes back without its data.",
        [
            "realtime/test_races_redis.py::test_f17_a_redis_that_comes_back_empty_loses_nothing",
        ],
    ),
    "F18": Case(
        "subscriber killed",
        "Redis closes the connection of a subscriber.",
        [
            "realtime/test_redis.py::test_redis_kill",
        ],
    ),
    "F19": Case(
        "output buffer overflows",
        "The output buffer of a subscriber overflows in Redis.",
        [
            "realtime/test_redis.py::test_output_buffer_kill",
        ],
    ),
    "F20": Case(
        "Redis slow or frozen",
        "Redis answers slowly, or accepts commands and does not answer.",
        [
            "realtime/test_races_redis.py::test_f20_a_slow_redis_slows_no_request",
            "realtime/test_redis.py::test_a_frozen_redis_delays_no_commit",
        ],
    ),
    "F21": Case(
        "Redis without memory",
        "Redis has no memory left.",
        [
            "realtime/test_races_redis.py::test_f21_a_redis_without_memory_costs_no_event",
        ],
    ),
    "F22": Case(
        "poison message",
        "A message on the bus can't be decoded.",
        [
            "realtime/test_redis.py::test_poison_event",
        ],
    ),
    "F23": Case(
        "duplicated and reordered messages",
        "Messages of the bus arrive twice and out of order.",
        [
            "realtime/test_races_redis.py::test_f23_duplicated_and_reordered_messages",
        ],
    ),
    "F55": Case(
        "ten equal requests with one key",
        "Ten equal requests with one idempotency key at once.",
        [
            "chat/test_queue.py::test_ten_equal_prompts_with_one_key_are_one_run",
            "scenes/test_scenes.py::test_ten_equal_changes_with_one_key_have_one_effect",
            "projects/test_projects.py::test_ten_equal_posts_with_one_key_make_one_project",
        ],
    ),
    "F56": Case(
        "a key with another body or of another person",
        "An idempotency key with another body, or of another account.",
        [
            "chat/test_queue.py::test_a_key_belongs_to_one_request_of_one_account",
        ],
    ),
    "F57": Case(
        "two editors, one base",
        "Two editors change a scene on the same base revision.",
        [
            "scenes/test_scenes.py::test_of_two_changes_of_the_same_revision_one_wins",
            "scenes/test_scenes.py::test_concurrent_writers_leave_one_history",
        ],
    ),
    "F58": Case(
        "revert, delete, edit, reorder at once",
        "Revert, delete, edit and reorder at once.",
        [
            "history/test_races.py::test_a_race_ends_as_a_sequence_would",
            "history/test_races.py::test_a_race_with_two_preemptions_ends_as_a_sequence_too",
        ],
    ),
    "F59": Case(
        "two runs at once",
        "Two runs of one project at once.",
        [
            "chat/test_queue.py::test_prompts_are_answered_in_order_each_on_the_result_before_it",
            "chat/test_processes.py::test_each_run_is_claimed_by_one_of_many_workers",
        ],
    ),
    "F60": Case(
        "slow consumer",
        "A client reads slowly.",
        [
            "realtime/test_delivery.py::test_a_stalled_reader_holds_less_than_256_kb_and_is_reset",
            "realtime/test_endings.py::test_a_slow_reader_beyond_the_ring_catches_up_from_the_log",
        ],
    ),
    "F61": Case(
        "reconnect storm",
        "All clients reconnect at once.",
        [
            "realtime/test_races_readers.py::test_thundering_herd",
        ],
    ),
    "F62": Case(
        "odd cursors",
        "A cursor is malformed, of another epoch, ahead of the log, or older than it.",
        [
            "realtime/test_cursors.py::test_last_event_id_that_cannot_be_served",
            "realtime/test_cursors.py::test_cursor_older_than_retention",
        ],
    ),
    "F63": Case(
        "seven tabs",
        "One person opens seven tabs.",
        [
            "web/test_races_browser.py::test_two_tabs_leader_dies_and_seven_tabs_over_http_1",
        ],
    ),
    "F64": Case(
        "a proxy that buffers or cuts",
        "A proxy buffers answers or cuts idle connections.",
        [
            "web/test_races_browser.py::test_proxy_buffering",
            "realtime/test_endings.py::test_heartbeats_carry_the_current_cursor",
            "realtime/test_following.py::test_the_stream_has_the_headers_and_the_format_of_the_contract",
        ],
    ),
}


@cache
def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("number", [*RACES, *FAULTS])
def test_each_case_has_its_tests(number: str) -> None:
    case = (RACES | FAULTS)[number]
    assert case.tests
    for place in case.tests:
        file, _, function = place.partition("::")
        assert function in functions_of(TESTS / file), place


def test_no_number_is_missing() -> None:
    assert [*RACES] == [f"R{number:02}" for number in range(1, 37)]
    assert [*FAULTS] == [f"F{number:02}" for number in [*range(1, 24), *range(55, 65)]]


def test_every_number_that_a_test_names_is_in_the_table() -> None:
    for path in TESTS.rglob("test_*.py"):
        for function in functions_of(path):
            first = function.removeprefix("test_").partition("_")[0].upper()
            if first[:1] in ("F", "R") and first[1:].isdecimal():
                place = f"{path.relative_to(TESTS)}::{function}"
                assert place in (RACES | FAULTS)[first].tests, place
