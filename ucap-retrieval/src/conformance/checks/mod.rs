//! The list of checks. Each is an async function over a fresh [`World`](super::World).

mod ages;
mod filters;
mod lasting;
mod pages;
mod permits;
mod ranking;
mod waiting;
mod writes;

use super::Check;

macro_rules! checks {
    ($($lasting:literal $module:ident::$name:ident),* $(,)?) => {
        vec![$(Check {
            name: concat!(stringify!($module), "::", stringify!($name)),
            needs_lasting: $lasting,
            steps: |world| Box::pin($module::$name(world)),
        }),*]
    };
}

/// All of them. `true` marks those for backends that outlive their process.
pub fn checks() -> Vec<Check> {
    checks![
        false writes::say_what_they_did,
        false writes::are_found_and_gone_in_every_leg,
        false writes::leave_dead_rows_unreadable,
        false writes::keep_ids_byte_for_byte,
        false writes::come_in_large_batches,
        false writes::know_the_vectors_they_hold,
        false writes::are_counted,
        false writes::of_nothing_change_nothing,
        false writes::take_every_vector_or_refuse_it_before,
        false ages::are_told_oldest_first,
        false ages::decide_what_expires,
        false ages::end_with_the_retention,
        false waiting::is_counted_and_in_no_leg,
        false waiting::yields_to_what_is_newer,
        false waiting::is_bounded_and_in_order,
        false waiting::ends_with_the_embedding,
        true waiting::outlives_the_process,
        false filters::mean_what_the_table_says,
        false filters::tell_affected_versions,
        false filters::heed_withdrawal,
        false filters::follow_new_fields,
        false filters::see_every_byte_of_a_text,
        false filters::answer_anew_after_a_write,
        false pages::walk_each_record_once,
        false pages::begin_where_they_are_told,
        false pages::compare_across_types,
        false pages::go_on_while_records_come_and_go,
        false ranking::statistics_know_the_living_only,
        false ranking::deleted_records_leave_no_trace,
        false ranking::nearest_is_exact,
        false ranking::ties_come_along,
        false ranking::best_passage_first_of_equal,
        false ranking::stays_among_the_candidates,
        false ranking::older_candidates_revive_nothing,
        false ranking::refuses_what_it_cannot_compare,
        false ranking::stops_when_cancelled,
        false permits::of_another_action_are_refused,
        false permits::of_another_datasource_are_refused,
        false permits::of_another_generation_are_refused,
        false lasting::forgotten_is_gone_and_the_name_is_free,
        true lasting::reopened_it_answers_the_same,
        true lasting::forgotten_stays_gone,
        false lasting::sequences_equal_the_reference,
        true lasting::sequences_with_reopening_equal_the_reference,
    ]
}
