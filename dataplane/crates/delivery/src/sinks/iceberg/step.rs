//! One step of the many that a commit takes, taken again when it fails in passing: all would have to go well
//! in a row otherwise, which they seldom do where one of ten fails.

use std::time::Duration;

const PAUSES: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1)];

/// Takes a step that may be taken twice.
pub(super) async fn taken<T, E, F: Future<Output = Result<T, E>>>(
    mut take: impl FnMut() -> F,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for pause in PAUSES {
        match take().await {
            Err(error) if may_pass(&error) => tokio::time::sleep(pause).await,
            taken => return taken,
        }
    }
    take().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(fails: usize, may_pass: bool, want: (Result<(), ()>, usize)) {
        let mut times = 0;
        let take = || {
            times += 1;
            std::future::ready(if times <= fails { Err(()) } else { Ok(()) })
        };
        let taken = taken(take, |()| may_pass).await;
        assert_eq!((taken, times), want);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_fails_in_passing_is_taken_a_few_times() {
        check(0, true, (Ok(()), 1)).await;
        check(3, true, (Ok(()), 4)).await;
        check(4, true, (Err(()), 4)).await;
        check(1, false, (Err(()), 1)).await;
    }
}
