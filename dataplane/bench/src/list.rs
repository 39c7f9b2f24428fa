//! Pages of many streams: each costs the same, wherever it is.

use std::time::{Duration, Instant};

use anyhow::ensure;
use catalog::{Entries, LocalCatalog, Settings, Stream, StreamUid};
use model::{Boundaries, UnixMillis};

use crate::{Args, say};

const STREAMS: usize = 10_000;
const PAGE: usize = 100;
/// Listings of each page, of which the median counts.
const REPEATS: usize = 1_001;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(&args.dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let catalog = LocalCatalog::open(directory.path())?;
    runtime.block_on(async {
        for number in 0..STREAMS {
            let (name, desired) = (format!("stream-{number:05}").parse()?, Boundaries::uniform(1)?);
            let (uid, created) = (StreamUid(number as u64), UnixMillis(1));
            let stream = Stream::new(name, uid, created, desired, Settings::default());
            catalog.create(stream).await?;
        }
        anyhow::Ok(())
    })?;
    let started = Instant::now();
    let reopened = LocalCatalog::open(directory.path())?;
    let opening = started.elapsed();
    say(&format!("list: {STREAMS} streams read at start in {} ms", opening.as_millis()));
    for (what, after) in [("first", None), ("middle", Some(4_999)), ("last", Some(9_899))] {
        let after = after.map(|number: usize| format!("stream-{number:05}"));
        let mut times: Vec<Duration> = (0..REPEATS)
            .map(|_| {
                let started = Instant::now();
                let page = reopened.list(after.as_deref(), PAGE);
                let time = started.elapsed();
                assert_eq!(page.len(), PAGE);
                time
            })
            .collect();
        times.sort_unstable();
        say(&format!(
            "list: {what} page of {PAGE}: {:.1} us",
            times[REPEATS / 2].as_secs_f64() * 1e6
        ));
    }
    let mut after = None;
    let mut pages = 0;
    let started = Instant::now();
    loop {
        let page = reopened.list(after.as_deref(), PAGE);
        let Some(last) = page.last() else { break };
        after = Some(last.name.to_string());
        pages += 1;
    }
    ensure!(pages == STREAMS / PAGE, "{pages} pages");
    say(&format!("list: all {pages} pages in {:.1} ms", started.elapsed().as_secs_f64() * 1e3));
    Ok(())
}
