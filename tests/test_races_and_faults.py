"""The index of races and faults: each has its test, and every test that is named here is there.

The races are the 36 that servers of this kind lose; F01 to F23 are faults of the process and of
Redis, F55 to F64 those of clients and of doing things at once.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

RACES: dict[str, list[str]] = {
    "01 snapshot then commit": ["realtime/test_races_log.py::test_snapshot_then_commit"],
    "02 commit during snapshot": ["chat/test_races.py::test_commit_during_snapshot"],
    "03 inverted publish": ["realtime/test_races_log.py::test_inverted_publish"],
    "04 commit, no publish": ["realtime/test_races_log.py::test_commit_no_publish"],
    "05 publish, no commit": ["realtime/test_database.py::test_publish_no_commit"],
    "06 sequence hole": ["realtime/test_races_log.py::test_sequence_hole"],
    "07 Redis kill": ["realtime/test_redis.py::test_redis_kill"],
    "08 Redis black hole": ["realtime/test_races_redis.py::test_redis_blackhole"],
    "09 Redis restart, failover, output buffer kill": [
        "realtime/test_redis.py::test_redis_restart",
        "realtime/test_redis_kinds.py::test_a_replica_takes_over_when_the_node_of_the_bus_dies",
        "realtime/test_redis_kinds.py::test_the_bus_follows_its_slot_to_another_node",
        "realtime/test_redis.py::test_output_buffer_kill",
    ],
    "10 subscribe, ack": ["realtime/test_races_redis.py::test_subscribe_ack_race"],
    "11 last leave, first join": [
        "realtime/test_redis.py::test_last_leave_first_join",
        "realtime/test_races_redis.py::test_last_leave_first_join_while_unsubscribing",
        "realtime/test_races_redis.py::test_subscriptions_that_come_and_go_while_redis_drops_us",
    ],
    "12 ring, PostgreSQL seam": ["realtime/test_cursors.py::test_ring_pg_seam"],
    "13 catch-up slower than writes": [
        "realtime/test_races_readers.py::test_catch_up_slower_than_writes"
    ],
    "14 duplicate delivery": ["realtime/test_races_log.py::test_duplicate_delivery"],
    "15 Last-Event-ID and cursor": [
        "realtime/test_cursors.py::test_last_event_id_vs_cursor",
        "realtime/test_cursors.py::test_last_event_id_that_cannot_be_served",
    ],
    "16 epoch change": [
        "realtime/test_cursors.py::test_epoch_change_while_connected",
        "realtime/test_races_readers.py::test_epoch_change_while_away",
    ],
    "17 cursor older than retention, trimmed in mid-catch-up": [
        "realtime/test_cursors.py::test_cursor_older_than_retention",
        "realtime/test_races_readers.py::test_retention_mid_catch_up",
    ],
    "18 slow reader": [
        "realtime/test_endings.py::test_slow_reader",
        "realtime/test_sockets.py::test_slow_reader_of_a_socket",
        "realtime/test_delivery.py::test_a_stalled_reader_holds_less_than_256_kb_and_is_reset",
    ],
    "19 cut at every byte": ["realtime/test_races_readers.py::test_cut_at_every_byte"],
    "20 half open": [
        "realtime/test_races_vanished.py::test_half_open",
        "realtime/test_races_vanished.py::test_half_open_with_more_to_tell_than_fits",
        "realtime/test_races_readers.py::test_half_open_socket_by_its_ping",
    ],
    "21 SIGTERM and SIGKILL with N streams": [
        "test_operation.py::"
        "test_told_to_end_at_work_it_says_goodbye_and_the_run_goes_on_after_the_next_start",
        "test_operation.py::test_two_workers_are_one_server",
        "chat/test_races.py::test_sigkill_with_n_streams",
    ],
    "22 rolling deploy": [
        "realtime/test_races_clients.py::test_rolling_deploy",
        "realtime/test_races_clients.py::test_rolling_deploy_is_spoken_in_a_version_that_both_know",
        "realtime/test_races_log.py::test_rolling_deploy_with_two_event_schema_versions",
    ],
    "23 thundering herd": ["realtime/test_races_readers.py::test_thundering_herd"],
    "24 revoke race": [
        "realtime/test_rights.py::test_revoke_race",
        "realtime/test_rights.py::test_revoke_race_of_a_long_poll_in_flight",
        "realtime/test_races_readers.py::test_revoke_race_in_a_catch_up",
    ],
    "25 token expiry in mid-stream": [
        "realtime/test_races_clients.py::"
        "test_token_expiry_mid_stream_with_a_new_token_loses_nothing",
        "realtime/test_races_clients.py::test_token_expiry_mid_stream_without_another_ends_it",
        "realtime/test_rights.py::test_token_expiry_mid_stream",
    ],
    "26 deltas: join in mid-message, lost, after the end": [
        "realtime/test_live.py::test_delta_join_mid_message",
        "realtime/test_live.py::test_lost_delta",
        "realtime/test_live.py::test_delta_after_completed_and_regenerate",
    ],
    "27 regenerate, zombie worker": [
        "realtime/test_redis.py::test_zombie_worker",
        "chat/test_processes.py::test_who_lost_the_lease_commits_nothing",
    ],
    "28 link atomicity": ["chat/test_races.py::test_link_atomicity"],
    "29 read your writes": ["chat/test_races.py::test_read_your_writes"],
    "30 two tabs, leader dies; seven tabs": [
        "web/test_races_browser.py::test_two_tabs_leader_dies_and_seven_tabs_over_http_1"
    ],
    "31 proxy buffering": [
        "web/test_races_browser.py::test_proxy_buffering",
        "realtime/test_races_clients.py::test_proxy_buffering",
    ],
    "32 frozen tab, sleep, bfcache, clock jump": [
        "web/test_races_browser.py::test_frozen_tab",
        "web/test_races_browser.py::test_sleep_of_ten_minutes",
        "web/test_races_browser.py::test_bfcache",
        "web/test_races_browser.py::test_clock_jump",
    ],
    "33 replica lag": [
        "realtime/test_races_replica.py::test_replica_lag",
        "realtime/test_races_replica.py::test_replica_lag_of_one_who_knows_more",
        "realtime/test_races_replica.py::test_replica_lag_of_those_who_come_and_go",
    ],
    "34 deadlock": ["realtime/test_races_log.py::test_deadlock"],
    "35 hub callback exception, poison event": [
        "realtime/test_races_redis.py::test_hub_callback_exception",
        "realtime/test_races_redis.py::test_the_clock_goes_on_whatever_a_bus_does",
        "realtime/test_redis.py::test_poison_event",
    ],
    "36 transport equivalence": [
        "realtime/test_following.py::test_transport_equivalence",
        "realtime/test_transports_agree.py::"
        "test_all_transports_tell_the_same_through_cuts_and_joins",
    ],
}

FAULTS: dict[str, list[str]] = {
    "F01 client leaves in mid-run": [
        "chat/test_races.py::test_f01_a_client_that_leaves_in_mid_run_gets_the_rest",
        "test_operation.py::"
        "test_told_to_end_at_work_it_says_goodbye_and_the_run_goes_on_after_the_next_start",
    ],
    "F02 client leaves a replay": [
        "realtime/test_races_readers.py::"
        "test_f02_a_client_that_leaves_during_a_replay_is_gone_at_once"
    ],
    "F03 kill -9 in mid-run": [
        "chat/test_processes.py::test_a_killed_server_leaves_a_turn_that_another_finishes_once"
    ],
    "F04 kill -9 at every statement": [
        "chat/test_crash_points.py::test_a_turn_that_dies_at_any_statement_is_done_once"
    ],
    "F05 kill -9 between commit and publish": [
        "realtime/test_races_log.py::test_commit_no_publish"
    ],
    "F06 kill -9 between commit and answer": [
        "chat/test_crash_points.py::test_a_turn_that_dies_at_any_statement_is_done_once",
        "chat/test_races.py::test_read_your_writes",
    ],
    "F07 SIGTERM with streams and runs": [
        "test_operation.py::"
        "test_told_to_end_at_work_it_says_goodbye_and_the_run_goes_on_after_the_next_start",
        "test_operation.py::test_two_workers_are_one_server",
        "chat/test_processes.py::test_a_server_that_is_told_to_leave_hands_its_turn_over",
    ],
    "F08 signals": ["test_process_faults.py::test_f08_more_signals_than_one_end_it_once"],
    "F09 no memory": ["test_process_world.py::test_f09_without_memory_it_refuses_and_goes_on"],
    "F10 stands still": [
        "test_process_faults.py::test_f10_a_process_that_stood_still_loses_nothing"
    ],
    "F11 no file descriptors": [
        "test_process_faults.py::test_f11_without_file_descriptors_it_lives_and_recovers"
    ],
    "F12 two processes": ["realtime/test_races_redis.py::test_f12_two_processes_tell_the_same"],
    "F13 clocks": ["test_process_world.py::test_f13_clocks_that_differ_and_jump"],
    "F14 older version, newer schema": [
        "test_process_world.py::test_f14_an_older_version_works_on_the_schema_of_a_newer_one"
    ],
    "F15 Redis away at the start": [
        "realtime/test_redis.py::test_f15_redis_may_be_away_at_the_start"
    ],
    "F16 Redis dies": [
        "realtime/test_redis.py::test_redis_restart",
        "test_operation.py::test_health_says_what_is_there",
    ],
    "F17 Redis comes back empty": [
        "realtime/test_races_redis.py::test_f17_a_redis_that_is_empty_again_changes_nothing"
    ],
    "F18 subscriber killed": ["realtime/test_redis.py::test_redis_kill"],
    "F19 output buffer overflows": ["realtime/test_redis.py::test_output_buffer_kill"],
    "F20 Redis slow or frozen": [
        "realtime/test_races_redis.py::test_f20_a_slow_redis_slows_no_request",
        "realtime/test_redis.py::test_a_frozen_redis_delays_nobody",
    ],
    "F21 Redis without memory": [
        "realtime/test_races_redis.py::test_f21_a_redis_without_memory_costs_no_event"
    ],
    "F22 poison message": ["realtime/test_redis.py::test_poison_event"],
    "F23 doubled and reordered words": [
        "realtime/test_races_redis.py::test_f23_doubled_and_reordered_words"
    ],
    "F55 ten equal requests with one key": [
        "chat/test_queue.py::test_ten_equal_prompts_with_one_key_are_one_turn",
        "scenes/test_scenes.py::test_ten_equal_changes_with_one_key_have_one_effect",
        "projects/test_projects.py::test_ten_equal_posts_with_one_key_make_one_project",
    ],
    "F56 a key with another body or of another person": [
        "chat/test_queue.py::test_a_key_belongs_to_one_request_of_one_person"
    ],
    "F57 two editors, one base": [
        "scenes/test_scenes.py::test_of_two_who_saw_the_same_revision_one_wins",
        "scenes/test_scenes.py::test_many_hands_at_once_leave_one_history",
    ],
    "F58 revert, delete, edit, reorder at once": [
        "history/test_races.py::test_a_race_ends_as_one_after_the_other_would",
        "history/test_races.py::test_a_race_that_breaks_in_twice_ends_so_too",
    ],
    "F59 two runs at once": [
        "chat/test_queue.py::test_prompts_are_answered_in_their_order_each_with_what_was_before",
        "chat/test_processes.py::test_of_many_workers_one_takes_each_turn",
    ],
    "F60 slow consumer": [
        "realtime/test_delivery.py::test_a_stalled_reader_holds_less_than_256_kb_and_is_reset",
        "realtime/test_endings.py::"
        "test_a_slow_reader_falls_off_the_ring_and_gets_everything_from_the_log",
    ],
    "F61 reconnect storm": ["realtime/test_races_readers.py::test_thundering_herd"],
    "F62 odd cursors": [
        "realtime/test_cursors.py::test_last_event_id_that_cannot_be_served",
        "realtime/test_cursors.py::test_cursor_older_than_retention",
    ],
    "F63 seven tabs": [
        "web/test_races_browser.py::test_two_tabs_leader_dies_and_seven_tabs_over_http_1"
    ],
    "F64 a proxy that buffers or cuts": [
        "web/test_races_browser.py::test_proxy_buffering",
        "realtime/test_endings.py::test_heartbeats_say_how_far_the_reader_is",
        "realtime/test_following.py::test_the_stream_has_the_headers_and_the_form_of_the_contract",
    ],
}


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("name", [*RACES, *FAULTS])
def test_it_has_its_tests(name: str) -> None:
    for place in {**RACES, **FAULTS}[name]:
        file, _, function = place.partition("::")
        assert function in functions_of(TESTS / file), place


def test_none_is_missing() -> None:
    assert [int(name[:2]) for name in RACES] == list(range(1, 37))
    assert [int(name[1:3]) for name in FAULTS] == [*range(1, 24), *range(55, 65)]
