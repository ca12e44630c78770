//! From a file, a text or two URLs to a checked configuration.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::checked::{Config, NodeConfig, PairConfig, PostgresNode, RuleSetting, SecretSource};
use super::problems::{Found, Problem, Problems};
use super::secrets::{Environment, exposure, postgres_password, readable_for_all};
use super::section::{NamedSection, Section};
use super::tree::{self, Value};
use super::wording::{nearest, shown};
use super::{alerting, pair, postgres_url, value};
use crate::names::{Name, RuleName};

/// Where the configuration is looked for.
pub const DEFAULT_PATH: &str = "/etc/standbywatch/standbywatch.yml";

/// Reads and checks the file, and looks at who else can read its secrets. Blocks on the file system.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, Problems> {
    let source_name = path.display().to_string();
    let text = read(path).map_err(|error| unreadable(&source_name, &error))?;
    let text = String::from_utf8(text).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        Problems::in_line(&source_name, line, "not readable as text: it is not UTF-8", "save the file as UTF-8")
    })?;
    let mut config = parse(&text, &source_name, environment)?;
    config.warnings.extend(exposed(&config, path));
    Ok(config)
}

/// One byte more than is taken, so that what is too long shows; what has no end does not fill the memory.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(tree::MAX_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn unreadable(source_name: &str, error: &std::io::Error) -> Problems {
    let cure = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "name the file with --config.file, or look without one: standbywatch status --primary URL --standby URL"
        }
        std::io::ErrorKind::PermissionDenied => "let the user that runs standbywatch read it",
        _ => "name a readable file with --config.file",
    };
    Problems::whole(source_name, format!("cannot be read: {error}"), cure)
}

/// Checks `text`; `source_name` stands in front of each problem.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn parse(text: &str, source_name: &str, environment: &Environment) -> Result<Config, Problems> {
    let root = tree::read(text, source_name)?;
    match &root.value {
        Value::Map(_) => {}
        Value::Empty => return Err(Problems::in_line(source_name, 1, "the file is empty", "begin with `pairs:`")),
        Value::Scalar(_) | Value::List(_) => {
            return Err(Problems::in_line(source_name, 1, "no configuration: it has no keys", "begin with `pairs:`"));
        }
    }
    let found = Found::default();
    let section = Section::open(&root, "", "the configuration".to_owned(), &found);
    let pairs = pairs(&section, environment);
    let rules = rules(&section);
    let alerting = section.given("alerting").map(|part| {
        let watchdog = rules.get(RuleName::Watchdog.as_str()).and_then(|setting| setting.enabled).unwrap_or(true);
        alerting::read(&part, watchdog, environment)
    });
    let peer = super::peer::read(&section, &pairs, environment);
    let warnings = found.finish(source_name)?;
    Ok(Config { pairs, peer, alerting, rules, warnings })
}

fn pairs(section: &Section<'_>, environment: &Environment) -> Vec<Arc<PairConfig>> {
    let mut pairs: Vec<Arc<PairConfig>> = Vec::new();
    for entry in section.list("pairs", "the pair") {
        let Some(pair) = pair::read(&entry, environment) else { continue };
        if pairs.iter().any(|other| other.name == pair.name) {
            let said = format!("name: {} stands twice", shown(pair.name.as_str()));
            entry.problem("name", said, "give each pair a name of its own");
        }
        pairs.push(Arc::new(pair));
    }
    let by_wrapper = |pair: &&Arc<PairConfig>| pair.config.as_ref().is_some_and(|channel| channel.wrapper);
    if pairs.iter().filter(by_wrapper).count() > 1 {
        for channel in pairs.iter_mut().filter_map(|pair| Arc::make_mut(pair).config.as_mut()) {
            channel.jobs_are_named = true;
        }
    }
    pairs
}

fn rules(section: &Section<'_>) -> BTreeMap<String, RuleSetting> {
    let mut settings: BTreeMap<String, RuleSetting> = BTreeMap::new();
    let mut switches = Vec::new();
    for NamedSection { name, place, section: part } in section.named("rules", "rule") {
        let rule = RuleName::from_text(&name);
        if rule.is_none() {
            section.found.problem(place, format!("rules: there is no rule {}", shown(&name)), rule_meant(&name));
        }
        if let Some(needed) = rule
            && part.has("enabled")
        {
            switches.push((needed, part.place_of("enabled")));
        }
        let setting = RuleSetting {
            hold: part.duration("for"),
            threshold: threshold(&part, rule),
            enabled: part.has("enabled").then(|| part.flag("enabled")).flatten(),
        };
        settings.insert(name, setting);
    }
    for (rule, place) in switches {
        let is_off = |rule: RuleName| settings.get(rule.as_str()).is_some_and(|setting| setting.enabled == Some(false));
        let needs_it = |other: &&RuleName| other.needs() == Some(rule) && !is_off(**other);
        if let Some(other) = RuleName::ALL.iter().find(needs_it).filter(|_| is_off(rule)) {
            let said = format!("enabled: {other} leaves to {rule} what it does not tell itself");
            section.found.problem(place, said, format!("leave {rule} on, or switch off both"));
        }
    }
    settings
}

fn rule_meant(written: &str) -> String {
    let names = || RuleName::ALL.iter().map(|rule| rule.as_str());
    let near = nearest(written, names()).or_else(|| nearest(&format!("Standby{written}"), names()));
    near.map_or_else(
        || format!("known are: {}", names().collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean {near}?"),
    )
}

fn threshold(section: &Section<'_>, rule: Option<RuleName>) -> Option<f64> {
    let unit = rule.map(RuleName::threshold_unit);
    if unit == Some(None) && section.has("threshold") {
        let said = format!("threshold: {} has none, it is met or not", section.label);
        section.problem("threshold", said, "remove it; `for` and `enabled` can be set");
        return None;
    }
    section.parsed("threshold", |text| value::threshold(text, unit.flatten()))
}

/// Files with secrets that everybody on this machine can read.
fn exposed(config: &Config, path: &Path) -> Vec<String> {
    let access = config.alerting.iter().map(|alerting| &alerting.access);
    let of_alerting = access.flat_map(|access| access.password.iter().chain(&access.bearer));
    let secrets = || config.pairs.iter().flat_map(|pair| pair.secrets()).chain(of_alerting.clone());
    let mut warnings: Vec<String> = secrets().filter_map(SecretSource::warning).collect();
    warnings.sort();
    warnings.dedup();
    let inline = |source: &SecretSource| matches!(source, SecretSource::Inline(_));
    if readable_for_all(path) && secrets().any(inline) {
        warnings.push(exposure(path));
    }
    warnings
}

/// The configuration of `--primary URL --standby URL`: one pair named `pair`, its nodes named by host and port. The
/// flags' names say nothing of the roles: those are observed.
///
/// # Errors
/// Both URLs' mistakes, never with a password.
pub fn from_urls(primary: &str, standby: &str, environment: &Environment) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut nodes: Vec<NodeConfig> = Vec::new();
    for (flag, url) in [("--primary", primary), ("--standby", standby)] {
        match postgres_url::parse(url) {
            Err(wrong) => {
                problems.push(Problem { place: None, text: format!("{flag}: {}", wrong.text), cure: wrong.cure })
            }
            Ok(server) => {
                if server.password.is_some() {
                    warnings.push(format!(
                        "{flag}: others on this machine can read the password in the list of processes; put it into \
                         PGPASSWORD, .pgpass or a configuration file"
                    ));
                }
                nodes.push(look_at(server, environment));
            }
        }
    }
    if let [first, second] = nodes.as_slice()
        && first.name == second.name
    {
        let text = format!("--primary and --standby both name {}", first.name);
        problems.push(Problem { place: None, text, cure: "give each the address of its own server".to_owned() });
    }
    if !problems.is_empty() {
        return Err(Problems { source_name: String::new(), list: problems });
    }
    let pair = pair::with_defaults("pair", nodes)
        .ok_or_else(|| Problems::whole("", "a default of this version cannot be read", "report this as a bug"))?;
    Ok(Config { pairs: vec![Arc::new(pair)], peer: None, alerting: None, rules: BTreeMap::new(), warnings })
}

fn look_at(server: PostgresNode, environment: &Environment) -> NodeConfig {
    let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
    NodeConfig {
        name: Name::new(&format!("{host}:{}", server.port)),
        agent: None,
        postgres: Some(PostgresNode {
            password: server.password.clone().or_else(|| postgres_password(environment)),
            ..server
        }),
        kvstore: None,
        search: None,
        config: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_pairs_that_go_by_records_each_job_names_its_own() {
        let pair = |name: &str, wrapper: bool| {
            format!(
                "  - name: {name}
    nodes: {{ alpha: {{ config: {{ root: /a, timestamp_file: /s }} }}, beta: {{ config: {{ root: /b, timestamp_file: /t }} }} }}
    config: {{ wrapper: {wrapper} }}
    role_from: {{ fixed: alpha }}
"
            )
        };
        let named = |pairs: &[String]| {
            let config = parse(&format!("pairs:\n{}", pairs.concat()), "test", &Environment::default()).expect("right");
            config.pairs.iter().map(|pair| pair.config.as_ref().expect("configured").jobs_are_named).collect::<Vec<_>>()
        };
        assert_eq!(named(&[pair("one", true)]), [false]);
        assert_eq!(named(&[pair("one", true), pair("two", false)]), [false, false], "only one has jobs of that kind");
        assert_eq!(named(&[pair("one", true), pair("two", true)]), [true, true]);
    }
}
