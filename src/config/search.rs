//! The `search` channel, checked, and how it is read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::checked::{Schedule, SecretSource, duration_as_text, optional_duration_as_text};
use super::node::credentials;
use super::secrets::{Environment, secret_file};
use super::section::Section;
use super::value;
use super::wording::{nearest, shown};

/// A node's search engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SearchNode {
    /// `http://` or `https://`, a path prefix is kept.
    pub url: String,
    /// Basic authentication.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretSource>,
    /// Sent as `Authorization: ApiKey …`.
    pub api_key: Option<SecretSource>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer: Option<SecretSource>,
    /// Certificates.
    pub tls: SearchTls,
}

/// Certificates for an engine that is asked over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SearchTls {
    /// Trusted instead of the system's.
    pub root_certificate: Option<PathBuf>,
    /// The agent's own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl SearchNode {
    /// Where its secrets come from.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretSource> + '_ {
        [&self.password, &self.api_key, &self.bearer].into_iter().flatten()
    }
}

/// The `search` channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it all")]
pub struct SearchChannel {
    #[serde(flatten)]
    pub schedule: Schedule,
    /// Indices or aliases to look at, at most 20.
    pub indices: Vec<String>,
    /// A single node with replicas is yellow for ever.
    pub yellow_is_ok: bool,
    /// How long a rebuild takes, as the operator declares it.
    #[serde(with = "optional_duration_as_text")]
    pub rebuild_takes: Option<Duration>,
    /// How many documents an index should hold, by its name.
    pub expected: BTreeMap<String, Expected>,
    /// An index this near to what is expected is whole.
    pub drift_percent: u32,
    #[serde(with = "duration_as_text")]
    pub count_every: Duration,
    #[serde(with = "duration_as_text")]
    pub rate_window: Duration,
    #[serde(with = "duration_as_text")]
    pub rebuild_stalls_after: Duration,
}

/// How many documents an index should hold: by the query, or else by the number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Asks the primary's database.
    pub sql: Option<String>,
    /// Of the query.
    #[serde(with = "duration_as_text")]
    pub timeout: Duration,
    /// Of the query.
    #[serde(with = "duration_as_text")]
    pub period: Duration,
    /// A fixed number.
    pub documents: Option<u64>,
}

impl SearchChannel {
    /// With the defaults.
    pub const fn new(schedule: Schedule, indices: Vec<String>) -> Self {
        Self {
            schedule,
            indices,
            yellow_is_ok: false,
            rebuild_takes: None,
            expected: BTreeMap::new(),
            drift_percent: 5,
            count_every: Duration::from_secs(300),
            rate_window: Duration::from_secs(600),
            rebuild_stalls_after: Duration::from_secs(900),
        }
    }

    /// So many documents are as good as all that are expected, or more.
    pub fn is_enough(&self, documents: u64, expected: u64) -> bool {
        is_enough(self.drift_percent, documents, expected)
    }

    /// So many documents are as many as expected, within the tolerated drift.
    pub fn is_near(&self, documents: u64, expected: u64) -> bool {
        self.is_enough(documents, expected)
            && u128::from(documents) * 100 <= u128::from(expected) * u128::from(100 + self.drift_percent)
    }
}

/// As [`SearchChannel::is_enough`], for who knows the tolerated drift only.
pub fn is_enough(drift_percent: u32, documents: u64, expected: u64) -> bool {
    u128::from(documents) * 100 >= u128::from(expected) * u128::from(100_u32.saturating_sub(drift_percent))
}

pub(super) fn node(section: &Section<'_>, environment: &Environment) -> Option<SearchNode> {
    let (user, password) = credentials(section, environment);
    if password.is_some() && !section.has("user") {
        let said = format!("{}: there is a password, but no user", section.label);
        section.found.problem(section.place, said, "add user: basic authentication needs both");
    }
    let ways: Vec<_> = ["user", "api_key_file", "bearer_file"].into_iter().filter(|name| section.has(name)).collect();
    if let [first, second, ..] = ways.as_slice() {
        section.problem(
            second,
            format!("{second}: {first} is given too"),
            "keep one of them: one request has one way in",
        );
    }
    let file = |name| section.parsed(name, |text| secret_file(text, environment)).map(SecretSource::File);
    let (api_key, bearer) = (file("api_key_file"), file("bearer_file"));
    let url = section.parsed("url", value::http_url);
    let tls = section.given("tls").map(|part| tls(&part)).unwrap_or_default();
    if section.has("tls") && url.as_ref().is_some_and(|url| url.starts_with("http://")) {
        let said = "tls: nothing is checked with it over http://";
        section.problem("tls", said, "write https:// in url, or remove tls");
    }
    Some(SearchNode { url: url?, user, password, api_key, bearer, tls })
}

fn tls(section: &Section<'_>) -> SearchTls {
    let (certificate, key) = (section.path("certificate"), section.path("key"));
    for (given, other) in [("certificate", "key"), ("key", "certificate")] {
        if section.has(given) && !section.has(other) {
            section.problem(given, format!("{given}: {other} is missing"), "a client certificate needs both");
        }
    }
    SearchTls { root_certificate: section.path("root_certificate"), client: certificate.zip(key) }
}

/// `has_servers`: the pair's PostgreSQL servers are asked, so that one of them may be asked for a count.
pub(super) fn channel(section: &Section<'_>, schedule: Schedule, has_servers: bool) -> Option<SearchChannel> {
    let indices = section.texts("indices", value::index);
    let mut expected = BTreeMap::new();
    for named in section.named("expected", "index") {
        let (name, part) = (named.name, named.section);
        if !indices.contains(&name) {
            let known = format!("write it under indices, or one of those: {}", indices.join(", "));
            let near = nearest(&name, indices.iter().map(String::as_str));
            let cure = near.map_or(known, |near| format!("did you mean {near}?"));
            part.found.problem(named.place, format!("expected: {} is not among indices", shown(&name)), cure);
        }
        if !part.has("sql") && !part.has("documents") {
            let said = format!("{}: nothing says how many", part.label);
            part.found.problem(part.place, said, "add sql or documents, or remove the entry");
        }
        if part.has("sql") && !has_servers {
            let said = "sql: no postgres server of this pair is asked";
            part.problem("sql", said, "add postgres to the nodes, or write `documents: NUMBER`");
        }
        let read = Expected {
            sql: part.text("sql"),
            timeout: part.duration("timeout")?,
            period: part.duration("period")?,
            documents: part.count("documents"),
        };
        expected.insert(name, read);
    }
    Some(SearchChannel {
        yellow_is_ok: section.flag("yellow_is_ok")?,
        rebuild_takes: section.duration("rebuild_takes"),
        expected,
        drift_percent: section.count("drift_percent").and_then(|percent| u32::try_from(percent).ok())?,
        count_every: section.duration("count_every")?,
        rate_window: section.duration("rate_window")?,
        rebuild_stalls_after: section.duration("rebuild_stalls_after")?,
        ..SearchChannel::new(schedule, indices)
    })
}
