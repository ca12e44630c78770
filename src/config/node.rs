//! One node of a pair from its section.

use std::net::IpAddr;

use super::checked::{
    ConfigNode, NodeConfig, PostgresNode, PostgresTls, ReplicaMatch, SearchNode, SecretSource, SslMode,
};
use super::kvstore;
use super::postgres_url::{self, ssl_mode};
use super::secrets::{Environment, password, postgres_password};
use super::section::{NamedSection, Section};
use super::value::{self, Wrong, lies_in};
use crate::names::{Channel, Name};

/// A node, as far as it could be read, and which channels its section names.
pub(super) struct NodeRead<'a> {
    pub(super) config: NodeConfig,
    /// Whether a timestamp file is named, rightly or not.
    pub(super) names_timestamp_file: bool,
    pub(super) section: Section<'a>,
}

impl NodeRead<'_> {
    /// Whether the section names the channel, rightly or not.
    pub(super) fn names(&self, channel: Channel) -> bool {
        self.section.has(channel.as_str())
    }

    /// Whether the node's addresses mean this very node, since its own agent asks.
    pub(super) fn has_agent(&self) -> bool {
        self.section.has_later("agent")
    }
}

pub(super) fn read<'a>(named: NamedSection<'a>, environment: &Environment) -> NodeRead<'a> {
    let NamedSection { name, place, section } = named;
    if let Err(wrong) = value::name(&name) {
        section.found.problem(place, format!("nodes: {}", wrong.text), wrong.cure);
    }
    let tree = section.given("config");
    let names_timestamp_file = tree.as_ref().is_some_and(|tree| tree.has("timestamp_file"));
    let config = NodeConfig {
        name: Name::new(&name),
        agent: None,
        postgres: section.given("postgres").and_then(|part| postgres(&part, environment)),
        kvstore: section.given("kvstore").and_then(|part| kvstore::store(&part, environment)),
        search: section.given("search").and_then(|part| search(&part, environment)),
        config: tree.and_then(|tree| config_tree(&tree)),
    };
    NodeRead { config, names_timestamp_file, section }
}

fn postgres(section: &Section<'_>, environment: &Environment) -> Option<PostgresNode> {
    let secret = password(section, environment);
    let replica = section.given("replica").and_then(|part| replica(&part));
    if section.has("url") {
        for name in ["host", "port", "user", "database", "tls"] {
            if section.has(name) {
                section.problem(name, format!("{name}: url says it already"), "keep one of them");
            }
        }
        let node = section.parsed("url", postgres_url::parse)?;
        if node.password.is_some() && secret.is_some() {
            let cure = "take the password out of the URL";
            section.problem("url", "url: it has a password, and the section names another", cure);
        }
        let password = node.password.clone().or(secret).or_else(|| postgres_password(environment));
        return Some(PostgresNode { password, replica, ..node });
    }
    if !section.has("host") {
        section.missing_key("host");
    }
    Some(PostgresNode {
        host: section.parsed("host", host)?,
        port: section.count("port").and_then(|port| u16::try_from(port).ok())?,
        user: section.text("user")?,
        database: section.text("database")?,
        password: secret.or_else(|| postgres_password(environment)),
        tls: section.given("tls").map(|part| tls(&part)).unwrap_or_default(),
        replica,
    })
}

/// A host without its port, or the directory of a socket.
fn host(text: &str) -> Result<String, Wrong> {
    let text = value::text(text)?;
    if text.contains("://") {
        return Err(Wrong::new("a URL stands where a host is expected", "write it under `url` instead"));
    }
    if text.starts_with('/') || text.parse::<IpAddr>().is_ok() {
        return Ok(text);
    }
    if text.contains('@') {
        // Not shown: a password may stand before the @.
        return Err(Wrong::new("a host has no @ in it", "write user and password as keys of their own"));
    }
    match text.rsplit_once(':') {
        Some((_, port)) => Err(Wrong::new(format!("{text:?} has a port"), format!("write `port: {port}` beside it"))),
        None if text.contains(char::is_whitespace) => {
            Err(Wrong::new("a host has no spaces", "write a name, an address, or the directory of a socket"))
        }
        None => Ok(text),
    }
}

fn tls(section: &Section<'_>) -> PostgresTls {
    let mode = section.choice("mode").and_then(|word| ssl_mode(&word).ok()).unwrap_or_default();
    let (certificate, key) = (section.path("certificate"), section.path("key"));
    for (given, other) in [("certificate", "key"), ("key", "certificate")] {
        if section.has(given) && !section.has(other) {
            section.problem(given, format!("{given}: {other} is missing"), "a client certificate needs both");
        }
    }
    let root_certificate = section.path("root_certificate");
    if root_certificate.is_some() && !matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
        let said = "root_certificate: nothing is checked with it in this mode";
        section.problem("root_certificate", said, "write `mode: verify-full`");
    }
    PostgresTls { mode, root_certificate, client: certificate.zip(key) }
}

fn replica(section: &Section<'_>) -> Option<ReplicaMatch> {
    let slot = section.text("slot").map(ReplicaMatch::Slot);
    let name = section.text("application_name").map(ReplicaMatch::ApplicationName);
    let address = section
        .parsed("client_addr", |text| {
            let said = || format!("{} is not an address", super::wording::shown(text));
            text.parse().map_err(|_| Wrong::new(said(), "write for example 10.0.0.2"))
        })
        .map(ReplicaMatch::ClientAddr);
    exactly_one(section, &["slot", "application_name", "client_addr"]);
    slot.or(name).or(address)
}

/// Notes it if none or several of the keys are written.
pub(super) fn exactly_one(section: &Section<'_>, names: &[&str]) {
    let given: Vec<&str> = names.iter().copied().filter(|name| section.has(name)).collect();
    let choices = names.join(", ");
    match given.as_slice() {
        [_] => {}
        [] => section.found.problem(section.place, format!("{}: nothing is named", section.label), {
            format!("write one of {choices}")
        }),
        [_, second, ..] => {
            section.problem(second, format!("{second}: {} is given too", given[0]), format!("keep one of {choices}"));
        }
    }
}

/// User and password; a user alone is noted.
pub(super) fn credentials(section: &Section<'_>, environment: &Environment) -> (Option<String>, Option<SecretSource>) {
    let (user, secret) = (section.text("user"), password(section, environment));
    let names_one = ["password", "password_file", "password_env"].into_iter().any(|name| section.has(name));
    if user.is_some() && !names_one {
        section.problem("user", "user: there is no password", "add password_file");
    }
    (user, secret)
}

fn search(section: &Section<'_>, environment: &Environment) -> Option<SearchNode> {
    let (user, password) = credentials(section, environment);
    if password.is_some() && !section.has("user") {
        let said = format!("{}: there is a password, but no user", section.label);
        section.found.problem(section.place, said, "add user: basic authentication needs both");
    }
    Some(SearchNode { url: section.parsed("url", value::http_url)?, user, password })
}

fn config_tree(section: &Section<'_>) -> Option<ConfigNode> {
    let (root, timestamp_file) = (section.path("root"), section.path("timestamp_file"));
    let root = root?;
    if let Some(file) = &timestamp_file
        && lies_in(file, &root)
    {
        let said =
            format!("timestamp_file: {:?} lies in root {:?}", file.display().to_string(), root.display().to_string());
        let cure = "put it outside: rsync would bring the primary's file along, and with it the primary's clock";
        section.problem("timestamp_file", said, cure);
    }
    Some(ConfigNode { root, timestamp_file })
}
