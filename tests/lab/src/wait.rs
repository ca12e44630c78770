//! Waiting for a condition, never for a length of time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(40);

/// Asks `look` again and again until it answers `Some`, at most for `within`.
///
/// An error of `look` counts as "not yet"; the last one is told when the time is over.
/// Returns what `look` found. The time that it took is the caller's to measure.
pub async fn wait_until<T, F>(what: &str, within: Duration, mut look: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    let end = Instant::now() + within;
    let mut last = None;
    loop {
        match tokio::time::timeout_at(end.into(), look()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        if Instant::now() >= end {
            match last {
                Some(error) => bail!("not within {within:?}: {what} (last error: {error:#})"),
                None => bail!("not within {within:?}: {what}"),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
