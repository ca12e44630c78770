//! A store that is asked over HTTP, by the requests that the operator has written down.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::store::WriteFailure;
use crate::config::{HttpOperation, HttpStoreNode};
use crate::facts::Failure;
use crate::http_client::{Connection, Response};
use crate::names::{FailureKind, Name};
use crate::probe::password::password_of;

/// An answer of this size is no canary's, and no key's that is worth comparing.
const MOST: usize = 1 << 20;

/// What stays as it is in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// One node's store.
pub struct HttpStore {
    node: Name,
    settings: HttpStoreNode,
    connection: Option<Connection>,
}

/// What is filled into a request.
struct Filling<'a> {
    key: &'a str,
    value: &'a str,
    ttl: Duration,
}

impl Filling<'_> {
    fn in_text(&self, template: &str, written: impl Fn(&str) -> String) -> String {
        let seconds = self.ttl.as_secs().max(1).to_string();
        let parts = [
            ("{key_base64}", written(&BASE64.encode(self.key))),
            ("{value_base64}", written(&BASE64.encode(self.value))),
            ("{ttl_seconds}", seconds),
            ("{key}", written(self.key)),
            ("{value}", written(self.value)),
        ];
        // One walk, so that what is filled in is never taken for a place to fill in.
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some((place, part)) = parts.iter().find(|(place, _)| rest.starts_with(place)) {
                text.push_str(part);
                rest = &rest[place.len()..];
            } else {
                text.push('{');
                rest = &rest[1..];
            }
        }
        text + rest
    }

    fn in_path(&self, template: &str) -> String {
        self.in_text(template, |text| utf8_percent_encode(text, PLAIN).to_string())
    }

    /// In JSON, a text of JSON; elsewhere as it is.
    fn in_body(&self, template: &str) -> String {
        let json = template.trim_start().starts_with(['{', '[']);
        self.in_text(template, |text| {
            if !json {
                return text.to_owned();
            }
            let quoted = Value::String(text.to_owned()).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        })
    }
}

impl HttpStore {
    /// Connects when it is first needed.
    pub const fn new(node: Name, settings: HttpStoreNode) -> Self {
        Self { node, settings, connection: None }
    }

    /// Writes `value` under `key`.
    ///
    /// # Errors
    /// With the failure, whether the write had left.
    pub async fn put(&mut self, deadline: Instant, key: &str, value: &str, ttl: Duration) -> Result<(), WriteFailure> {
        let put = self.settings.put.clone();
        match self.ask(deadline, &put, &Filling { key, value, ttl }).await {
            Ok(answer) if put.expect.contains(&answer.status) => Ok(()),
            Ok(answer) => Err(WriteFailure { failure: self.unexpected("put", &answer), sent: true }),
            Err(failure) => {
                let sent = matches!(failure.kind, FailureKind::Timeout | FailureKind::Protocol | FailureKind::TooLarge);
                Err(WriteFailure { failure, sent })
            }
        }
    }

    /// What is stored under `key`.
    ///
    /// # Errors
    /// A closed kind; an answer without a value where one should be is `protocol`.
    pub async fn get(&mut self, deadline: Instant, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let get = self.settings.get.clone();
        let answer = self.ask(deadline, &get, &Filling { key, value: "", ttl: Duration::ZERO }).await?;
        if get.missing.contains(&answer.status) {
            return Ok(None);
        }
        if !get.expect.contains(&answer.status) {
            return Err(self.unexpected("get", &answer));
        }
        value_in(&answer.body, self.settings.value_at.as_deref(), self.settings.base64).map_err(|what| {
            let message = format!("the store of {}: get's answer {what}: {}", self.node, answer.excerpt(100));
            Failure::new(FailureKind::Protocol, message)
        })
    }

    /// Takes `key` away, if a request for that is written down.
    ///
    /// # Errors
    /// A closed kind.
    pub async fn delete(&mut self, deadline: Instant, key: &str) -> Result<(), Failure> {
        let Some(delete) = self.settings.delete.clone() else { return Ok(()) };
        self.ask(deadline, &delete, &Filling { key, value: "", ttl: Duration::ZERO }).await.map(drop)
    }

    async fn ask(
        &mut self,
        deadline: Instant,
        operation: &HttpOperation,
        filling: &Filling<'_>,
    ) -> Result<Response, Failure> {
        let asked = timeout_at(deadline, self.send(operation, filling)).await;
        asked.unwrap_or_else(|_| {
            self.connection = None;
            let (node, url) = (&self.node, &self.settings.url);
            let cure = "look at the link to it and at its load";
            Err(Failure::new(FailureKind::Timeout, format!("the store of {node} ({url}) took too long; {cure}")))
        })
    }

    async fn send(&mut self, operation: &HttpOperation, filling: &Filling<'_>) -> Result<Response, Failure> {
        let password = password_of(self.settings.password.as_ref()).await?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = Connection::new(&self.settings.url)?;
                if let Some(file) = &self.settings.root_certificate {
                    connection.trust_only(file)?;
                }
                connection
            }
        };
        let mut headers: Vec<(&str, &str)> = Vec::new();
        let bearer = password.as_ref().map(|password| format!("Bearer {}", password.expose()));
        match (&self.settings.user, &password) {
            (Some(user), Some(password)) => connection.authenticate(user, password.expose()),
            (None, Some(_)) => headers.extend(bearer.as_deref().map(|token| ("Authorization", token))),
            (_, None) => {}
        }
        if operation.body.trim_start().starts_with(['{', '[']) {
            headers.push(("Content-Type", "application/json"));
        }
        for (name, value) in &self.settings.headers {
            headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            headers.push((name, value.expose()));
        }
        let method = Method::from_bytes(operation.method.as_bytes()).unwrap_or(Method::GET);
        let (path, body) = (filling.in_path(&operation.path), filling.in_body(&operation.body));
        let answer = connection.send(method, &path, &headers, body.into_bytes(), MOST).await;
        let mut answer = answer.map_err(|error| {
            let told = self.settings.headers.iter().fold(error.message, |text, (_, value)| value.masked_in(&text));
            Failure::new(error.kind, format!("the store of {}: {told}", self.node))
        })?;
        answer.hidden.extend(self.settings.headers.iter().map(|(_, value)| value.clone()).chain(password));
        self.connection = Some(connection);
        Ok(answer)
    }

    fn unexpected(&self, what: &str, answer: &Response) -> Failure {
        let (kind, cure) = match answer.status {
            401 => (FailureKind::Authentication, "; check user, password or token"),
            403 => (FailureKind::Permission, "; it may not do that"),
            503 => (FailureKind::StartingUp, ""),
            300..=399 => (FailureKind::Protocol, "; redirects are not followed: check the URL"),
            // Told apart from a refused connection by the request having left.
            _ => (FailureKind::Refused, ""),
        };
        let (node, status) = (&self.node, answer.status);
        Failure::new(kind, format!("the store of {node} answers {what} with {status}: {}{cure}", answer.excerpt(100)))
    }
}

/// The value in an answer. A pointer to nothing is no such key, but only in an answer that is JSON.
fn value_in(body: &[u8], at: Option<&str>, base64: bool) -> Result<Option<Vec<u8>>, String> {
    let raw = match at {
        None if body.is_empty() => return Ok(None),
        None => body.to_vec(),
        Some(pointer) => {
            let json: Value = serde_json::from_slice(body).map_err(|error| format!("is no JSON ({error})"))?;
            match json.pointer(pointer) {
                None | Some(Value::Null) if json.is_object() || json.is_array() => return Ok(None),
                Some(Value::String(text)) => text.clone().into_bytes(),
                _ => return Err(format!("has no text at {pointer}")),
            }
        }
    };
    if !base64 {
        return Ok(Some(raw));
    }
    BASE64.decode(raw.trim_ascii()).map(Some).map_err(|_| "is not Base64".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_filled_in_once_and_escaped_where_they_stand() {
        let filling = Filling { key: "a/{value} b", value: "x=\"1\"&{key}", ttl: Duration::from_secs(90) };
        assert_eq!(filling.in_path("/v1/kv/{key}?ttl={ttl_seconds}s"), "/v1/kv/a/%7Bvalue%7D%20b?ttl=90s");
        assert_eq!(filling.in_body("{\"v\":\"{value}\"}"), r#"{"v":"x=\"1\"&{key}"}"#);
        assert_eq!(filling.in_body("{key_base64} {other"), "YS97dmFsdWV9IGI= {other");
    }

    #[test]
    fn values_are_found_and_what_is_no_answer_is_told() {
        let etcd = br#"{"header":{},"kvs":[{"key":"aw==","value":"djE="}],"count":"1"}"#;
        let at = Some("/kvs/0/value");
        assert_eq!(value_in(etcd, at, true), Ok(Some(b"v1".to_vec())));
        assert_eq!(value_in(br#"{"header":{}}"#, at, true), Ok(None));
        assert_eq!(value_in(b"raw", None, false), Ok(Some(b"raw".to_vec())));
        assert_eq!(value_in(b"", None, false), Ok(None));
        for (body, base64) in [(&b"<html>"[..], false), (b"7", false), (br#"{"kvs":[{"value":7}]}"#, true)] {
            assert!(value_in(body, at, base64).is_err(), "{}", String::from_utf8_lossy(body));
        }
        assert!(value_in(br#"{"kvs":[{"value":"?"}]}"#, at, true).is_err());
    }
}
