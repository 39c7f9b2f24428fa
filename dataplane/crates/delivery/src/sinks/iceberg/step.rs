//! One step of the many that a commit takes, taken again when it fails in passing: all would have to go well
//! in a row otherwise, which they seldom do where one of ten fails.

use std::time::Duration;

use tokio::time::Instant;

use super::commit::pause;

/// Whoever waits longer for a step is told what went wrong, and tries again all that there is to do.
const STEP_MAX: Duration = Duration::from_secs(5);

/// Takes a step that may be taken twice. Those of other seeds wait for other times.
pub(super) async fn taken<T, E: std::error::Error, F: Future<Output = Result<T, E>>>(
    seed: i64,
    mut take: impl FnMut() -> F,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let begun = Instant::now();
    let mut times = 0;
    loop {
        match take().await {
            Err(error) if begun.elapsed() < STEP_MAX && may_pass(&error) => {
                tracing::debug!("a step will be taken again: {error}");
            }
            taken => return taken,
        }
        times += 1;
        tokio::time::sleep(pause(seed, times)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("it fails")]
    struct Fails;

    async fn check(fails: u32, lasts: Duration, may_pass: bool, want: (Result<(), Fails>, u32)) {
        let mut times = 0;
        let take = || {
            times += 1;
            let done = if times <= fails { Err(Fails) } else { Ok(()) };
            async move {
                tokio::time::sleep(lasts).await;
                done
            }
        };
        let taken = taken(7, take, |_| may_pass).await;
        assert_eq!((taken, times), want);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_fails_in_passing_is_taken_again_for_a_while() {
        let quick = Duration::ZERO;
        check(0, quick, true, (Ok(()), 1)).await;
        check(4, quick, true, (Ok(()), 5)).await;
        check(1, quick, false, (Err(Fails), 1)).await;
        check(100, quick, true, (Err(Fails), 7)).await;
        check(100, STEP_MAX, true, (Err(Fails), 1)).await;
    }
}
