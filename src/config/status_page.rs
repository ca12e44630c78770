//! The vendor's page that stands for servers which cannot be asked.

use super::checked::StatusPage;
use super::node::{NodeRead, credentials};
use super::secrets::Environment;
use super::section::Section;
use super::value::{self, Wrong};
use super::wording::shown;
use crate::names::{Channel, PostgresSource};
use crate::secret::Secret;

/// Whether the pair names such a page, rightly or not.
pub(super) fn is_named(pair: &Section<'_>) -> bool {
    pair.given("postgres").is_some_and(|section| section.has("status_url"))
}

/// The page, if the pair names one and its servers are not asked themselves: their own word is worth more.
pub(super) fn read(pair: &Section<'_>, nodes: &[NodeRead<'_>], environment: &Environment) -> Option<StatusPage> {
    let section = pair.child("postgres");
    let access = section.given("status_access");
    if !section.has("status_url") {
        if access.is_some() {
            let said = "status_access: there is no status_url";
            section.problem("status_access", said, "add status_url, or remove status_access");
        }
        return None;
    }
    let word = PostgresSource::StatusPage.as_str();
    if let Some(node) = nodes.iter().find(|node| node.config.name.as_str() == word) {
        let said = format!("nodes: {word} is how the page of status_url is called among probes");
        node.section.found.problem(node.section.place, said, "give the node another name");
    }
    let page = section.parsed("status_url", address);
    let (user, password) = access.as_ref().map_or((None, None), |access| credentials(access, environment));
    let root_certificate = access.as_ref().and_then(|access| access.path("root_certificate"));
    if section.has("pulse") {
        let said = "pulse: nothing can be written through status_url";
        section.problem("pulse", said, "remove pulse");
    }
    if let Some(access) = &access {
        let encrypted = page.as_ref().is_none_or(|(_, shown)| shown.starts_with("https://"));
        if access.has("root_certificate") && !encrypted {
            let said = "root_certificate: nothing is checked with it over http://";
            access.problem("root_certificate", said, "write https:// in status_url, or remove it");
        }
        if password.is_some() && !access.has("user") {
            let said = "status_access: there is a password, but no user";
            section.problem("status_access", said, "add user: basic authentication needs both");
        }
    }
    if nodes.iter().any(|node| node.names(Channel::Postgres)) {
        let line = section.place_of("status_url").line;
        pair.found.warning(format!("line {line}: status_url has no effect, since the nodes' own servers are asked"));
        return None;
    }
    let (url, shown) = page?;
    Some(StatusPage { url: Secret::new(url), shown, user, password, root_certificate })
}

/// The address with its query, and without it for people.
pub(super) fn address(text: &str) -> Result<(String, String), Wrong> {
    let (before, query) = text.split_once('?').map_or((text, None), |(before, query)| (before, Some(query)));
    let base = value::http_url(before)?;
    if query.is_some_and(|query| query.contains('#') || query.contains(char::is_whitespace)) {
        let said = format!("{} has a fragment or spaces after its query", shown(&base));
        return Err(Wrong::new(said, "end the URL with its path or query"));
    }
    let whole = query.map_or_else(|| base.clone(), |query| format!("{base}?{query}"));
    Ok((whole, base))
}
