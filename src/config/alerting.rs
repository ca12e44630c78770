//! Where alerts are pushed to, and how.

use super::checked::{Alerting, AlertingAccess, Heartbeat, OnResolve, SecretSource};
use super::node::credentials;
use super::secrets::{Environment, secret_file};
use super::section::Section;
use super::status_page;
use super::value::{self, Wrong};
use crate::secret::Secret;

/// `watchdog`: the rule that always fires is switched on.
pub(super) fn read(section: &Section<'_>, watchdog: bool, environment: &Environment) -> Alerting {
    let alertmanagers = section.texts("alertmanagers", value::http_url);
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
