//! One pair from its section, and what must hold between its parts.

use std::time::Duration;

use super::checked::{ConfigChannel, NodeConfig, PairConfig, PostgresChannel, RoleFrom, Rpo, Schedule, SearchChannel};
use super::kvstore;
use super::node::{self, NodeRead, exactly_one};
use super::problems::{Found, Place};
use super::secrets::Environment;
use super::section::Section;
use super::status_page;
use super::value;
use super::wording::{nearest, shown};
use crate::names::{Channel, Name};

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
    check_replicas(&nodes);
    let has = |channel: Channel| nodes.iter().any(|node| node.names(channel));
    // Every section is read, also of a channel that no node has, so that its mistakes are told too.
    let (postgres, config, kvstore, search) = (
        postgres(section)?,
        config(section, &nodes)?,
        kvstore::channel(section, &nodes, environment)?,
        search(section)?,
    );
    Some(PairConfig {
        postgres: (has(Channel::Postgres) || status_page.is_some())
            .then_some(PostgresChannel { status_page, ..postgres }),
        config: has(Channel::Config).then_some(config),
        kvstore: has(Channel::Kvstore).then_some(kvstore),
        search: has(Channel::Search).then_some(search),
        rpo: rpo(&section.child("rpo"))?,
        role_from: role_from(section, &nodes),
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
            if node.has_agent() || other.has_agent() {
                continue;
            }
            for (channel, address) in addresses(&node.config) {
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
        status_page: None,
    })
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
    let named = nodes.iter().filter(|node| node.names_timestamp_file).count();
    if configured && !wrapper && named > 0 && named < nodes.len() {
        let said = "config: not every node names a timestamp_file; after a failover the age may be unknown";
        pair.found.warning(said.to_owned());
    }
    if configured && !wrapper && named == 0 {
        let place = if pair.has("config") { pair.place_of("config") } else { pair.place_of("nodes") };
        let cure = "run the job as `standbywatch rsync -- …` and write `config: { wrapper: true }` in the pair, \
                    or name a timestamp_file at each node";
        pair.found.problem(place, "config: nothing tells when the last sync was", cure);
    }
    Some(ConfigChannel { schedule: schedule(&section)?, period: section.duration("period")?, wrapper })
}

fn search(pair: &Section<'_>) -> Option<SearchChannel> {
    let section = pair.child("search");
    Some(SearchChannel {
        schedule: schedule(&section)?,
        indices: section.texts("indices", value::index),
        yellow_is_ok: section.flag("yellow_is_ok")?,
        rebuild_takes: section.duration("rebuild_takes"),
    })
}

fn rpo(section: &Section<'_>) -> Option<Rpo> {
    Some(Rpo { bytes: section.size("bytes")?, age: section.duration("age")? })
}

fn role_from(pair: &Section<'_>, nodes: &[NodeRead<'_>]) -> Option<RoleFrom> {
    let has_postgres = nodes.iter().any(|node| node.names(Channel::Postgres));
    let has_others = nodes.iter().any(|node| Channel::ALL.iter().any(|channel| node.names(*channel)));
    let Some(section) = pair.given("role_from") else {
        if !has_postgres && has_others {
            let said = "nodes: without postgres nothing tells which node is the primary";
            pair.problem("nodes", said, "add `role_from: { fixed: NODE }` or `role_from: { file: PATH }` to the pair");
        }
        return None;
    };
    if has_postgres {
        pair.found
            .warning(format!("line {}: role_from has no effect, since postgres tells the roles", section.place.line));
    }
    if !section.has_later("exec") {
        exactly_one(&section, &["fixed", "file"]);
    }
    let fixed = section.text("fixed").map(|name| {
        let names: Vec<&str> = nodes.iter().map(|node| node.config.name.as_str()).collect();
        if !names.contains(&name.as_str()) {
            let known = format!("write one of {}", names.join(", "));
            let cure = nearest(&name, names.iter().copied()).map_or(known, |near| format!("did you mean {near}?"));
            section.problem("fixed", format!("fixed: {} is no node of this pair", shown(&name)), cure);
        }
        RoleFrom::Fixed(Name::new(&name))
    });
    fixed.or_else(|| section.path("file").map(RoleFrom::File))
}
