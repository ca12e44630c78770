//! An alert's end is read on the Alertmanager's clock. If that is minutes ahead of this machine's, an alert that fires would count as
//! over before it arrives, and nobody would be told.

use std::time::Duration;

use hyper::header::DATE;

use crate::clock::WallTime;
use crate::http_client::Response;

/// A clock that is ahead by less does no harm: an alert's end lies three minutes ahead.
const MATTERS: Duration = Duration::from_secs(10);

/// By how much the clock that answered is ahead of ours for certain, by the answer's own date (RFC 9110, 6.6.1): it was made before it
/// arrived here. Nothing if that does not matter, or is not told.
pub(super) fn ahead(answer: &Response, arrived: WallTime) -> Duration {
    let told = answer.headers.get(DATE).and_then(|date| date.to_str().ok());
    let date = told.and_then(|date| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    // A default is right: who does not tell the time is taken to have the same.
    let ahead = date.and_then(|date| Duration::try_from_secs_f64(date.as_duration().as_secs_f64() - arrived.0).ok());
    ahead.filter(|ahead| *ahead >= MATTERS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(date: &str) -> Response {
        let mut answer = Response::default();
        answer.headers.insert(DATE, date.parse().expect("a header"));
        answer
    }

    #[test]
    fn only_a_clock_that_is_ahead_counts() {
        let at = WallTime(784_111_777.5);
        let cases = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
            ("Sun, 06 Nov 1994 08:49:44 GMT", 0.0),
            ("Sun, 06 Nov 1994 08:59:37 GMT", 599.5),
            ("Sun, 06 Nov 1994 08:39:37 GMT", 0.0),
            ("yesterday", 0.0),
            ("", 0.0),
        ];
        for (date, expected) in cases {
            assert!((ahead(&told(date), at).as_secs_f64() - expected).abs() < 1e-6, "{date}");
        }
        assert_eq!(ahead(&Response::default(), at), Duration::ZERO);
    }
}
