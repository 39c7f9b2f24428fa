//! Streams that do what their test tells them to.

use std::sync::Mutex;

use super::{StreamError, StreamPuts, StreamRecord, Streams};

/// What becomes of a record, by its data.
type Answer = fn(&str) -> Result<(), StreamError>;

pub(crate) struct TestStreams {
    /// For one put each; after these all records are taken.
    answers: Mutex<std::vec::IntoIter<Answer>>,
    /// Records as in `key:data`, in the order they were taken.
    taken: Mutex<Vec<String>>,
}

impl TestStreams {
    pub(crate) fn scripted(answers: Vec<Answer>) -> TestStreams {
        TestStreams { answers: Mutex::new(answers.into_iter()), taken: Mutex::default() }
    }

    pub(crate) fn taken(&self) -> String {
        self.taken.lock().unwrap().join(" ")
    }
}

impl Streams for TestStreams {
    fn put<'a>(&'a self, _: &'a str, records: &'a [StreamRecord]) -> StreamPuts<'a> {
        let answer = self.answers.lock().unwrap().next().unwrap_or(|_| Ok(()));
        let put = |StreamRecord { partition_key, data }: &StreamRecord| {
            let data = str::from_utf8(data).unwrap();
            answer(data)?;
            let shown: String = data.chars().take(8).collect();
            self.taken.lock().unwrap().push(format!("{partition_key}:{shown}"));
            Ok(())
        };
        let answers = records.iter().map(put).collect();
        Box::pin(async { answers })
    }
}
