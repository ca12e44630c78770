//! One pair from its section, and what must hold between its parts.

use std::time::Duration;

use super::checked::{ConfigChannel, NodeConfig, PairConfig, PostgresChannel, Replication, RoleFrom, Rpo, Schedule};
use super::glob::Glob;
use super::kvstore;
use super::node::{self, NodeRead, exactly_one};
use super::peer;
use super::problems::{Found, Place};
use super::search;
use super::secrets::Environment;
use super::section::Section;
use super::status_page;
use super::value;
use super::wording::{nearest, shown};
use crate::names::{Channel, Name};
use crate::units::duration_text;

/// The pair, or `None` if something without a default is missing; that has been noted then.
pub(super) fn read(section: &Section<'_>, environment: &Environment) -> Option<PairConfig> {
    let name = section.name("name");
    if !section.has("nodes") {
        section.missing_key("nodes");
    }
    let nodes: Vec<NodeRead<'_>> =
        section.named("nodes", "node").into_iter().map(|named| node::read(named, environment)).collect();
    if section.has("nodes") && nodes.len() < 2 {
        let said = format!("nodes: {} given, and a pair has two or more", nodes.len());
        section.problem("nodes", said, "add the other machine");
    }
    let status_page = status_page::read(section, &nodes, environment);
    check_sides(section, &nodes);
    check_addresses(&nodes);
    peer::check_agents(&nodes);
    check_replicas(&nodes);
    let has = |channel: Channel| nodes.iter().any(|node| node.names(channel));
    // Every section is read, also of a channel that no node has, so that its mistakes are told too.
    let (postgres, config) = (postgres(section)?, config(section, &nodes)?);
    let kvstore = kvstore::channel(section, &nodes, environment)?;
    let search = section.child("search");
    let search = search::channel(&search, schedule(&search)?, has(Channel::Postgres))?;
    let rpo = rpo(&section.child("rpo"))?;
    if has(Channel::Postgres) {
        section.found.warnings(looks_too_seldom(&postgres, rpo));
    }
    Some(PairConfig {
        postgres: (has(Channel::Postgres) || status_page.is_some())
            .then_some(PostgresChannel { status_page, ..postgres }),
        config: has(Channel::Config).then_some(config),
        kvstore: has(Channel::Kvstore).then_some(kvstore),
        search: has(Channel::Search).then_some(search),
        rpo,
        role_from: role_from(section, &nodes),
        seat: None,
        name: Name::new(&name?),
        nodes: nodes.into_iter().map(|node| node.config).collect(),
    })
}

/// A pair of PostgreSQL servers for which nothing but the nodes is said.
pub(super) fn with_defaults(name: &str, nodes: Vec<NodeConfig>) -> Option<PairConfig> {
    let found = Found::default();
    let section = Section::absent("pairs[]", String::new(), Place { line: 1, column: 1 }, &found);
    Some(PairConfig {
        name: Name::new(name),
        nodes,
        postgres: Some(postgres(&section)?),
        config: None,
        kvstore: None,
        search: None,
        rpo: rpo(&section.child("rpo"))?,
        role_from: None,
        seat: None,
    })
}

/// A channel needs all its sides, and a pair needs a channel.
fn check_sides(section: &Section<'_>, nodes: &[NodeRead<'_>]) {
    for channel in Channel::ALL {
        let with = nodes.iter().find(|node| node.names(*channel));
        match with {
            None if *channel == Channel::Postgres && status_page::is_named(section) => {}
            None if section.has(channel.as_str()) => {
                let said = format!("{channel}: no node of this pair has a {channel} section");
                section.problem(channel.as_str(), said, "say at each node how to reach it");
            }
            None => {}
            Some(with) => {
                for without in nodes.iter().filter(|node| !node.names(*channel)) {
                    let (here, there) = (&without.config.name, &with.config.name);
                    let said = format!("{here}: no {channel} here, while {there} has one");
                    let cure =
                        format!("add {channel} to {here}, or remove it from {there}: a channel needs both sides");
                    without.section.found.problem(without.section.place, said, cure);
                }
            }
        }
    }
    let any = status_page::is_named(section)
        || Channel::ALL.iter().any(|channel| nodes.iter().any(|node| node.names(*channel)));
    if !any && nodes.len() > 1 {
        let cure = "add postgres, config, kvstore or search to each node";
        section.problem("nodes", "nodes: there is nothing to watch", cure);
    }
}

/// Two names for one server would let a channel prove itself: what is written here is found "there".
fn check_addresses(nodes: &[NodeRead<'_>]) {
    for (index, node) in nodes.iter().enumerate() {
        for other in &nodes[..index] {
            // With agents of their own, an address is looked at from the node that it stands at. A store may be looked at from both.
            let agents = node.has_agent() || other.has_agent();
            let own_stores = kvstore::is_own_only(node) && kvstore::is_own_only(other);
            let matters = |(channel, _): &(Channel, String)| !agents || *channel == Channel::Kvstore && !own_stores;
            for (channel, address) in addresses(&node.config).into_iter().filter(matters) {
                if !addresses(&other.config).contains(&(channel, address.clone())) {
                    continue;
                }
                let (here, there) = (&node.config.name, &other.config.name);
                let said = format!("{channel}: {here} and {there} both name {}", shown(&address));
                if channel == Channel::Search {
                    // Nothing is proven from one side to the other there; it merely shows one engine twice.
                    node.section.found.warning(format!("{said}; is there one engine only?"));
                } else {
                    node.section.problem(channel.as_str(), said, "give each node the address of its own server");
                }
            }
        }
    }
}

fn addresses(node: &NodeConfig) -> Vec<(Channel, String)> {
    let postgres = node.postgres.as_ref().map(|server| (Channel::Postgres, format!("{}:{}", server.host, server.port)));
    let kvstore = node.kvstore.as_ref().and_then(|store| Some((Channel::Kvstore, store.address()?.to_owned())));
    let search = node.search.as_ref().map(|engine| (Channel::Search, engine.url.clone()));
    postgres.into_iter().chain(kvstore).chain(search).collect()
}

/// Among several standbys, two with one mark could not be told apart.
fn check_replicas(nodes: &[NodeRead<'_>]) {
    if nodes.len() < 3 {
        return;
    }
    let mark = |node: &NodeRead<'_>| node.config.postgres.as_ref().and_then(|server| server.replica.clone());
    for (index, node) in nodes.iter().enumerate() {
        let twin = nodes[..index].iter().find(|other| mark(node).is_some() && mark(other) == mark(node));
        if let Some(twin) = twin {
            let said = format!("postgres: {} and {} have the same replica", node.config.name, twin.config.name);
            node.section.problem("postgres", said, "give each node a slot or application_name of its own");
        }
    }
}

pub(super) fn schedule(section: &Section<'_>) -> Option<Schedule> {
    let plain = Schedule::new(section.duration("interval")?, section.duration("timeout")?);
    let Some(stale_after) = section.duration("stale_after") else { return Some(plain) };
    if stale_after <= plain.interval + plain.timeout {
        let said = format!("stale_after: {} is not longer than interval and timeout together", text(stale_after));
        let cure = format!("write {} or leave it out", text(plain.stale_after));
        section.problem("stale_after", said, cure);
    }
    Some(Schedule { stale_after, ..plain })
}

fn text(duration: Duration) -> String {
    crate::units::duration_text(duration)
}

fn postgres(pair: &Section<'_>) -> Option<PostgresChannel> {
    let section = pair.child("postgres");
    let schedule = schedule(&section)?;
    Some(PostgresChannel {
        schedule,
        lag_large: section.size("lag_large")?,
        trend_window: section.duration("trend_window")?,
        slot_window: section.duration("slot_window")?,
        initial_sync: section.duration("initial_sync")?,
        low_load: section.size("low_load")?,
        stall_after: section.duration("stall_after")?,
        stuck_after: section.duration("stuck_after")?,
        reconnect_every: section.duration("reconnect_every")?,
        pulse: pulse(&section, &schedule),
        replication: replication(&section)?,
        archive_period: section.duration("archive_period")?,
        status_page: None,
    })
}

fn replication(section: &Section<'_>) -> Option<Replication> {
    let word = section.choice("replication")?;
    if word == "archive" {
        return Some(Replication::Archive);
    }
    if section.has("archive_period") {
        let said = "archive_period: the standbys stream, and nothing is shipped by files";
        section.problem("archive_period", said, "add `replication: archive`, or leave it out");
    }
    Some(Replication::Streaming)
}

/// A pulse goes out after a reading, so it cannot come more often than these.
fn pulse(section: &Section<'_>, schedule: &Schedule) -> Option<Duration> {
    let pulse = section.duration("pulse")?;
    if pulse < schedule.interval {
        let said = format!("pulse: {} is shorter than the interval {}", text(pulse), text(schedule.interval));
        section.problem("pulse", said, format!("write {} or more", text(schedule.interval)));
    }
    Some(pulse)
}

fn config(pair: &Section<'_>, nodes: &[NodeRead<'_>]) -> Option<ConfigChannel> {
    let section = pair.child("config");
    let wrapper = section.flag("wrapper")?;
    let configured = nodes.iter().any(|node| node.names(Channel::Config));
    let beacons = beacons(pair, nodes);
    let named = nodes.iter().filter(|node| node.names_timestamp_file).count();
    if configured && !wrapper && !beacons && named > 0 && named < nodes.len() {
        let said = "config: not every node names a timestamp_file; after a failover the age may be unknown";
        pair.found.warning(said.to_owned());
    }
    if configured && !wrapper && !beacons && named == 0 {
        let place = if pair.has("config") { pair.place_of("config") } else { pair.place_of("nodes") };
        let cure = "run the job as `standbywatch rsync -- …` and write `config: { wrapper: true }` in the pair, \
                    or name a timestamp_file or a beacon at each node";
        pair.found.problem(place, "config: nothing tells when the last sync was", cure);
    }
    let globs = |name: &str| -> Vec<Glob> {
        section.texts(name, value::glob).iter().filter_map(|text| Glob::new(text).ok()).collect()
    };
    Some(ConfigChannel {
        schedule: schedule(&section)?,
        period: section.duration("period")?,
        wrapper,
        // As long as this pair is the only one.
        jobs_are_named: false,
        include: globs("include"),
        exclude: globs("exclude"),
        max_files: section.count("max_files").and_then(|count| u32::try_from(count).ok())?,
        max_size: section.size("max_size")?,
    })
}

/// Whether beacons are used. Each lies at the same place of its tree, since what is written in one is looked for in the other.
fn beacons(pair: &Section<'_>, nodes: &[NodeRead<'_>]) -> bool {
    let inner = |node: &NodeRead<'_>| {
        let tree = node.config.config.as_ref()?;
        Some(tree.beacon.as_ref()?.strip_prefix(&tree.root).ok()?.to_owned())
    };
    let named: Vec<_> = nodes.iter().filter(|node| node.names_beacon).collect();
    if let Some(first) = named.first() {
        for node in nodes {
            let (here, there) = (&node.config.name, &first.config.name);
            if !node.names_beacon {
                let said = format!(
                    "config: {here} names no beacon, while {there} does; after a failover the age may be unknown"
                );
                pair.found.warning(said);
            } else if let (Some(path), Some(other)) = (inner(node), inner(first))
                && path != other
            {
                let said = format!("config: the beacon of {here} is {path:?} in its tree, that of {there} {other:?}");
                node.section.problem("config", said, "write the same one in both trees: rsync keeps the names");
            }
        }
    }
    !named.is_empty()
}

fn rpo(section: &Section<'_>) -> Option<Rpo> {
    Some(Rpo { bytes: section.size("bytes")?, age: section.duration("age")? })
}

/// What was written since the last look may be lost, and when it was written between two looks is not known.
fn looks_too_seldom(postgres: &PostgresChannel, rpo: Rpo) -> Option<String> {
    let [interval, age] = [postgres.schedule.interval, rpo.age].map(duration_text);
    let when = match (rpo.age.checked_sub(postgres.schedule.interval), postgres.schedule.interval) {
        (None, _) => "at any time",
        (Some(rest), interval) if rest <= interval => "while the primary writes",
        _ => return None,
    };
    Some(format!(
        "rpo: {age} of transactions may be lost, and the servers are asked every {interval}: what was written since is seen by nobody, so \
         `failover` does not answer ready {when}; make postgres.interval less than half of rpo.age"
    ))
}

fn role_from(pair: &Section<'_>, nodes: &[NodeRead<'_>]) -> Option<RoleFrom> {
    let has_postgres = nodes.iter().any(|node| node.names(Channel::Postgres));
    let has_others = nodes.iter().any(|node| Channel::ALL.iter().any(|channel| node.names(*channel)));
    let Some(section) = pair.given("role_from") else {
        if !has_postgres && has_others {
            let said = "nodes: without postgres nothing tells which node is the primary";
            pair.problem(
                "nodes",
                said,
                "add `role_from: { fixed: NODE }`, `{ file: PATH }` or `{ exec: [PROGRAM] }` to the pair",
            );
        }
        return None;
    };
    if has_postgres {
        pair.found
            .warning(format!("line {}: role_from has no effect, since postgres tells the roles", section.place.line));
    }
    exactly_one(&section, &["fixed", "file", "exec"]);
    let fixed = section.text("fixed").map(|name| {
        let names: Vec<&str> = nodes.iter().map(|node| node.config.name.as_str()).collect();
        if !names.contains(&name.as_str()) {
            let known = format!("write one of {}", names.join(", "));
            let cure = nearest(&name, names.iter().copied()).map_or(known, |near| format!("did you mean {near}?"));
            section.problem("fixed", format!("fixed: {} is no node of this pair", shown(&name)), cure);
        }
        RoleFrom::Fixed(Name::new(&name))
    });
    let words = section.words("exec", true, |word| {
        let fits = !word.contains('\0');
        if fits { Ok(word.to_owned()) } else { Err(value::Wrong::new("a word with a NUL", "remove it")) }
    });
    if section.has("exec") && !words.first().is_some_and(|program| program.starts_with('/')) {
        let said = "exec: the program is not named by an absolute path";
        section.problem("exec", said, "write for example [/usr/local/bin/who-is-primary, --name]");
    }
    let exec = || (!words.is_empty()).then_some(RoleFrom::Exec(words));
    fixed.or_else(|| section.path("file").map(RoleFrom::File)).or_else(exec)
}
