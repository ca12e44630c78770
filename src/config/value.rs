//! Single values from their text, each with what is wrong and what would be right.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::glob::Glob;
use super::key::Kind;
use super::tree::Value;
use super::wording::{nearest, shown, without_url_password};
use crate::names::ThresholdUnit;
use crate::units::{Bytes, parse_duration};

/// What is wrong with a value, and its cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) text: String,
    pub(super) cure: String,
}

impl Wrong {
    pub(super) fn new(text: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { text: text.into(), cure: cure.into() }
    }
}

pub(super) fn text(text: &str) -> Result<String, Wrong> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Wrong::new("an empty text", "write a value, or remove the key"));
    }
    if trimmed.chars().any(char::is_control) {
        return Err(Wrong::new(format!("{} has a control character", shown(trimmed)), "write it on one line"));
    }
    Ok(trimmed.to_owned())
}

/// A name for labels, paths and file names.
pub(super) fn name(text: &str) -> Result<String, Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let begins = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if begins && text.len() <= 63 && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    let cure = "a name has letters, digits, `.`, `_` and `-`, begins with a letter or digit, and is at most 63 long";
    Err(Wrong::new(format!("{} cannot be a name", shown(text)), cure))
}

pub(super) fn absolute_path(text: &str) -> Result<PathBuf, Wrong> {
    let path = Path::new(text);
    if path.is_absolute() && !text.contains('\0') {
        return Ok(path.to_owned());
    }
    Err(Wrong::new(format!("{} is not an absolute path", shown(text)), "write it from / on"))
}

/// Whether `path` lies in `root`, by their names alone: `..` is resolved, links are not followed.
pub(super) fn lies_in(path: &Path, root: &Path) -> bool {
    plain(path).starts_with(plain(root))
}

fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

pub(super) fn duration(text: &str, kind: Kind) -> Result<Duration, Wrong> {
    let Ok(value) = parse_duration(text) else {
        let cure = match text.trim() {
            digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                format!("add the unit: {digits}s, {digits}m or {digits}ms")
            }
            _ => "write for example 15s, 1m30s or 250ms".to_owned(),
        };
        return Err(Wrong::new(format!("{} is not a duration", shown(text)), cure));
    };
    let Kind::Duration { min, max } = kind else { return Ok(value) };
    let limit = |text| parse_duration(text).unwrap_or_default();
    if value < limit(min) || value > limit(max) {
        return Err(Wrong::new(format!("{} is out of range", shown(text)), format!("write {min} to {max}")));
    }
    Ok(value)
}

pub(super) fn size(text: &str) -> Result<Bytes, Wrong> {
    let cure = "write for example 64MiB, 4GiB or 1048576; units are KiB, MiB, GiB, TiB, kB, MB, GB, TB";
    text.parse().map_err(|_| Wrong::new(format!("{} is not a size", shown(text)), cure))
}

pub(super) fn count(text: &str, kind: Kind) -> Result<u64, Wrong> {
    let (min, max) = if let Kind::Count { min, max } = kind { (min, max) } else { (0, u64::MAX) };
    let cure = format!("write {min} to {max}");
    match text.parse::<u64>() {
        Err(_) => Err(Wrong::new(format!("{} is not a whole number", shown(text)), cure)),
        Ok(value) if value < min || value > max => Err(Wrong::new(format!("{value} is out of range"), cure)),
        Ok(value) => Ok(value),
    }
}

/// A rule's threshold in its metric's base unit.
pub(super) fn threshold(text: &str, unit: Option<ThresholdUnit>) -> Result<f64, Wrong> {
    match unit {
        Some(ThresholdUnit::Bytes) => size(text).map(Bytes::as_f64),
        Some(ThresholdUnit::Seconds) => {
            duration(text, Kind::Duration { min: "1s", max: "30d" }).map(|limit| limit.as_secs_f64())
        }
        Some(ThresholdUnit::Periods) | None => {
            let number = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
            let cure = "write a number of periods above zero, for example 2";
            number.ok_or_else(|| Wrong::new(format!("{} is not a number of periods", shown(text)), cure))
        }
    }
}

pub(super) fn flag(text: &str) -> Result<bool, Wrong> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Wrong::new(format!("{} is neither true nor false", shown(other)), "write true or false")),
    }
}

pub(super) fn choice(text: &str, kind: Kind) -> Result<String, Wrong> {
    let Kind::OneOf(words) = kind else { return Ok(text.to_owned()) };
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let cure = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("write {}", words.join(" or ")),
    };
    Err(Wrong::new(format!("{} is not one of the choices", shown(text)), cure))
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn address(text: &str) -> Result<String, Wrong> {
    let wrong = || Wrong::new(format!("{} is not host:port", shown(text)), "write for example 10.0.0.1:6379");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let plain = !host.is_empty() && !host.contains([':', '/', '@', '[', ']']) && !host.contains(char::is_whitespace);
    let port_fits = port.parse::<u16>().is_ok_and(|port| port > 0);
    if (plain || bracketed) && port_fits { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// The same, or a socket of this machine: `unix:/path`.
pub(super) fn address_or_socket(text: &str) -> Result<String, Wrong> {
    let Some(path) = text.strip_prefix("unix:") else {
        return address(text).map_err(|_| {
            Wrong::new(
                format!("{} is not host:port", shown(text)),
                "write for example 10.0.0.1:6379, or unix:/run/redis/redis.sock",
            )
        });
    };
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(text.to_owned());
    }
    let said = format!("{} does not name a socket by its whole path", shown(text));
    Err(Wrong::new(said, "write for example unix:/run/redis/redis.sock"))
}

/// One index or alias; patterns would watch what happens to be there.
pub(super) fn index(text: &str) -> Result<String, Wrong> {
    let text = self::text(text)?;
    if text.chars().any(|c| c.is_whitespace() || "*?,/\\\"<>|#".contains(c)) || text.starts_with(['-', '_', '+', '.']) {
        return Err(Wrong::new(
            format!("{} cannot be the name of an index", shown(&text)),
            "write its name, no pattern",
        ));
    }
    Ok(text)
}

/// A pattern of paths in a tree.
pub(super) fn glob(text: &str) -> Result<String, Wrong> {
    let cure = "write for example *.pid, /cache or sites/**/*.bak";
    Glob::new(text).map_err(|wrong| Wrong::new(format!("the pattern {} {wrong}", shown(text)), cure))?;
    Ok(text.to_owned())
}

/// The base of an HTTP service, without a slash at its end.
pub(super) fn http_url(text: &str) -> Result<String, Wrong> {
    let shown = shown(text);
    let cure = "write http://HOST:PORT or https://HOST:PORT";
    let parsed = url::Url::parse(text).map_err(|error| Wrong::new(format!("{shown} is not a URL: {error}"), cure))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(Wrong::new(format!("{shown} is neither http:// nor https://"), cure));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let text = format!("{:?} names a user", without_url_password(text));
        return Err(Wrong::new(text, "leave user and password out of the URL; they have keys of their own"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(Wrong::new(format!("{shown} has a query or a fragment"), "end the URL with its path"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A label of an alert, not one that the product sets itself.
pub(super) fn label_name(key: &Value) -> Result<String, Wrong> {
    const OWN: [&str; 5] = ["alertname", "severity", "pair", "channel", "source"];
    let Value::Scalar(text) = key else {
        return Err(Wrong::new("a label's name must be a word", "write `name: text`"));
    };
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let fits = text.chars().next().is_some_and(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit());
    if !fits || text.starts_with("__") {
        let cure = "a label has letters, digits and `_`, and begins with a letter";
        return Err(Wrong::new(format!("{} cannot be a label", shown(text)), cure));
    }
    if OWN.contains(&text.as_str()) {
        return Err(Wrong::new(format!("{text} is a label that every alert has already"), "choose another label"));
    }
    Ok(text.clone())
}

/// What a label says: sent as it stands.
pub(super) fn label_text(written: &str) -> Result<String, Wrong> {
    let text = text(written)?;
    if text.contains("{{") || text.contains("${") {
        let cure = "write the text itself: nothing is filled in here";
        return Err(Wrong::new(format!("{} is a template", shown(&text)), cure));
    }
    Ok(text)
}

impl Kind {
    /// What is expected at a key of this kind, for messages and documents.
    pub(super) fn expected(self) -> String {
        match self {
            Self::Section | Self::Named | Self::List => "keys".to_owned(),
            Self::Name => "a name".to_owned(),
            Self::Text | Self::Secret => "a text".to_owned(),
            Self::Texts { .. } => "a list of texts".to_owned(),
            Self::Labels => "labels".to_owned(),
            Self::Path | Self::SecretFile => "an absolute path".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::Duration { min, max } => format!("a duration, {min} to {max}"),
            Self::Size => "a size".to_owned(),
            Self::Count { min, max } => format!("a whole number, {min} to {max}"),
            Self::Threshold => "a size or a number".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::OneOf(words) => words.join(" or "),
        }
    }
}
