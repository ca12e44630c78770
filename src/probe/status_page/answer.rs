//! What an answer says: a number, the word `"unknown"`, or something that is neither. Pure.

use std::fmt;
use std::time::Duration;

use hyper::header::{AGE, DATE, HeaderMap, HeaderName, LAST_MODIFIED, LOCATION};
use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::facts::{Failure, StatusPageFacts};
use crate::http_client::Response;
use crate::names::FailureKind;
use crate::units::Bytes;

/// The one documented key.
const KEY: &str = "postgres_lag_bytes";
/// So much of an answer that is not understood is shown.
const EXCERPT: usize = 80;
/// No standby is further behind than this, in bytes (1 PiB). What is larger was a negative number once, or is no lag at all.
const LARGEST: f64 = 1_125_899_906_842_624.0;

/// Reads an answer of the page that is shown as `shown`.
///
/// # Errors
/// By status and content; anything but a number and `"unknown"` is `protocol`.
pub(super) fn read(response: &Response, shown: &str) -> Result<StatusPageFacts, Failure> {
    check_status(response, shown)?;
    let wrong = |what: String| Failure::new(FailureKind::Protocol, format!("{shown}: {what}"));
    let page: Page = serde_json::from_slice(&response.body).map_err(|error| {
        let body = response.excerpt(EXCERPT);
        if body.starts_with('<') {
            return wrong(format!("a web page came instead of JSON: is it a login? Check status_url ({body})"));
        }
        let error = response.excerpt_of(&error.to_string(), EXCERPT);
        wrong(format!("not the JSON that was expected: {error}; check status_url ({body})"))
    })?;
    let Some(value) = page.0 else {
        return Err(wrong(format!("its JSON has no key {KEY}; check status_url")));
    };
    let lag = match &value {
        Value::String(text) if text.trim() == "unknown" => None,
        value => Some(number(value).map_err(|what| {
            let value = response.excerpt_of(&value.to_string(), EXCERPT);
            wrong(format!("{KEY} is {value}: {what}; ask the vendor"))
        })?),
    };
    Ok(StatusPageFacts { lag, age: age(&response.headers) })
}

fn check_status(response: &Response, shown: &str) -> Result<(), Failure> {
    let (kind, text) = match response.status {
        200..300 => return Ok(()),
        300..=399 => return Err(redirected(response, shown)),
        401 | 407 => (
            FailureKind::Authentication,
            "asks for a login; check user and password in status_access, or let this machine in without one".to_owned(),
        ),
        403 => {
            (FailureKind::Permission, "is not for us; let this user or machine read it on the vendor's side".to_owned())
        }
        404 | 410 => (FailureKind::Protocol, "is not there; check the path in status_url".to_owned()),
        500.. => (FailureKind::Protocol, format!("has an error of its own (HTTP {}); ask the vendor", response.status)),
        other => (FailureKind::Protocol, format!("answers with HTTP {other}; check status_url")),
    };
    Err(Failure::new(kind, format!("{shown} {text}")))
}

/// Where a redirect leads tells what is missing. It is not followed, and its query is not shown: a token may stand there.
fn redirected(response: &Response, shown: &str) -> Failure {
    let target = response.headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let path = target.as_deref().and_then(|target| target.split(['?', '#']).next()).map(str::to_owned);
    let lower = path.as_deref().map(str::to_lowercase);
    let to_login = lower.is_some_and(|path| {
        ["login", "logon", "signin", "sign_in", "sign-in", "sso", "auth", "saml"].iter().any(|word| path.contains(word))
    });
    let leads = match path.filter(|path| !path.contains('@')) {
        Some(path) => format!("leads elsewhere ({})", response.excerpt_of(&path, EXCERPT)),
        None => "leads elsewhere".to_owned(),
    };
    if to_login {
        let cure = "that is a login: give user and password in status_access, or let this machine in without one";
        return Failure::new(FailureKind::Authentication, format!("{shown} {leads}; {cure}"));
    }
    let cure = "redirects are not followed: write the page's own address in status_url";
    Failure::new(FailureKind::Protocol, format!("{shown} {leads}; {cure}"))
}

/// Bytes, written as a number or as text that holds one.
fn number(value: &Value) -> Result<Bytes, &'static str> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => plain(text.trim()),
        _ => None,
    };
    // The sign is looked at as well: a lag of -0 is no number that a working page tells.
    match number {
        None => Err("neither a number nor \"unknown\""),
        Some(number) if number.is_sign_negative() => Err("a lag is never negative"),
        Some(number) if number > LARGEST => Err("no standby can be so far behind"),
        Some(number) => Ok(whole(number)),
    }
}

/// Digits, perhaps with a fraction. No `inf`, no `nan`, no exponent, no sign but the minus that is refused later.
fn plain(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let fits = digits.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    let begins = digits.starts_with(|letter: char| letter.is_ascii_digit());
    if fits && begins && !digits.ends_with('.') { text.parse().ok() } else { None }
}

/// The next whole number: of half a byte, one is behind.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn whole(number: f64) -> Bytes {
    Bytes(number.ceil() as u64)
}

/// The age of an answer by the clocks that made it: what a cache adds, and what lies between the page's own writing and its being
/// sent. Both times are of one machine, so their difference is an age, whatever that machine's clock says.
fn age(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let in_cache = text(AGE).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let moment = |name| jiff::fmt::rfc2822::parse(text(name)?).ok().map(|zoned| zoned.timestamp());
    let written = moment(DATE).zip(moment(LAST_MODIFIED)).and_then(|(sent, written)| {
        // Written after it was sent: whatever that means, it is no age.
        Duration::try_from(sent.duration_since(written)).ok()
    });
    match (in_cache, written) {
        (Some(cached), Some(written)) => Some(cached.saturating_add(written)),
        (one, other) => one.or(other),
    }
}

/// The page's object, of which only one key is kept. `None`: it has no such key.
struct Page(Option<Value>);

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneKey)
    }
}

struct OneKey;

impl<'de> Visitor<'de> for OneKey {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != KEY {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value::<Value>()?).is_some() {
                // Which of the two counts is anybody's guess.
                return Err(A::Error::duplicate_field(KEY));
            }
        }
        Ok(Page(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(HeaderName, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        Response { status, headers, body: body.as_bytes().to_vec(), hidden: Vec::new() }
    }

    fn said(body: &str) -> Result<StatusPageFacts, Failure> {
        read(&response(200, &[], body), "https://vendor/monitor/replication")
    }

    fn failed(response: &Response) -> (FailureKind, String) {
        let failure = read(response, "https://vendor/monitor/replication").unwrap_err();
        assert!(failure.message.starts_with("https://vendor/monitor/replication"), "{failure}");
        (failure.kind, failure.message)
    }

    #[test]
    fn a_number_and_a_numeric_string_are_known() {
        for (body, bytes) in [
            (r#"{"postgres_lag_bytes": 0}"#, 0),
            (r#"{"postgres_lag_bytes": 4096}"#, 4096),
            (r#"{"postgres_lag_bytes": "4096"}"#, 4096),
            (r#"{"postgres_lag_bytes": " 4096 "}"#, 4096),
            (r#"{"postgres_lag_bytes": 4096.0}"#, 4096),
            (r#"{"postgres_lag_bytes": "4095.2"}"#, 4096),
            (r#"{"postgres_lag_bytes": 1.5e6}"#, 1_500_000),
            (r#"{"other": [1, {"postgres_lag_bytes": 7}], "postgres_lag_bytes": 5, "more": null}"#, 5),
        ] {
            assert_eq!(said(body).unwrap().lag, Some(Bytes(bytes)), "{body}");
        }
    }

    #[test]
    fn the_word_unknown_is_an_answer_without_a_number() {
        assert_eq!(said(r#"{"postgres_lag_bytes": "unknown"}"#), Ok(StatusPageFacts::default()));
    }

    #[test]
    fn everything_else_is_no_number() {
        for (body, word) in [
            ("", "not the JSON"),
            ("4096", "not the JSON"),
            ("[4096]", "not the JSON"),
            ("\"unknown\"", "not the JSON"),
            ("null", "not the JSON"),
            (r#"{"postgres_lag_bytes": 40"#, "EOF"),
            (r#"{"postgres_lag_bytes": 40} and more"#, "trailing"),
            (r#"{"postgres_lag_bytes": 0, "postgres_lag_bytes": "unknown"}"#, "duplicate"),
            (r#"{"postgres_lag_bytes": NaN}"#, "not the JSON"),
            (r#"{"postgres_lag_bytes": 1e999}"#, "not the JSON"),
            ("<!doctype html><title>Sign in</title>", "is it a login"),
            ("{}", "no key postgres_lag_bytes"),
            (r#"{"lag": 0}"#, "no key postgres_lag_bytes"),
            (r#"{"pairs": {"a": {"postgres_lag_bytes": 0}}}"#, "no key postgres_lag_bytes"),
            (r#"{"postgres_lag_bytes": null}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": true}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": [0]}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": ""}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": "NaN"}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": "inf"}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": "1e3"}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": "4 MB"}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": "1.2.3"}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": "Unknown error"}"#, "neither a number"),
            (r#"{"postgres_lag_bytes": -1}"#, "never negative"),
            (r#"{"postgres_lag_bytes": "-4096"}"#, "never negative"),
            (r#"{"postgres_lag_bytes": -0.0}"#, "never negative"),
            (r#"{"postgres_lag_bytes": 18446744073709547520}"#, "so far behind"),
            (r#"{"postgres_lag_bytes": "18446744073709547520"}"#, "so far behind"),
            (r#"{"postgres_lag_bytes": 1e300}"#, "so far behind"),
        ] {
            let failure = said(body).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Protocol, "{body}");
            assert!(failure.message.contains(word), "{body}: {failure}");
        }
    }

    #[test]
    fn each_status_has_its_kind_and_its_cure_and_no_number_counts_beside_it() {
        for (status, kind, word) in [
            (204, FailureKind::Protocol, "not the JSON"),
            (401, FailureKind::Authentication, "status_access"),
            (403, FailureKind::Permission, "vendor's side"),
            (404, FailureKind::Protocol, "check the path"),
            (418, FailureKind::Protocol, "HTTP 418"),
            (500, FailureKind::Protocol, "ask the vendor"),
            (503, FailureKind::Protocol, "HTTP 503"),
        ] {
            let body = if status == 204 { "" } else { r#"{"postgres_lag_bytes": 0}"# };
            let (told, message) = failed(&response(status, &[], body));
            assert_eq!(told, kind, "{status}");
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_redirect_to_a_login_is_told_as_such_and_shows_no_token() {
        let to = |target: &str| failed(&response(302, &[(LOCATION, target)], r#"{"postgres_lag_bytes": 0}"#));
        let (kind, message) = to("https://vendor/Login?next=%2Fmonitor&token=hunter2");
        assert_eq!(kind, FailureKind::Authentication);
        assert!(message.contains("https://vendor/Login") && !message.contains("hunter2"), "{message}");
        let (kind, message) = to("https://vendor:8443/monitor/replication");
        assert_eq!(kind, FailureKind::Protocol);
        assert!(message.contains("write the page's own address"), "{message}");
        assert!(!to("https://me:hunter2@vendor/").1.contains("hunter2"));
        assert_eq!(failed(&response(301, &[], "")).0, FailureKind::Protocol);
    }

    #[test]
    fn the_age_of_an_answer_is_told_by_the_clocks_that_made_it() {
        let aged = |headers: &[(HeaderName, &str)]| {
            read(&response(200, headers, r#"{"postgres_lag_bytes": 0}"#), "x").unwrap().age.map(|age| age.as_secs())
        };
        let date = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        let written = (LAST_MODIFIED, "Sun, 06 Nov 1994 08:47:37 GMT");
        assert_eq!(aged(&[]), None);
        assert_eq!(aged(std::slice::from_ref(&date)), None, "when it was sent is no age");
        assert_eq!(aged(&[date.clone(), written.clone()]), Some(120));
        assert_eq!(aged(&[date.clone(), written.clone(), (AGE, "30")]), Some(150));
        assert_eq!(aged(&[(AGE, "30")]), Some(30));
        assert_eq!(aged(&[(AGE, "soon"), (LAST_MODIFIED, "yesterday")]), None);
        assert_eq!(aged(&[(DATE, written.1), (LAST_MODIFIED, date.1)]), None, "from the future");
    }
}
