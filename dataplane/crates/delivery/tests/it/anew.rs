//! A stream that is deleted and made anew under its name is another stream, with shards of the same names.

use std::time::Duration;

use catalog::StreamUid;

use crate::home::{Home, line};

const DELIVERED_MAX: Duration = Duration::from_secs(60);

/// Puts lines, and waits until they are delivered.
async fn bring(home: &Home, numbers: std::ops::Range<u32>) {
    home.put(numbers.clone()).await;
    let all = async {
        loop {
            let lines = home.stores.lines("lake", "");
            let is_there = |number| lines.iter().any(|it| *it == line(number).trim_end());
            if numbers.clone().all(is_there) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let delivered = tokio::time::timeout(DELIVERED_MAX, all).await;
    assert!(delivered.is_ok(), "{numbers:?} are not delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_that_were_read_to_their_end_are_read_when_their_stream_is_made_anew() {
    let home = Home::new(1).await;
    let stream = home.delivery_stream(
        r#""buffering": {"sizeMiB": 1, "intervalSeconds": 0},
            "destination": {"s3": {"bucket": "lake"}}"#,
    );
    let group = home.deliver(&stream, 64 << 20);
    bring(&home, 0..3).await;
    home.split().await;
    // What is in the children is read when their parent is finished.
    bring(&home, 3..6).await;
    home.create(StreamUid(9), 1).await;
    bring(&home, 6..9).await;
    group.stop(Duration::from_secs(20)).await;
    home.end().await;
}
