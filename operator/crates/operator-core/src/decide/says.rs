//! What a stream's conditions say.

use std::collections::BTreeSet;

use operator_api::conditions::{Says, reasons, types};

use super::Observed;
use super::plan::Plan;
use crate::manifests::NodeSet;

/// Failures that a message lists: one that lists all of them could be as long as a status may be.
const FAILURES_TOLD: usize = 5;

/// All conditions of a stream whose spec is right.
pub(super) fn says(
    plan: &Plan<'_>,
    set: &NodeSet,
    observed: &Observed,
    is_applying: bool,
    former: Option<&str>,
) -> Vec<Says> {
    let degraded = degraded(plan, observed);
    vec![
        accepted(plan),
        ready(plan, observed, former),
        progressing(plan, set, observed, is_applying, degraded.holds),
        degraded,
    ]
}

fn say(condition: &'static str, holds: bool, reason: &'static str, message: String) -> Says {
    Says { condition, holds, reason, message }
}

fn accepted(plan: &Plan<'_>) -> Says {
    match &plan.no_room {
        Some(why) => say(types::ACCEPTED, false, reasons::STATUS_FULL, why.clone()),
        None => say(types::ACCEPTED, true, reasons::VALID, String::new()),
    }
}

/// Every pod that takes its records is there. Those that are added, and take none yet, do not matter.
fn ready(plan: &Plan<'_>, observed: &Observed, former: Option<&str>) -> Says {
    if let Some(what) = former {
        let message = format!("waits for {what} to go");
        return say(types::READY, false, reasons::FORMER_PODS, message);
    }
    let (there, pods) = counted(&plan.writable(), observed);
    let are_ready = format!("{there} of {pods} pods are ready");
    if there < pods {
        return say(types::READY, false, reasons::PODS_NOT_READY, are_ready);
    }
    if plan.phase == "CREATING" {
        return say(types::READY, false, reasons::SHARDS_NOT_OPEN, told(&plan.failures));
    }
    let open = plan.topology.shards.owners().len();
    say(types::READY, true, reasons::SERVING, format!("{open} shards; {are_ready}"))
}

fn progressing(
    plan: &Plan<'_>,
    set: &NodeSet,
    observed: &Observed,
    is_applying: bool,
    is_degraded: bool,
) -> Says {
    let is_resharding = plan.topology.shards.is_changing() || plan.phase == "UPDATING";
    if is_resharding {
        let (open, wanted) = (plan.topology.shards.owners().len(), plan.desired.starting().len());
        let mut why = told(&plan.failures);
        if why.is_empty() {
            why = format!("{open} open shards, {wanted} wanted");
        }
        if !plan.next.waits_for.is_empty() {
            let pods: Vec<String> = plan.next.waits_for.iter().cloned().collect();
            why = format!("{why}; not ready: {}", told(&pods));
        }
        return say(types::PROGRESSING, true, reasons::RESHARDING, why);
    }
    let ready = observed.pods_ready.len();
    let is_starting = ready < set.pods as usize && !is_degraded;
    if is_applying || !observed.is_rolled_out || is_starting {
        let pods = format!("{ready} of {} pods are ready", set.pods);
        return say(types::PROGRESSING, true, reasons::ROLLING_OUT, pods);
    }
    say(types::PROGRESSING, false, reasons::UP_TO_DATE, String::new())
}

/// Whether something that could be read cannot be.
fn degraded(plan: &Plan<'_>, observed: &Observed) -> Says {
    let (there, pods) = counted(&plan.readable(), observed);
    if there < pods {
        let what = format!("{there} of {pods} pods are ready");
        return say(types::DEGRADED, true, reasons::PODS_MISSING, what);
    }
    if let Some(pod) = observed.io_uring_refused.first() {
        let what = "io_uring is refused by the seccomp profile or the kernel; set \
                    pods.seccompProfile to one that allows it. Durable all the same, but slower: ";
        return say(types::DEGRADED, true, reasons::IO_URING_REFUSED, format!("{what}{pod}"));
    }
    say(types::DEGRADED, false, reasons::HEALTHY, String::new())
}

/// How many of these pods are ready, and how many there are.
fn counted(pods: &BTreeSet<&str>, observed: &Observed) -> (usize, usize) {
    let there = pods.iter().filter(|pod| observed.pods_ready.contains(**pod)).count();
    (there, pods.len())
}

/// The first of them, and how many more there are.
fn told(all: &[String]) -> String {
    let first = all.iter().take(FAILURES_TOLD).map(String::as_str).collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(FAILURES_TOLD) {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_failures_the_first_are_told() {
        let all = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(told(&all(0)), "");
        assert_eq!(told(&all(5)), "0; 1; 2; 3; 4");
        assert_eq!(told(&all(5000)), "0; 1; 2; 3; 4; and 4995 more");
    }
}
