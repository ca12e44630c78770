//! Key-value stores as they are configured: how each is reached, and how its channel is watched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::checked::{Schedule, SecretSource, duration_as_text};
use crate::names::{Name, Proof};
use crate::secret::Secret;

/// A key-value store, or the gateway in front of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "a few, made once")]
pub enum KvstoreNode {
    /// Redis, Valkey, KeyDB.
    Redis(RedisNode),
    /// Anything with an HTTP interface.
    Http(HttpStoreNode),
    /// Commands of the operator.
    Exec(ExecStoreNode),
    /// A port of a store whose protocol is closed.
    Tcp(TcpStoreNode),
}

impl KvstoreNode {
    /// What two nodes may not have in common; `None` where commands decide.
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Redis(store) => Some(&store.address),
            Self::Http(store) => Some(&store.url),
            Self::Exec(_) => None,
            Self::Tcp(store) => Some(&store.address),
        }
    }

    /// Its address means another server on each machine. Where commands ask, they know.
    pub fn is_on_loopback(&self) -> bool {
        let host = match self {
            Self::Redis(store) if store.socket().is_some() => return true,
            Self::Redis(store) => store.address.rsplit_once(':').map(|(host, _)| host.to_owned()),
            Self::Tcp(store) => store.address.rsplit_once(':').map(|(host, _)| host.to_owned()),
            Self::Http(store) => url::Url::parse(&store.url).ok().and_then(|url| url.host_str().map(str::to_owned)),
            Self::Exec(_) => None,
        };
        host.is_some_and(|host| names_loopback(&host))
    }

    /// Where its secret comes from.
    pub const fn password(&self) -> Option<&SecretSource> {
        match self {
            Self::Redis(store) => store.password.as_ref(),
            Self::Http(store) => store.password.as_ref(),
            Self::Exec(_) | Self::Tcp(_) => None,
        }
    }

    /// For people.
    pub fn summary(&self) -> String {
        match self {
            Self::Redis(store) => format!("redis {}", store.address),
            Self::Http(store) => format!("store {}", store.url),
            Self::Exec(store) => format!("store by {}", store.get.first().map_or("", String::as_str)),
            Self::Tcp(store) => format!("port {}", store.address),
        }
    }
}

/// Every address of 127.0.0.0/8 is this machine's own, in IPv6's clothes too, and so is what all call by that name.
fn names_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let local = |address: std::net::IpAddr| address.to_canonical().is_loopback() || address.is_unspecified();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(local)
}

/// How to reach one Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RedisNode {
    /// `host:port`, or `unix:/path`.
    pub address: String,
    /// ACL user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretSource>,
    /// Database number.
    pub database: u32,
    /// Set where the connection is TLS.
    pub tls: Option<StoreTls>,
}

impl RedisNode {
    /// The socket of its own machine, where its address is one.
    pub fn socket(&self) -> Option<&Path> {
        self.address.strip_prefix("unix:").map(Path::new)
    }
}

/// TLS to a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreTls {
    /// Certificates to trust instead of the system's.
    pub root_certificate: Option<PathBuf>,
    /// The name in its certificate, where it is not the host of the address.
    pub server_name: Option<String>,
}

/// How to ask a store over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpStoreNode {
    /// Base of all requests.
    pub url: String,
    /// Basic authentication; without it a password is a bearer token.
    pub user: Option<String>,
    /// The password or token.
    pub password: Option<SecretSource>,
    /// Certificates to trust instead of the system's.
    pub root_certificate: Option<PathBuf>,
    /// Sent with every request.
    pub headers: Vec<(String, Secret)>,
    /// Writes a value.
    pub put: HttpOperation,
    /// Reads it.
    pub get: HttpOperation,
    /// Where the value stands in the answer: a JSON pointer; `None`: the whole body.
    pub value_at: Option<String>,
    /// The value is answered in Base64.
    pub base64: bool,
    /// Takes it away again.
    pub delete: Option<HttpOperation>,
}

/// One request, with `{key}`, `{value}`, `{key_base64}`, `{value_base64}` and `{ttl_seconds}` to be filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpOperation {
    /// `GET`, `PUT`, `POST`, `DELETE`.
    pub method: String,
    /// Below the base, with its query.
    pub path: String,
    /// The body; empty: none.
    pub body: String,
    /// Statuses that mean success.
    pub expect: Vec<u16>,
    /// Statuses that mean that there is no such key.
    pub missing: Vec<u16>,
}

impl HttpOperation {
    /// Whether the store is told how long to keep what is written.
    pub fn expires(&self) -> bool {
        self.path.contains("{ttl_seconds}") || self.body.contains("{ttl_seconds}")
    }
}

/// A command for each operation: the program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExecStoreNode {
    /// Writes `$STANDBYWATCH_VALUE` under `$STANDBYWATCH_KEY`.
    pub put: Vec<String>,
    /// Prints what is stored under `$STANDBYWATCH_KEY`; nothing, where nothing is.
    pub get: Vec<String>,
    /// Takes it away again.
    pub delete: Option<Vec<String>>,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TcpStoreNode {
    /// `host:port`.
    pub address: String,
}

/// The `kvstore` channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it all")]
pub struct KvstoreChannel {
    #[serde(flatten)]
    pub schedule: Schedule,
    pub order: WriteOrder,
    #[serde(with = "duration_as_text")]
    pub sla: Duration,
    /// Of the canaries' keys.
    pub prefix: String,
    /// Whether canaries are written.
    pub canaries: bool,
    pub lanes: Lanes,
    /// The application's own write path, instead of a write to each store.
    pub write_via: Option<KvstoreNode>,
    pub observe: Observe,
    /// Nodes whose store nobody reaches but their own agent; the others ask that one.
    pub own_only: Vec<Name>,
}

impl KvstoreChannel {
    /// Canaries of the fast lane and the slower ones by `path`, with all defaults.
    pub fn path(schedule: Schedule) -> Self {
        Self {
            schedule,
            order: WriteOrder::StandbyFirst,
            sla: Duration::from_millis(250),
            prefix: "standbywatch".to_owned(),
            canaries: true,
            lanes: Lanes { medium: Duration::from_mins(10), slow: Duration::from_hours(1) },
            write_via: None,
            observe: Observe::default(),
            own_only: Vec::new(),
        }
    }

    /// What this configuration can prove, the strongest for writes first. `reachability` is its only one where ports are all
    /// there is.
    pub fn proofs(&self, stores: &[&KvstoreNode]) -> Vec<Proof> {
        if stores.iter().any(|store| matches!(store, KvstoreNode::Tcp(_))) {
            return vec![Proof::Reachability];
        }
        let through = self.write_via.is_some() || self.order == WriteOrder::PrimaryFirst;
        let written = self.canaries.then_some(if through { Proof::RoundTrip } else { Proof::Path });
        written.into_iter().chain(self.observe.any().then_some(Proof::Observed)).collect()
    }
}

/// How long the canaries of the slower lanes stay before they are written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it all")]
pub struct Lanes {
    #[serde(with = "duration_as_text")]
    pub medium: Duration,
    #[serde(with = "duration_as_text")]
    pub slow: Duration,
}

/// What of the application's own data is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Observe {
    /// Keys that the application keeps current.
    pub keys: Vec<String>,
    /// So many keys at random from each side in each cycle; 0: none.
    pub sample: u32,
}

impl Observe {
    /// Whether anything is.
    pub const fn any(&self) -> bool {
        self.sample > 0 || !self.keys.is_empty()
    }
}

/// Which store has a write first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteOrder {
    /// The standby's, then the primary's.
    StandbyFirst,
    /// The primary's, which replicates by itself.
    PrimaryFirst,
}

#[cfg(test)]
mod tests {
    use super::names_loopback;

    #[test]
    fn what_means_another_server_on_each_machine() {
        for own in [
            "127.0.0.1",
            "127.8.9.1",
            "localhost",
            "LOCALHOST",
            "kv.localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
        ] {
            assert!(names_loopback(own), "{own}");
        }
        for other in ["10.0.0.1", "127.0.0.1.example", "kv.example", "localhost.example", "[::2]", "128.0.0.1"] {
            assert!(!names_loopback(other), "{other}");
        }
    }
}
