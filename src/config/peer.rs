//! How the agents of a pair find and know each other.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use super::checked::{PairConfig, SecretSource};
use super::node::NodeRead;
use super::secrets::{Environment, secret_file};
use super::section::Section;
use super::value::{self, Wrong};
use super::wording::shown;
use crate::names::Name;

/// What agents show each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerConfig {
    /// The token, in a file.
    pub token: SecretSource,
    /// The certificate that the other agent must have; set wherever one is asked over TLS.
    pub fingerprint: Option<Fingerprint>,
    /// This agent's own certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The node that this process is the agent of, and how it speaks with the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seat {
    /// Its own node.
    pub node: Name,
    /// How agents know each other.
    pub peer: PeerConfig,
}

/// SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Fingerprint {
    type Err = ();

    /// Reads what [`Fingerprint`] prints, and also the colons that openssl puts between the digits.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits: String = text.strip_prefix("sha256:").ok_or(())?.chars().filter(|c| *c != ':').collect();
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(());
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| ())?;
        }
        Ok(Self(bytes))
    }
}

/// `http(s)://host:port` and nothing after it: what is asked for there is the agents' own affair.
pub(super) fn agent_url(text: &str) -> Result<String, Wrong> {
    let url = value::http_url(text)?;
    let after = url.split_once("://").map_or("", |(_, rest)| rest);
    match after.split_once('/') {
        None | Some((_, "")) => Ok(url.trim_end_matches('/').to_owned()),
        Some(_) => Err(Wrong::new(format!("{} has a path", shown(&url)), "write for example https://10.0.0.1:19517")),
    }
}

/// Each node of a pair has an agent or none has, none has another's, and nothing is asked in the clear over a network.
pub(super) fn check_agents(nodes: &[NodeRead<'_>]) {
    let Some(with) = nodes.iter().find(|node| node.has_agent()) else { return };
    for (index, node) in nodes.iter().enumerate() {
        let name = &node.config.name;
        if !node.has_agent() {
            let said = format!("{name}: no agent here, while {} has one", with.config.name);
            let cure = format!("add agent to {name}, or remove it from {}", with.config.name);
            node.section.found.problem(node.section.place, said, cure);
        }
        let Some(url) = &node.config.agent else { continue };
        if let Some(twin) = nodes[..index].iter().find(|other| other.config.agent.as_ref() == Some(url)) {
            let said = format!("agent: {name} and {} both name {}", twin.config.name, shown(url));
            node.section.problem("agent", said, "give each node the address of its own agent");
        }
        if !is_encrypted(url) && !is_loopback(url) {
            let said = format!("agent: {} would show the token to everybody on the way", shown(url));
            node.section.problem("agent", said, "write https://");
        }
    }
}

/// The section, and what must hold between it and the nodes.
pub(super) fn read(root: &Section<'_>, pairs: &[Arc<PairConfig>], environment: &Environment) -> Option<PeerConfig> {
    let agents = || {
        let nodes = pairs.iter().flat_map(|pair| &pair.nodes);
        nodes.filter_map(|node| Some((&node.name, node.agent.as_deref()?)))
    };
    let Some(section) = root.given("peer") else {
        if let Some((name, _)) = agents().next() {
            let said = format!("peer: {name} names an agent, and nothing says how the agents know each other");
            root.problem("peer", said, "run `standbywatch peer init` and add the section that it prints");
        }
        return None;
    };
    let encrypted = agents().find(|(_, url)| is_encrypted(url));
    if let (Some((name, _)), false) = (encrypted, section.has("fingerprint")) {
        let said = format!("fingerprint: is missing, and the agent of {name} is asked over TLS");
        section.problem("fingerprint", said, "add the one that `standbywatch peer init` printed");
    }
    let fingerprint = section.parsed("fingerprint", |text| {
        text.parse::<Fingerprint>().map_err(|()| {
            let said = format!("{} is not a fingerprint", shown(text));
            Wrong::new(said, "write sha256: and 64 hexadecimal digits, as `standbywatch peer init` prints it")
        })
    });
    let token = section.parsed("token_file", |text| secret_file(text, environment));
    let (certificate, key) = (section.path("certificate"), section.path("key"));
    let token = token?;
    let beside = |name: &str| token.parent().unwrap_or(Path::new("/")).join(name);
    Some(PeerConfig {
        certificate: certificate.unwrap_or_else(|| beside("peer.crt")),
        key: key.unwrap_or_else(|| beside("peer.key")),
        fingerprint,
        token: SecretSource::File(token),
    })
}

fn is_encrypted(url: &str) -> bool {
    url.starts_with("https://")
}

fn is_loopback(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_as_it_prints_and_as_openssl_prints_it() {
        let text = format!("sha256:{}", "0a".repeat(32));
        let fingerprint: Fingerprint = text.parse().unwrap();
        assert_eq!(fingerprint.to_string(), text);
        let colons = format!("sha256:{}", ["0A"; 32].join(":"));
        assert_eq!(colons.parse(), Ok(fingerprint));
        for wrong in ["", "sha256:", "0a", &text[..70], &text.replace("0a", "0g"), &format!("{text}00")] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_is_asked_in_the_clear() {
        for (url, loopback) in [
            ("http://127.0.0.1:19517", true),
            ("http://localhost:1", true),
            ("http://[::1]:19517", true),
            ("http://10.0.0.1:19517", false),
            ("http://127.0.0.1.example.org", false),
        ] {
            assert_eq!(is_loopback(url), loopback, "{url}");
        }
    }
}
