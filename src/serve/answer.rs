//! How answers look: every one carries the security headers, none may be stored.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};

use crate::facts::{Manifest, TREE_HEAD, TreeHead};

/// An answer whose body is at hand.
pub(super) type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// The page's style stands in the page; nothing else may be loaded, run, framed or sent.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SECURITY: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];

pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// One line of text.
pub(super) fn text(status: StatusCode, line: &str) -> Answer {
    answer(status, TEXT, format!("{line}\n"))
}

/// JSON with its own end of line.
pub(super) fn json(status: StatusCode, body: String) -> Answer {
    answer(status, JSON, body)
}

/// A whole manifest; several answers share the one that is held.
pub(super) fn manifest(head: &TreeHead, manifest: Arc<Manifest>) -> Answer {
    let Some(head) = serde_json::to_vec(head).ok().and_then(|head| HeaderValue::from_bytes(&head).ok()) else {
        return json_error(StatusCode::INTERNAL_SERVER_ERROR, "The tree cannot be told.");
    };
    let mut answer = answer(StatusCode::OK, "application/octet-stream", Bytes::from_owner(Records(manifest)));
    answer.headers_mut().insert(TREE_HEAD, head);
    answer
}

struct Records(Arc<Manifest>);

impl AsRef<[u8]> for Records {
    fn as_ref(&self) -> &[u8] {
        self.0.records()
    }
}

/// An error for programs, as JSON on one line.
pub(super) fn json_error(status: StatusCode, message: &str) -> Answer {
    json(status, format!("{}\n", serde_json::json!({ "error": message })))
}

/// The page.
pub(super) fn html(body: String) -> Answer {
    answer(StatusCode::OK, HTML, body)
}

/// Metrics, compressed for those who accept it.
pub(super) fn metrics(content_type: &'static str, body: String, asked: &HeaderMap) -> Answer {
    let compressed = accepts_gzip(asked).then(|| gzip(body.as_bytes())).flatten();
    let mut answer = match compressed {
        Some(compressed) => {
            let mut answer = answer(StatusCode::OK, content_type, compressed);
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer
        }
        None => answer(StatusCode::OK, content_type, body),
    };
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    answer
}

/// The path is there, the method is not.
pub(super) fn wrong_method() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are answered here.");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

/// The path takes nothing but POST.
pub(super) fn only_post() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Only POST is answered here.");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    answer
}

/// No request here has a body; the connection is closed instead of reading it.
pub(super) fn body_refused() -> Answer {
    closing(text(StatusCode::PAYLOAD_TOO_LARGE, "No request here takes a body."))
}

/// The connection ends with this answer, whatever of the request was not read.
pub(super) fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// More connections than `--web.max-requests`.
pub(super) fn too_many_connections() -> Answer {
    let mut answer = text(
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many connections at the same time; try again, or raise --web.max-requests.",
    );
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// `gzip` is named and not refused with `q=0`.
fn accepts_gzip(asked: &HeaderMap) -> bool {
    let named = |value: &str| {
        value.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
                && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
    };
    asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(named)
}

/// At the fastest level: the text is repetitive, and a scrape should cost little.
fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
