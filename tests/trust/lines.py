"""What people may rely on, line by line, and the tests that would fail without it: docs/trust.md is made of this.

T is TLS, I threads and sockets, P passwords, A the way in, H hostile input, U the terminal, D durability, O operation.
A test is named by its file below `tests`, and its name without `test_`.
"""

from typing import Final, NamedTuple


class Line(NamedTuple):
    """One thing that holds, the tests of it, and what of it no test here shows."""

    wording: str
    tests: tuple[str, ...]
    beyond: str = ""


LINES: Final = {
    "T1": Line(
        "TLS 1.3 only, from the first byte; 1.2 is let in by name.",
        (
            "server/test_hostile.py::an_older_tls_is_refused",
            "server/test_hostile.py::a_plaintext_client_is_closed_without_a_byte_of_chat",
            "certificates/test_contexts.py::a_tls_1_2_client_gets_an_alert",
            "certificates/test_contexts.py::tls_1_2_is_served_when_it_is_allowed_by_name",
        ),
    ),
    "T2": Line(
        "An outside scanner finds the modern profile, with one key exchange group that is a setting.",
        ("certificates/test_contexts.py::the_group_is_the_one_that_was_set",),
        "The scanner (sslyze --mozilla_config=modern) wants an environment of its own, and is run by hand: see "
        "[operations.md](operations.md#certificates).",
    ),
    "T3": Line(
        "The CA can only issue, and its key is 0400; a server certificate is for 90 days at most and strictly valid.",
        (
            "certificates/test_authority.py::the_ca_can_only_issue_and_only_directly",
            "certificates/test_authority.py::keys_are_closed_and_certificates_open_under_any_umask",
            "certificates/test_authority.py::the_server_certificate_has_what_strict_verification_asks_for",
            "certificates/test_authority.py::days_out_of_range_are_refused_and_nothing_is_made",
        ),
    ),
    "T4": Line(
        "Peers that connect and say nothing delay nobody.",
        ("server/test_hostile.py::silent_peers_delay_nobody",),
    ),
    "T5": Line(
        "A handshake and a login end at their deadlines, also when they drip in.",
        (
            "server/test_hostile.py::a_silent_handshake_ends_at_its_deadline",
            "server/test_hostile.py::a_handshake_that_drips_ends_at_its_deadline",
            "server/test_hostile.py::a_login_that_does_not_come_ends_at_its_deadline",
            "server/test_hostile.py::pings_do_not_put_the_login_deadline_off",
        ),
    ),
    "T6": Line(
        "SSLKEYLOGFILE writes no session keys.",
        ("certificates/test_contexts.py::no_session_keys_are_written_by_either_side",),
    ),
    "T7": Line(
        "There are no session tickets: nothing is resumed.",
        (
            "certificates/test_contexts.py::there_are_no_session_tickets_and_nothing_is_resumed",
            "server/test_hostile.py::no_session_ticket_is_given",
            "server/test_client_certificates.py::a_revoked_certificate_ends_its_sessions_and_is_not_resumed",
            "server/test_client_certificates.py::a_tls_1_2_session_is_not_resumed_where_clients_show_certificates",
        ),
    ),
    "T8": Line(
        "Client certificates: missing, foreign, expired, for another purpose or revoked are refused.",
        (
            "server/test_client_certificates.py::where_one_is_required_only_a_good_one_comes_in_as_its_account",
            "server/test_client_certificates.py::where_one_is_optional_it_is_not_needed_and_counts_if_shown",
            "server/test_client_certificates.py::a_certificate_that_names_no_account_is_nobodys",
        ),
    ),
    "T9": Line(
        "A revocation list that is missing or expired closes the door and is warned of a week before.",
        (
            "server/test_client_certificates.py::without_a_list_in_force_the_door_is_closed_and_the_log_says_so",
            "server/test_client_certificates.py::a_list_of_another_ca_is_refused_and_the_one_in_force_stays",
            "cli/test_cert.py::a_lost_list_is_never_begun_anew_while_something_may_have_been_on_it",
            "cli/test_doctor.py::what_is_wrong_is_found_with_its_fix",
        ),
    ),
    "T10": Line(
        "Certificates are replaced under open chats; a bad one changes nothing.",
        (
            "server/test_certificate.py::a_new_certificate_under_twenty_chats",
            "server/test_certificate.py::what_cannot_be_shown_is_refused_with_its_reason_and_changes_nothing",
            "server/test_certificate.py::a_renewal_that_fails_is_told_and_the_old_certificate_stays",
        ),
    ),
    "T11": Line(
        "The client proves chain and name, always; what fails is told in plain words, and nothing was sent.",
        (
            "certificates/test_contexts.py::a_client_verifies_strictly_both_chain_and_name_and_knows_one_ca",
            "certificates/test_contexts.py::with_a_ca_file_the_systems_cas_do_not_count",
            "server/test_hostile.py::a_client_of_another_ca_sends_nothing",
            "cli/test_connect.py::no_option_turns_the_verification_off",
            "certificates/test_explain.py::a_server_of_another_ca",
            "certificates/test_explain.py::a_certificate_for_another_name",
            "certificates/test_explain.py::an_expired_certificate",
            "certificates/test_explain.py::a_certificate_of_the_future",
            "project/test_source.py::verification_is_disabled_in_one_place",
            "client/test_first_contact.py::a_server_with_another_ca_gets_the_question_and_nothing_else",
            "client/test_first_contact.py::a_server_that_tells_the_true_ca_and_cannot_prove_it_gets_no_secret",
        ),
    ),
    "T12": Line(
        "A cut is told from an end, and closing takes a second at most.",
        (
            "server/test_hostile.py::a_peer_that_cuts_the_connection_is_forgotten_and_the_others_go_on",
            "server/test_hostile.py::closing_takes_no_longer_because_the_peer_does_not_read",
            "client/test_client.py::closing_ends_though_the_server_is_stopped",
        ),
    ),
    "I1": Line(
        "One thread alone calls a TLS socket's methods, on both sides.",
        (
            "server/test_threads.py::only_one_thread_ever_calls_a_tls_sockets_methods",
            "client/test_client.py::one_thread_alone_touches_the_tls_socket",
        ),
    ),
    "I2": Line(
        "Reading that waits for writing goes on, and the other way round; many frames in one TLS record are all heard.",
        (
            "server/test_hostile.py::sixty_four_frames_in_one_tls_record_are_all_handled",
            "server/test_slow_reader.py::a_peer_that_asks_without_reading_is_not_read_until_it_does",
            "client/test_client.py::reading_that_waits_for_writing_goes_on_and_a_broken_write_ends_it",
            "trust/test_sockets.py::keys_are_updated_in_the_middle_of_a_talk",
        ),
    ),
    "I3": Line(
        "Those who come and go leave no thread, no descriptor and no garbage.",
        (
            "server/test_threads.py::those_who_come_and_go_leave_no_thread_and_no_descriptor",
            "server/test_threads.py::a_stopped_server_leaves_no_thread_and_no_descriptor",
            "server/test_threads.py::those_who_have_gone_are_freed_without_a_search_for_garbage",
            "faults/test_comings.py::those_who_come_and_go_leave_nothing_behind",
        ),
        "Few of each kind; `make faults` has 5,000 logins and 5,000 drops. It and `make soak` measure the memory.",
    ),
    "I4": Line(
        "Out of descriptors the server serves those it has, spins no CPU, says so once, and recovers.",
        (
            "trust/test_sockets.py::without_descriptors_it_serves_those_it_has_does_not_spin_and_recovers",
            "server/test_hostile.py::more_connections_than_there_is_place_for_are_closed_and_the_others_stay",
        ),
    ),
    "P1": Line(
        "Argon2id with 19 MiB, two passes and one lane; another salt for each.",
        (
            "accounts/test_passwords.py::a_new_hash_is_argon2id_with_todays_costs_and_verifies_only_its_password",
            "accounts/test_passwords.py::the_same_password_gets_another_salt_each_time",
            "project/test_packaging.py::the_declared_ranges_are_those_that_were_chosen",
        ),
    ),
    "P2": Line(
        "A stored hash that asks for too much costs nothing, and a failure is never a wrong password.",
        (
            "accounts/test_passwords.py::a_stored_string_outside_the_limits_is_an_error_and_costs_no_hash",
            "accounts/test_passwords.py::hashing_that_fails_is_an_error_and_never_a_wrong_password",
        ),
    ),
    "P3": Line(
        "A login with weaker costs is hashed again, once; that it cannot be written does not fail the login.",
        (
            "accounts/test_authentication.py::a_good_login_with_weaker_costs_is_hashed_again_once_and_ends_no_session",
            "accounts/test_authentication.py::a_rehash_that_cannot_be_written_is_logged_without_a_secret_and_the_login_succeeds",
        ),
    ),
    "P4": Line(
        "A burst of logins is bounded in memory, told to come back, and holds up no chat.",
        (
            "server/test_flood.py::a_burst_of_logins_is_bounded_in_memory_and_does_not_hold_up_a_chat",
            "server/test_login.py::more_logins_than_can_wait_are_told_at_once_to_come_back",
        ),
    ),
    "P5": Line(
        "Wrong, unknown and disabled are the same bytes at the same number of hashes.",
        (
            "accounts/test_authentication.py::wrong_unknown_and_disabled_are_one_answer_for_one_hash",
            "server/test_login.py::every_failed_login_gets_the_same_bytes_at_the_same_number_of_hashes",
        ),
    ),
    "P6": Line(
        "One bad line refuses the whole credential file by its number; the last good accounts stay.",
        (
            "accounts/test_credentials.py::one_bad_line_refuses_the_whole_file_by_its_number_and_not_its_content",
            "accounts/test_credentials.py::damage_gives_a_credential_error_or_a_valid_set_and_nothing_else",
            "accounts/test_authentication.py::a_broken_file_is_reported_once_for_each_version_and_the_last_good_set_stays",
            "accounts/test_authentication.py::a_start_without_a_good_file_is_refused",
        ),
    ),
    "P7": Line(
        "The file is 0600 from its first byte, replaced whole whenever it is killed, and two at once lose nothing.",
        (
            "accounts/test_credentials.py::the_first_account_makes_a_file_that_only_its_owner_can_read_under_any_umask",
            "accounts/test_credentials.py::a_change_that_is_killed_leaves_the_old_file_or_the_new_one",
            "accounts/test_credentials.py::processes_that_add_accounts_at_once_lose_none",
            "certificates/test_files.py::the_file_and_then_its_folder_are_on_disk_when_it_returns",
        ),
    ),
    "P8": Line(
        "Passwords have 15 to 1,024 bytes of any Unicode and are left in nothing that is written.",
        (
            "accounts/test_passwords.py::a_new_password_under_15_bytes_is_refused",
            "accounts/test_passwords.py::what_is_too_long_or_no_text_is_refused_before_anything_is_hashed",
            "accounts/test_passwords.py::composed_and_decomposed_typing_is_one_password",
            "accounts/test_passwords.py::a_well_known_new_password_is_refused_forwards_and_backwards",
            "accounts/test_passwords.py::the_username_is_no_password",
            "cli/test_users.py::on_a_terminal_an_empty_answer_makes_a_password_and_shows_it_once",
            "cli/test_users.py::no_password_is_left_in_anything_that_was_written",
        ),
    ),
    "A1": Line(
        "Before login only the way in is heard: every frame in every state is one cell of a table.",
        (
            "protocols/test_states.py::every_frame_and_every_state_is_one_cell",
            "protocols/test_states.py::a_request_is_heard_or_refused_as_the_cell_says",
            "server/test_login.py::nothing_else_is_heard_before_login",
        ),
    ),
    "A2": Line(
        "What is sent behind a login takes effect only when it succeeded.",
        (
            "server/test_login.py::requests_behind_a_login_take_effect_when_it_succeeds",
            "server/test_login.py::requests_behind_a_login_are_dropped_when_it_fails",
        ),
    ),
    "A3": Line(
        "Sender, time and number come from the server alone.",
        (
            "protocols/test_native.py::a_frame_of_the_servers_is_an_error_from_a_client",
            "protocols/test_native.py::what_the_server_alone_says_is_refused_in_a_request",
        ),
    ),
    "A4": Line(
        "A disabled, removed or changed account has no session and no token in force any more.",
        (
            "server/test_login.py::a_change_of_the_account_ends_its_sessions_and_no_others",
            "server/test_tokens.py::a_password_changed_on_the_server_ends_tokens_too",
            "server/test_tokens.py::a_new_password_ends_the_others_though_whoever_asked_has_left",
            "server/test_tokens.py::a_disabled_account_cannot_come_back_with_its_token",
            "server/test_tokens.py::what_is_written_by_hand_while_no_server_runs_ends_tokens_at_the_start",
            "server/test_account_commands.py::who_is_kept_out_is_out_when_the_command_returns",
        ),
    ),
    "A5": Line(
        "Three failures close a connection; an address waits longer each time, and nobody locks out who is online.",
        (
            "server/test_login.py::a_failed_login_can_be_tried_again_but_the_third_closes",
            "server/test_throttling.py::an_address_waits_over_all_its_connections_and_who_is_in_pays_nothing",
            "accounts/test_throttle.py::an_account_is_slowed_from_the_fifth_failure_wherever_they_come_from",
            "accounts/test_throttle.py::who_has_a_session_from_there_pays_for_nobody_else",
        ),
    ),
    "A6": Line(
        "Strangers are few, are dropped early, and never cost anybody who is in a place; the tables are bounded.",
        (
            "server/test_throttling.py::one_address_has_eight_strangers_and_no_more_and_who_is_in_is_none",
            "server/test_throttling.py::a_crowd_that_does_not_log_in_is_dropped_early_and_nobody_who_is_in",
            "accounts/test_throttle.py::the_table_is_bounded_and_forgets_who_was_quiet_longest",
            "accounts/test_throttle.py::an_address_counts_as_itself_and_an_ipv6_address_as_its_64",
        ),
    ),
    "H1": Line(
        "However a stream is cut, the frames are the same; damage gives a frame or a ProtocolError.",
        (
            "protocols/test_stream.py::however_a_stream_is_cut_the_frames_are_the_same",
            "protocols/test_stream.py::a_damaged_frame_gives_requests_or_protocol_errors",
            "fuzz/test_targets.py::a_target_holds_for_its_seeds_and_for_bytes_of_any_kind",
        ),
    ),
    "H2": Line(
        "A line has a limit in bytes and in time; who is silent is asked, and closed.",
        (
            "protocols/test_stream.py::a_line_without_an_end_takes_no_more_memory_than_the_limit",
            "server/test_hostile.py::a_line_over_the_limit_is_refused_and_closed_before_it_ends",
            "server/test_hostile.py::a_line_that_drips_ends_at_its_deadline",
            "server/test_hostile.py::a_silent_session_is_pinged_then_closed",
        ),
    ),
    "H3": Line(
        "A reader that stops gets every record once when it goes on; the server holds its queue's limit for it. Who is "
        "slow is not closed.",
        (
            "server/test_slow_reader.py::a_reader_that_stops_gets_every_record_once_in_order_when_it_goes_on",
            "server/test_slow_reader.py::who_takes_a_little_each_minute_is_slow_and_who_takes_nothing_is_gone",
        ),
    ),
    "H4": Line(
        "More requests than the rate allows are refused, not closed, and nothing of them is recorded; it can be set.",
        (
            "server/test_rate.py::more_than_the_rate_is_refused_and_not_recorded_and_the_session_goes_on",
            "journal/test_journal.py::proposals_past_the_limit_are_not_taken",
        ),
    ),
    "U1": Line(
        "Nothing that drives a terminal, hides, or turns the direction of reading reaches it.",
        (
            "client/test_text.py::a_line_holds_nothing_that_drives_a_terminal",
            "client/test_text.py::a_record_holds_nothing_that_drives_a_terminal",
            "client/test_text.py::no_other_display_function_lets_anything_through",
            "client/test_terminal.py::hostile_texts_arrive_as_harmless_text",
            "client/screen/test_rendering.py::no_text_of_others_begins_a_line_or_drives_the_terminal",
            "cli/test_rooms.py::a_direct_room_is_exported_under_its_key_and_nothing_in_a_text_drives_or_deceives_a_terminal",
            "server/test_logs.py::text_is_one_line_an_event_with_hostile_characters_escaped",
        ),
    ),
    "U2": Line(
        "What somebody writes cannot look like another's line or the client's.",
        (
            "client/test_text.py::only_the_client_begins_a_line",
            "client/test_text.py::no_line_is_so_long_that_the_terminal_breaks_it",
            "client/test_plain.py::nobody_can_write_the_line_of_another_or_of_the_client",
        ),
    ),
    "U3": Line(
        "The terminal is as it was after every way out; the bell rings seldom, and never for what was there.",
        (
            "client/test_terminal.py::the_terminal_is_restored_on_every_way_out",
            "client/test_terminal.py::the_terminal_is_restored_after_a_crash",
            "client/screen/test_model.py::the_bell_rings_for_what_is_meant_for_one_and_not_too_often",
            "client/screen/test_screen.py::the_bell_rings_for_a_mention_once_and_not_for_what_was_there",
        ),
    ),
    "D1": Line(
        "An acknowledgement comes after a commit that is on the disk, with the durability that was asked for in force.",
        (
            "journal/test_journal.py::nothing_is_told_before_it_is_on_the_disk",
            "journal/test_store.py::the_durability_that_is_asked_for_is_the_one_in_force",
            "faults/test_powercuts.py::without_a_sync_at_each_commit_the_same_cuts_lose_what_was_acknowledged",
        ),
    ),
    "D2": Line(
        "After a power cut at any moment every acknowledged record is there.",
        ("faults/test_powercuts.py::every_acknowledged_message_is_there_after_a_power_cut_at_any_moment",),
    ),
    "D3": Line(
        "A killed server loses, doubles, invents and reorders nothing.",
        (
            "faults/test_kills.py::no_kill_loses_doubles_or_reorders_anything_for_authors_that_do_not_give_up",
            "server/test_stopping.py::no_acknowledged_message_is_lost_when_the_server_is_killed",
        ),
    ),
    "D4": Line(
        "The same id is recorded once, however late it comes again; another text under it is refused.",
        (
            "journal/test_journal.py::a_repeat_is_recorded_once_within_a_batch_later_and_after_a_restart",
            "chat/test_rules.py::an_id_used_again_for_something_else_is_refused",
            "server/test_chat.py::the_same_id_again_gets_the_first_number_and_is_not_delivered_twice",
            "server/test_chat.py::another_accounts_same_id_is_another_message",
        ),
    ),
    "D5": Line(
        "A full disk refuses authors, lets readers read, and is forgotten when there is room; a failing one ends it.",
        (
            "faults/test_disk.py::a_full_disk_refuses_authors_lets_readers_read_and_is_forgotten_when_there_is_room",
            "faults/test_disk.py::a_process_whose_disk_fails_says_why_exits_with_an_error_and_starts_again_with_all_it_acknowledged",
            "journal/test_faults.py::a_disk_that_fails_stops_the_journal_without_an_answer",
        ),
    ),
    "D6": Line(
        "A client keeps what is not acknowledged, over its own restart too, and sends it with the same id.",
        (
            "client/test_outbox.py::what_a_killed_client_said_is_sent_by_the_next_one_with_the_same_ids_in_order",
            "client/screen/test_on_a_terminal.py::a_line_that_waits_when_the_client_is_killed_is_stored_once_and_shown_once_by_the_next",
            "client/test_through_faults.py::lines_said_through_cuts_are_stored_once_in_order_and_heard_once",
            "client/test_terminal.py::an_own_line_is_pending_above_the_input_until_it_comes_back_with_its_number",
        ),
    ),
    "D7": Line(
        "Whatever waits is one commit, and who speaks alone waits for nobody.",
        (
            "journal/test_journal.py::whatever_waits_is_one_commit",
            "journal/test_order.py::taking_waits_a_moment_until_there_are_enough_and_no_longer",
        ),
    ),
    "O1": Line(
        "A wall clock that jumps changes no decision, and times never go backwards in a room.",
        (
            "chat/test_rules.py::times_never_go_backwards_in_a_room",
            "journal/test_journal.py::times_never_go_backwards_in_a_room_also_across_a_restart",
            "server/test_hostile.py::a_server_that_was_asleep_asks_before_it_takes_anybody_for_gone",
            "trust/test_clock.py::deadlines_ask_the_clock_that_never_jumps",
        ),
    ),
    "O2": Line(
        "The log says who came in or failed, from where and why, never a text or secret; what admins do is audited.",
        (
            "cli/test_serve.py::the_log_is_json_with_utc_times_and_holds_no_secret",
            "server/test_logs.py::what_is_no_terminal_gets_json",
            "server/test_logs.py::a_terminal_gets_text",
            "server/test_logs.py::text_is_one_line_an_event_with_hostile_characters_escaped",
            "server/test_logs.py::a_stderr_that_takes_nothing_delays_nobody",
            "server/test_audit.py::who_did_what_is_written_whether_a_server_runs_or_not",
            "server/test_audit.py::a_line_that_is_changed_or_taken_out_is_found",
            "server/test_audit.py::lines_that_are_cut_off_the_end_are_missed_and_stay_missed",
            "server/test_audit.py::a_file_that_has_grown_large_is_put_aside_and_the_chain_goes_on",
        ),
    ),
    "O3": Line(
        "A start refuses what is open to others, malformed, missing or unknown; wide listening is asked for by name.",
        (
            "cli/test_serve.py::a_start_refuses_what_is_not_right_in_one_line",
            "cli/test_serve.py::wide_listening_is_asked_for_by_name",
            "project/test_settings.py::a_setting_that_is_not_right_is_refused_by_name",
        ),
    ),
    "O4": Line(
        "SIGTERM: accept nothing, commit what is queued, say goodbye, and end in order.",
        (
            "server/test_stopping.py::a_server_that_is_asked_to_stop_tells_its_peers_and_closes_in_good_order",
            "server/test_stopping.py::what_was_heard_before_the_stop_is_committed_and_acknowledged",
            "server/test_stopping.py::a_signal_ends_serve_with_exit_code_0",
        ),
    ),
    "O5": Line(
        "Locked versions with hashes, strict types, security rules, fuzz targets with assertions, and a threat model.",
        (
            "project/test_packaging.py::a_lock_is_versions_and_hashes_and_nothing_else",
            "project/test_packaging.py::what_is_locked_is_within_the_declared_ranges",
            "fuzz/test_targets.py::a_target_would_see_a_failure",
            "trust/test_lines.py::the_gates_are_in_make_check",
            "trust/test_lines.py::what_is_not_promised_is_said_plainly",
        ),
    ),
}
