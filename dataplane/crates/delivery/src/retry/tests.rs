//! In virtual time: nothing here waits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use delivery_core::objects::RefusedRecord;
use model::ShardId;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::*;
use crate::sinks::testing::{TestSecrets, batch};
use crate::status::Statuses;
use crate::testing::{TestBucket, context};

const SECOND: Duration = Duration::from_secs(1);
const HOURS_2: Duration = Duration::from_secs(7_200);

/// What a sink says to an attempt, from the number of records.
type Say = fn(usize) -> Attempt;

/// A sink that says what is listed, and then that all is to come again; it knows when it was asked.
#[derive(Default)]
struct TestSink {
    says: Mutex<VecDeque<Say>>,
    asked: Mutex<Vec<(Duration, usize)>>,
    started: Option<Instant>,
}

impl TestSink {
    fn new(says: &[Say]) -> TestSink {
        let says = says.iter().copied().collect();
        TestSink { says: Mutex::new(says), started: Some(Instant::now()), ..TestSink::default() }
    }

    /// When, and with how many records.
    fn asked(&self) -> Vec<(Duration, usize)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn times(&self) -> Vec<Duration> {
        self.asked().into_iter().map(|(at, _)| at).collect()
    }
}

impl Sink for TestSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send + 'a>> {
        let count = batch.records.len();
        let at = self.started.unwrap().elapsed();
        self.asked.lock().unwrap().push((at, count));
        let say = self.says.lock().unwrap().pop_front().unwrap_or(again);
        Box::pin(async move { say(count) })
    }

    fn document(&self, _: &DeliveryRecord, _: &Failure, _: RefusedRecord<'_>) -> Vec<u8> {
        Vec::new()
    }
}

fn failure() -> Failure {
    Failure::new("X", "no")
}

fn again(count: usize) -> Attempt {
    Attempt::all_again(count, &failure())
}

fn last_again(count: usize) -> Attempt {
    Attempt { again: vec![(count - 1, failure())], ..taken(count) }
}

fn refused(count: usize) -> Attempt {
    Attempt { refused: (0..count).map(|at| (at, failure())).collect(), ..taken(count) }
}

fn taken(_: usize) -> Attempt {
    Attempt::default()
}

/// The destination wishes to be left alone for so long.
fn busy<const SECONDS: u64>(count: usize) -> Attempt {
    Attempt { pause: Some(Duration::from_secs(SECONDS)), ..again(count) }
}

struct Home {
    context: Context,
    statuses: Statuses,
}

impl Home {
    fn new(random: fn() -> f64) -> Home {
        let (bucket, secrets) = (TestBucket::default(), TestSecrets::default());
        let statuses = Statuses::default();
        let context = context(&bucket, Arc::new(secrets), &mut Registry::default(), &statuses);
        Home { context: Context { random, ..context }, statuses }
    }

    /// What the destination said last, and to how many attempts.
    fn failing(&self) -> Option<(String, u32)> {
        let failing = self.statuses.of(&"clicks".parse().unwrap()).failing();
        failing.map(|failing| (failing.what, failing.attempts))
    }

    /// A batch of three records.
    async fn deliver(&self, sink: &TestSink, retry_for: Duration) -> Vec<Undelivered> {
        let status = self.statuses.of(&"clicks".parse().unwrap()).shard("clicks", ShardId(0));
        deliver(&self.context, &status, sink, batch(&["a", "b", "c"]), retry_for).await
    }
}

/// From one attempt to the next.
fn pauses(times: &[Duration]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_two_minutes_each_longer_or_shorter_by_chance() {
    let whole = [1, 2, 4, 8, 16, 32, 64, 120, 120, 120];
    for (random, shortest, longest) in
        [((|| 0.0) as fn() -> f64, 0.85, 0.85), (|| 1.0, 1.15, 1.15), (rand::random, 0.85, 1.15)]
    {
        let home = Home::new(random);
        let sink = TestSink::new(&[again as Say; 10]);
        sink.says.lock().unwrap().push_back(taken);
        assert_eq!(home.deliver(&sink, HOURS_2).await.len(), 0);
        let pauses = pauses(&sink.times());
        assert_eq!(pauses.len(), whole.len());
        for (pause, whole) in pauses.into_iter().zip(whole) {
            // Timers go by milliseconds.
            let bound = |factor: f64| (f64::from(whole) * factor).min(120.0);
            assert!(
                (bound(shortest) - 0.002..=bound(longest) + 0.002).contains(&pause.as_secs_f64()),
                "{pause:?} for {whole} s"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_asks_to_be_left_alone_is() {
    let home = Home::new(|| 0.5);
    let sink = TestSink::new(&[busy::<30>, busy::<1>, again, busy::<0>, taken]);
    assert_eq!(home.deliver(&sink, HOURS_2).await.len(), 0);
    // For longer than the schedule has it, never for less.
    assert_eq!(pauses(&sink.times()), [30, 2, 4, 8].map(Duration::from_secs));
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_is_when_the_time_for_retries_ends() {
    let home = Home::new(|| 0.5);
    let sink = TestSink::new(&[]);
    let undelivered = home.deliver(&sink, 10 * SECOND).await;
    assert_eq!(sink.times(), [0, 1, 3, 7, 10].map(Duration::from_secs));
    assert_eq!(undelivered.len(), 3);
    assert!(undelivered.iter().all(|it| it.attempts == 5 && it.failure == failure()));
    // A wish to be left alone for longer makes no difference.
    let home = Home::new(|| 0.5);
    let sink = TestSink::new(&[busy::<3_600>]);
    assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 3);
    assert_eq!(sink.times(), [0, 10].map(Duration::from_secs));
}

#[tokio::test(start_paused = true)]
async fn without_time_for_retries_there_is_one_attempt() {
    let home = Home::new(|| 0.5);
    let sink = TestSink::new(&[]);
    assert_eq!(home.deliver(&sink, Duration::ZERO).await.len(), 3);
    assert_eq!(sink.times(), [Duration::ZERO]);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_away_gets_one_attempt_for_a_batch_until_it_takes_one() {
    let home = Home::new(|| 0.5);
    let sink = TestSink::new(&[]);
    for attempts in [5, 1, 1] {
        assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 3);
        assert_eq!(sink.times().len(), attempts);
        tokio::time::sleep(SECOND).await;
    }
    sink.says.lock().unwrap().push_back(taken);
    assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 0);
    assert_eq!(sink.times().len(), 1);
    // Time is counted anew.
    assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 3);
    assert_eq!(sink.times().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn only_what_was_not_taken_comes_again_and_time_is_counted_from_what_was_last_taken() {
    let home = Home::new(|| 0.5);
    let first_refused = |count| Attempt {
        refused: vec![(0, failure())],
        again: vec![(1, failure()), (2, failure())],
        ..taken(count)
    };
    let sink = TestSink::new(&[first_refused, last_again]);
    let undelivered = home.deliver(&sink, 10 * SECOND).await;
    let attempts = undelivered.iter().map(|it| (it.record.origin.offset.0, it.attempts));
    // Refused at once; and once there is no time any more.
    assert_eq!(attempts.collect::<Vec<_>>(), [(0, 1), (2, 5)]);
    let asked = sink.asked();
    assert_eq!(asked.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [3, 2, 1, 1, 1]);
    // The second attempt took one: ten seconds from there.
    assert_eq!(asked[4].0, 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_straggler_in_each_batch_does_not_hold_up_each_for_as_long() {
    let home = Home::new(|| 0.5);
    let sink = TestSink::new(&[last_again]);
    assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 1);
    assert_eq!(sink.times(), [0, 1, 3, 7, 10].map(Duration::from_secs));
    for _ in 0..3 {
        sink.says.lock().unwrap().push_back(last_again);
        assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 1);
        assert_eq!(sink.times().len(), 2);
    }
    // Of thirty seconds, three.
    tokio::time::sleep(30 * SECOND).await;
    sink.says.lock().unwrap().push_back(last_again);
    assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 1);
    assert_eq!(pauses(&sink.times()), [1, 2].map(Duration::from_secs));
    // After an outage it is not known that there were stragglers.
    assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 3);
    sink.asked();
    sink.says.lock().unwrap().push_back(last_again);
    assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 1);
    assert_eq!(sink.times().len(), 5);
    // One that is taken in the end costs nothing.
    tokio::time::sleep(100 * SECOND).await;
    for _ in 0..3 {
        sink.says.lock().unwrap().extend([last_again as Say, again, again, taken]);
        assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 0);
        assert_eq!(sink.asked().len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn stragglers_are_left_alone_for_no_longer_than_there_is_time_for_them() {
    let busy_again = |count| Attempt { pause: Some(Duration::from_secs(60)), ..last_again(count) };
    let home = Home::new(|| 0.5);
    let sink = TestSink::new(&[]);
    for times in [&[0, 10][..], &[0, 1]] {
        sink.asked();
        let before = sink.started.unwrap().elapsed();
        sink.says.lock().unwrap().push_back(busy_again);
        assert_eq!(home.deliver(&sink, 10 * SECOND).await.len(), 1);
        let asked: Vec<u64> = sink.times().iter().map(|at| (*at - before).as_secs()).collect();
        assert_eq!(asked, times);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_stragglers_nothing_whatever_is_refused_meanwhile() {
    let home = Home::new(|| 0.5);
    // One is refused before the destination is asked, which is away.
    let one_refused = |count| Attempt {
        refused: vec![(0, failure())],
        again: (1..count).map(|at| (at, failure())).collect(),
        pause: None,
    };
    let sink = TestSink::new(&[one_refused]);
    home.deliver(&sink, 10 * SECOND).await;
    assert_eq!(sink.times().len(), 5);
    // Nor does that begin the time anew.
    sink.says.lock().unwrap().push_back(one_refused);
    home.deliver(&sink, 10 * SECOND).await;
    assert_eq!(sink.times().len(), 1);
    sink.says.lock().unwrap().push_back(last_again);
    home.deliver(&sink, 10 * SECOND).await;
    assert_eq!(sink.times().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_takes_nothing_says_why_until_it_does() {
    let home = Home::new(|| 0.5);
    let sink = TestSink::new(&[]);
    for attempts in [5, 6, 7] {
        home.deliver(&sink, 10 * SECOND).await;
        assert_eq!(home.failing(), Some(("no".to_owned(), attempts)));
        // Objects that arrive meanwhile, in the backup, make no difference.
        let status = home.statuses.of(&"clicks".parse().unwrap()).shard("clicks", ShardId(0));
        put(&home.context, &status, &TestBucket::default(), ("k", None), Bytes::new()).await;
        assert_eq!(home.failing(), Some(("no".to_owned(), attempts)));
    }
    sink.says.lock().unwrap().push_back(refused);
    home.deliver(&sink, 10 * SECOND).await;
    assert_eq!(home.failing(), Some(("no".to_owned(), 8)));
    // After a while without records nobody knows whether that is still so.
    let status = home.statuses.of(&"clicks".parse().unwrap()).shard("clicks", ShardId(0));
    status.is_behind(0, Some(UnixMillis(0)));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(home.failing().is_some());
    status.is_behind(0, None);
    assert_eq!(home.failing(), None);
    home.deliver(&sink, 10 * SECOND).await;
    assert!(home.failing().is_some());
    let first_refused = |count| Attempt { refused: vec![(0, failure())], ..taken(count) };
    sink.says.lock().unwrap().push_back(first_refused);
    home.deliver(&sink, 10 * SECOND).await;
    assert_eq!(home.failing(), None);
}

#[tokio::test]
async fn a_step_that_fails_is_told_until_it_succeeds_or_is_left() {
    let status = Statuses::default().of(&"clicks".parse().unwrap());
    let shard = status.shard("clicks", ShardId(0));
    let what = || status.failing().map(|failing| failing.what);
    let (one, other) = (shard.step(), shard.step());
    other.fails(UnixMillis(0), 1, "other");
    one.succeeds();
    assert_eq!(what().as_deref(), Some("other"));
    drop(other);
    assert_eq!(what(), None);
}
