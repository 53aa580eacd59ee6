//! What a relay wrote of its deliveries, run by run: which it had an answer for, and which it had on disk.

use std::collections::{HashMap, HashSet};

use backupmx_tests::{Received, ScriptedPrimary};
use k8s_openapi::jiff::Timestamp;

/// Deliveries of a tenant that may wait for their record at once, and connections that may have one more each.
const UNRECORDED: usize = 64 + 10;

/// A relay that lived so long after an answer has it on disk, also where the disk has much else to do.
const TOO_LONG_MS: i128 = 3000;

/// One run of the program, from its start to its end.
#[derive(Default)]
struct Run {
    taken: HashSet<String>,
    delivered: HashMap<String, usize>,
    /// When the answer came.
    answered: HashMap<String, Timestamp>,
    /// How long after it that was on disk, in milliseconds.
    recorded_after: Vec<i64>,
    /// When it last said something.
    last: Option<Timestamp>,
    /// Answers that were cut off.
    cut_off: HashMap<String, usize>,
    done: HashSet<String>,
}

/// All runs of a relay, from its log.
pub(crate) struct Deliveries(Vec<Run>);

impl Deliveries {
    /// Reads a log.
    pub(crate) fn read(log: &str) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for line in log.lines() {
            // The last line of a run that was killed may be cut off.
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let id = || line["id"].as_str().unwrap_or_default().to_owned();
            let message = line["message"].as_str().unwrap_or_default();
            if message == "spool open" {
                runs.push(Run::default());
            }
            let Some(run) = runs.last_mut() else { continue };
            run.last = Some(moment(&line));
            match message {
                "message taken" => drop(run.taken.insert(id())),
                "delivered" => {
                    *run.delivered.entry(id()).or_default() += 1;
                    run.answered.insert(id(), moment(&line));
                }
                "not delivered: the session was lost" => *run.cut_off.entry(id()).or_default() += 1,
                _ if message.starts_with("done:") => {
                    let answered = run.answered.get(&id());
                    run.recorded_after
                        .extend(answered.map(|answered| moment(&line).duration_since(*answered).as_millis() as i64));
                    run.done.insert(id());
                }
                _ => {}
            }
        }
        Self(runs)
    }

    /// How long it took from the primary's answer until that was on disk, in milliseconds: nine in ten deliveries took no
    /// longer. A machine that does other things meanwhile makes some of them late.
    pub(crate) fn until_recorded(&self) -> i64 {
        let mut took: Vec<i64> = self.0.iter().flat_map(|run| run.recorded_after.iter().copied()).collect();
        took.sort_unstable();
        took.get(took.len() * 9 / 10).copied().expect("nothing was delivered")
    }

    /// Checks that nothing came again that the relay had on disk as delivered; that what it had not on disk was no more than
    /// it may be; and that what came twice did so because an answer was cut off, or the relay died before that was on disk.
    #[track_caller]
    pub(crate) fn only_what_was_not_on_disk_comes_again(&self, primary: &ScriptedPrimary) {
        for (number, run) in self.0.iter().enumerate() {
            for (id, times) in &run.delivered {
                assert_eq!(*times, 1, "{id} was delivered twice in run {number}");
            }
            for id in &run.done {
                let later = self.0.iter().skip(number + 1).position(|run| run.delivered.contains_key(id));
                assert_eq!(later, None, "{id} was on disk as delivered in run {number}, and was delivered again");
            }
            let again = |id: &String| self.0.iter().skip(number + 1).any(|later| later.delivered.contains_key(id));
            for (id, answered) in run.answered.iter().filter(|(id, _)| again(id)) {
                let lived = run.last.map_or(0, |last| last.duration_since(*answered).as_millis());
                assert!(lived < TOO_LONG_MS, "{id} was delivered {lived} ms before run {number} ended, and again");
            }
            let open = run.delivered.keys().filter(|id| !run.done.contains(*id)).count();
            assert!(open <= UNRECORDED, "in run {number} {open} deliveries were not on disk");
        }
        // Lines of a run that was killed may be missing, but not most.
        let of = |select: fn(&Run) -> usize| self.0.iter().map(select).sum::<usize>();
        let (delivered, done) = (of(|run| run.delivered.len()), of(|run| run.done.len()));
        assert!(done > delivered / 2, "the log tells of {delivered} deliveries, and of {done} that were on disk");
        let mut arrivals: HashMap<String, usize> = HashMap::new();
        for received in primary.received() {
            *arrivals.entry(id_of(&received)).or_default() += 1;
        }
        for (id, times) in arrivals {
            let taken = self.0.iter().position(|run| run.taken.contains(&id)).unwrap_or(0);
            let done = self.0.iter().position(|run| run.done.contains(&id)).unwrap_or(self.0.len() - 1);
            let kills = done.saturating_sub(taken);
            let cut_off: usize = self.0.iter().filter_map(|run| run.cut_off.get(&id)).sum();
            assert!(
                times <= 1 + kills + cut_off,
                "{id} arrived {times} times; the relay died {kills} times before that was on disk, and {cut_off} \
                 answers were cut off"
            );
        }
    }
}

/// When a line was written.
fn moment(line: &serde_json::Value) -> Timestamp {
    line["timestamp"].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no moment in {line}"))
}

/// The relay's id of a message that arrived: in the Received field on top.
fn id_of(received: &Received) -> String {
    let text = String::from_utf8_lossy(&received.content);
    let id = text.split("\tid ").nth(1).and_then(|rest| rest.split([';', '\r']).next());
    id.unwrap_or_else(|| panic!("no id in {text}")).to_owned()
}
