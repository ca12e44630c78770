//! Where alerts are pushed to, and how.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::checked::SecretSource;
use super::node::credentials;
use super::secrets::{Environment, secret_file};
use super::section::Section;
use super::status_page;
use super::value::{self, Wrong};
use super::wording::shown;
use crate::secret::Secret;

/// Where alerts are pushed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alerting {
    /// Base URLs.
    pub alertmanagers: Vec<String>,
    /// Added to every alert.
    pub external_labels: BTreeMap<String, String>,
    /// What ends an alert in Alertmanager.
    pub on_resolve: OnResolve,
    /// Called on each healthy minute.
    pub heartbeat: Option<Heartbeat>,
    /// How the Alertmanagers are asked.
    pub access: AlertingAccess,
}

/// What ends an alert in Alertmanager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnResolve {
    /// That nobody sends it any more.
    #[default]
    Expire,
    /// The agent's word, at once.
    Send,
}

/// A URL that is called while all is well. Its path is often the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heartbeat {
    /// The whole.
    pub url: Secret,
    /// Scheme and host, for people.
    pub shown: String,
}

/// How Alertmanagers are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AlertingAccess {
    /// Of the basic authentication.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretSource>,
    /// A token instead.
    pub bearer: Option<SecretSource>,
    /// Certificates to trust instead of the system's.
    pub root_certificate: Option<PathBuf>,
}

/// `watchdog`: the rule that always fires is switched on.
pub(super) fn read(section: &Section<'_>, watchdog: bool, environment: &Environment) -> Alerting {
    let alertmanagers = section.texts("alertmanagers", base_url);
    let on_resolve = match section.choice("on_resolve").as_deref() {
        Some("send") => OnResolve::Send,
        _ => OnResolve::Expire,
    };
    let heartbeat = section.parsed("heartbeat", heartbeat);
    if heartbeat.is_some() && !watchdog {
        let said = "heartbeat: StandbyWatchdog is switched off, by whose way it is known that alerts get through";
        section.problem("heartbeat", said, "switch StandbyWatchdog on, or remove heartbeat");
    }
    let access = section.given("access");
    let access = access.map_or_else(AlertingAccess::default, |access| access_of(&access, &alertmanagers, environment));
    Alerting { alertmanagers, external_labels: section.labels("external_labels"), on_resolve, heartbeat, access }
}

/// The path of the API is put behind it.
fn base_url(text: &str) -> Result<String, Wrong> {
    let url = value::http_url(text)?;
    match url.find("/api/v") {
        Some(api) => {
            let cure = format!("write {}: the path of the API is put behind it", shown(&url[..api]));
            Err(Wrong::new(format!("{} leads into the API", shown(text)), cure))
        }
        None => Ok(url),
    }
}

fn heartbeat(text: &str) -> Result<Heartbeat, Wrong> {
    let (whole, _) = status_page::address(text)?;
    let shown = url::Url::parse(&whole).map_or_else(|_| "***".to_owned(), |url| url.origin().ascii_serialization());
    Ok(Heartbeat { url: Secret::new(whole), shown })
}

fn access_of(section: &Section<'_>, alertmanagers: &[String], environment: &Environment) -> AlertingAccess {
    let (user, password) = credentials(section, environment);
    let bearer = section.parsed("bearer_file", |text| secret_file(text, environment)).map(SecretSource::File);
    let root_certificate = section.path("root_certificate");
    if password.is_some() && !section.has("user") {
        let said = "access: there is a password, but no user";
        section.found.problem(section.place, said, "add user: basic authentication needs both");
    }
    if section.has("user") && section.has("bearer_file") {
        section.problem("bearer_file", "bearer_file: user is given too", "keep one of them: a request carries one");
    }
    if root_certificate.is_some() && !alertmanagers.iter().any(|url| url.starts_with("https://")) {
        let said = "root_certificate: nothing is checked with it over http://";
        section.problem("root_certificate", said, "write https:// in alertmanagers, or remove it");
    }
    AlertingAccess { user, password, bearer, root_certificate }
}
