//! What every backend has to do, as cases over the traits alone.
//!
//! A case is a function over any [`store::Tree`] or any [`store::RunLog`] that starts with an empty store. The two tables at the end name
//! them all; a backend's tests say `tree_cases!(open)` and `log_cases!(open)`, where `open().await` gives a [`Fixture`].

use std::any::Any;

pub(crate) mod claims;
pub(crate) mod ends;
pub(crate) mod follow;
pub(crate) mod kept;
pub(crate) mod lanes;
pub(crate) mod locks;
pub(crate) mod log;
pub(crate) mod names;
pub(crate) mod tree;
pub(crate) mod world;

/// An empty store, and what has to live as long as it does.
pub(crate) struct Fixture<S> {
    pub(crate) store: S,
    pub(crate) _kept: Box<dyn Any>,
}

macro_rules! cases {
    ($open:path; $($module:ident: $($case:ident)+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let fixture = $open().await;
                crate::conformance::$module::$case(&fixture.store).await;
            })+
        })+
    };
}

macro_rules! tree_cases {
    ($open:path) => {
        crate::conformance::cases! { $open;
            tree:
                a_transaction_does_one_branch_whole
                comparisons_tell_missing_keys_from_present_ones
                revisions_grow_with_every_writing_transaction
                a_transaction_that_writes_nothing_moves_no_revision
                a_recreated_key_has_a_new_create_revision
                a_transaction_reads_what_it_wrote
                values_come_back_as_they_were
                a_list_is_whole_and_sorted
                a_job_is_put_and_deleted_only_as_it_was_seen
                a_registration_lasts_until_its_session_is_closed
            ;
            names:
                jobs_whose_names_begin_alike_have_nothing_in_common
                a_range_holds_one_jobs_runs_alone
            ;
            claims:
                of_twenty_claims_of_a_slot_one_wins
                a_slot_claimed_before_is_refused
                a_slot_that_runs_is_refused_whatever_the_cursor_says
                a_slot_older_than_the_cursor_is_refused
                a_refused_claim_finds_the_present_state
                a_claim_on_an_edited_job_is_refused
                a_claim_on_a_deleted_job_is_refused
                a_claim_on_a_recreated_job_is_refused
                a_claim_by_a_closed_session_is_refused
                forbid_refuses_while_a_run_exists
                allow_starts_beside_a_run
                the_fencing_token_grows_from_run_to_run
            ;
            ends:
                a_finish_removes_the_run_and_counts_it
                two_finishes_count_once
                a_late_finish_decides_nothing
                a_finish_on_a_moved_status_passes_with_the_new_one
                a_run_is_lost_only_once_its_session_has_ended
                a_closed_session_declares_nothing_lost
                of_twenty_that_declare_a_run_lost_one_wins
                a_pass_moves_the_cursor_and_counts
                a_pass_without_counts_leaves_the_status_alone
                a_pass_on_a_stale_cursor_is_refused
                a_pass_on_a_moved_status_is_refused
            ;
            kept:
                collect_removes_what_a_deleted_job_left
                collect_waits_for_the_last_run
                collect_spares_a_recreated_job
                a_kill_waits_for_workers_that_are_away
                a_kill_does_not_mean_later_runs
                a_kill_where_nothing_runs_writes_nothing
            ;
            lanes:
                each_node_claims_the_same_slot
                a_run_for_any_node_and_one_on_a_node_exclude_each_other
                collect_goes_lane_by_lane
            ;
            locks:
                leased_keys_end_with_their_session_and_others_stay
                a_conditional_deletion_deletes_only_what_was_meant
                a_live_session_is_renewed_and_a_closed_one_is_not
                a_session_whose_registration_was_deleted_has_ended
                an_exclusive_run_holds_the_lock_until_it_ends
                a_finish_leaves_a_lock_that_is_not_its_own
                a_held_lock_refuses_claims
                a_reserved_lock_refuses_none_and_stays
                a_run_of_an_ended_session_is_taken_over_by_the_next
                a_run_given_back_without_a_count_is_gone
                only_a_registered_worker_announces
                a_reservation_waits_for_whoever_holds_the_lock
                collect_takes_the_reservation_along
            ;
            follow:
                a_follower_sees_every_change_once_and_in_order
                a_follower_of_an_empty_folder_is_told_so
                changes_of_one_transaction_come_together
                only_followed_folders_are_seen
                deletions_carry_their_revision
                the_end_of_a_session_is_a_deletion
                a_long_listing_comes_in_pages
                a_slow_follower_ends_with_the_present_state
            ;
        }
    };
}

macro_rules! log_cases {
    ($open:path) => {
        crate::conformance::cases! { $open;
            log:
                every_field_comes_back
                a_run_appended_twice_is_there_once
                a_lost_run_is_superseded_by_its_true_record
                a_lost_run_and_its_true_record_in_one_call_leave_the_true_one
                a_superseded_record_counts_once
                attempts_of_a_run_are_records_of_their_own
                runs_come_newest_start_first
                pages_go_through_all_runs
                output_comes_only_when_wanted
                retention_counts_succeeded_and_others_apart
                retention_of_one_job_leaves_others_alone
                a_limit_of_zero_keeps_nothing
                a_lowered_limit_counts_from_the_next_record_on
                skipped_slots_come_latest_first
                a_skip_appended_twice_is_there_once
                a_slot_skipped_in_two_epochs_is_there_twice
                old_skips_are_forgotten
            ;
        }
    };
}

pub(crate) use {cases, log_cases, tree_cases};
