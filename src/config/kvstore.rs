//! The key-value channel and its stores from their sections.

use super::node::{NodeRead, credentials, exactly_one};
use super::secrets::Environment;
use super::section::Section;
use super::stores::{
    ExecStoreNode, HttpOperation, HttpStoreNode, KvstoreChannel, KvstoreNode, Lanes, Observe, RedisNode, StoreTls,
    TcpStoreNode, WriteOrder,
};
use super::value::{self, Wrong};
use super::wording::shown;
use crate::secret::Secret;

/// A store, or the gateway in front of them.
pub(super) fn store(section: &Section<'_>, environment: &Environment) -> Option<KvstoreNode> {
    let kinds: &[&str] =
        if section.label == "write_via" { &["redis", "http", "exec"] } else { &["redis", "http", "exec", "tcp"] };
    exactly_one(section, kinds);
    let redis = section.given("redis").map(|part| redis(&part, environment));
    let http = section.given("http").map(|part| http(&part, environment));
    let exec = section.given("exec").map(|part| exec(&part));
    let tcp = if kinds.contains(&"tcp") { section.given("tcp") } else { None };
    let tcp = tcp.map(|part| Some(KvstoreNode::Tcp(TcpStoreNode { address: part.parsed("address", value::address)? })));
    redis.or(http).or(exec).or(tcp).flatten()
}

fn redis(section: &Section<'_>, environment: &Environment) -> Option<KvstoreNode> {
    let (user, password) = credentials(section, environment);
    let tls = section.given("tls").map(|part| StoreTls {
        root_certificate: part.path("root_certificate"),
        server_name: part.text("server_name"),
    });
    let address = section.parsed("address", value::address_or_socket)?;
    if tls.is_some() && address.starts_with("unix:") {
        section.problem("tls", "tls: nothing is encrypted over a socket of the same machine", "remove it");
    }
    Some(KvstoreNode::Redis(RedisNode {
        address,
        user,
        password,
        database: section.count("database").and_then(|number| u32::try_from(number).ok())?,
        tls,
    }))
}

fn http(section: &Section<'_>, environment: &Environment) -> Option<KvstoreNode> {
    let (user, password) = credentials(section, environment);
    let [put, get, delete] = ["put", "get", "delete"].map(|name| section.given(name).map(|part| operation(&part)));
    for (name, operation) in [("put", &put), ("get", &get)] {
        if operation.is_none() {
            section.missing_key(name);
        }
    }
    if let Some(Some(put)) = &put
        && !put.path.contains("{key")
        && !put.body.contains("{key")
    {
        section.problem("put", "put: the key stands nowhere", "write {key} or {key_base64} into its path or body");
    }
    if let Some(Some(put)) = &put
        && !put.path.contains("{value")
        && !put.body.contains("{value")
    {
        section.problem(
            "put",
            "put: the value stands nowhere",
            "write {value} or {value_base64} into its path or body",
        );
    }
    // All are read before any that is missing ends it, so that all mistakes are told.
    let (encoding, value_at, headers) =
        (section.choice("encoding"), section.parsed("value_at", pointer), headers(section));
    Some(KvstoreNode::Http(HttpStoreNode {
        url: section.parsed("url", value::http_url)?,
        user,
        password,
        root_certificate: section.path("root_certificate"),
        headers,
        put: put??,
        get: get??,
        value_at,
        base64: encoding.as_deref() == Some("base64"),
        delete: delete.flatten(),
    }))
}

fn headers(section: &Section<'_>) -> Vec<(String, Secret)> {
    let header = |text: &str| {
        let fits = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        // Not shown: a token may stand in it.
        match text.split_once(':') {
            Some((name, _)) if fits(name.trim()) && !text.contains(['\r', '\n']) => Ok(text.to_owned()),
            _ => Err(Wrong::new("an entry is no header", "write \"Name: value\"")),
        }
    };
    let split = |text: String| {
        let (name, value) = text.split_once(':')?;
        Some((name.trim().to_owned(), Secret::new(value.trim())))
    };
    section.texts("headers", header).into_iter().filter_map(split).collect()
}

fn pointer(text: &str) -> Result<String, Wrong> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{} is no JSON pointer", shown(text)), "begin with a slash, for example /kvs/0/value"))
}

fn operation(section: &Section<'_>) -> Option<HttpOperation> {
    let path = section.parsed("path", |text| {
        let text = value::text(text)?;
        if text.starts_with('/') {
            return Ok(text);
        }
        Err(Wrong::new(format!("{} does not begin with a slash", shown(&text)), "write the path below url"))
    });
    let expect = statuses(section, "expect", &[200, 201, 204]);
    let missing = statuses(section, "missing", &[404]);
    let method = section.choice("method");
    Some(HttpOperation {
        body: section.text("body").unwrap_or_default(),
        method: method?,
        path: path?,
        expect,
        missing,
    })
}

fn statuses(section: &Section<'_>, name: &str, default: &[u16]) -> Vec<u16> {
    let status = |text: &str| match text.parse::<u16>() {
        Ok(100..=599) => Ok(text.to_owned()),
        _ => Err(Wrong::new(format!("{} is no HTTP status", shown(text)), "write for example 200")),
    };
    if !section.has(name) {
        return default.to_vec();
    }
    section.texts(name, status).iter().filter_map(|text| text.parse().ok()).collect()
}

fn exec(section: &Section<'_>) -> Option<KvstoreNode> {
    let command = |name: &str| {
        let words = section.command(name)?;
        let program = words.first().map_or("", String::as_str);
        if !program.starts_with('/') {
            let said = format!("{name}: {} is not an absolute path", shown(program));
            section.problem(name, said, "write the program from / on");
        }
        Some(words)
    };
    let (put, get, delete) = (command("put"), command("get"), command("delete"));
    Some(KvstoreNode::Exec(ExecStoreNode { put: put?, get: get?, delete }))
}

/// The channel, and what must hold between it and the stores of the nodes.
pub(super) fn channel(pair: &Section<'_>, nodes: &[NodeRead<'_>], environment: &Environment) -> Option<KvstoreChannel> {
    let section = pair.child("kvstore");
    let stores: Vec<_> = nodes.iter().filter_map(|node| Some((node, node.config.kvstore.as_ref()?))).collect();
    let lanes = section.child("lanes");
    let observe = section.child("observe");
    let mut channel = KvstoreChannel {
        schedule: super::pair::schedule(&section)?,
        order: order(&section),
        sla: section.duration("sla")?,
        prefix: section.text("prefix")?,
        canaries: section.flag("canaries")?,
        lanes: Lanes { medium: lanes.duration("medium")?, slow: lanes.duration("slow")? },
        write_via: section.given("write_via").and_then(|part| store(&part, environment)),
        observe: Observe {
            keys: observe.texts("key", value::text),
            sample: observe.count("sample").and_then(|number| u32::try_from(number).ok()).unwrap_or(0),
        },
        own_only: nodes.iter().filter(|node| is_own_only(node)).map(|node| node.config.name.clone()).collect(),
    };
    if channel.lanes.slow <= channel.lanes.medium {
        lanes.problem("slow", "slow: not longer than the medium lane", "write for example 6 times the medium one");
    }
    if section.has("observe") && !channel.observe.any() && !observe.has("key") && !observe.has("sample") {
        section.problem("observe", "observe: nothing is named", "write `sample: 50` or `key: NAME` below it");
    }
    if !channel.canaries && !channel.observe.any() && !stores.iter().any(|(_, store)| is_port(store)) {
        let cure = "remove `canaries: false`, or add `observe: { sample: 50 }`";
        section.problem("canaries", "canaries: without them and without observe nothing is proven", cure);
    }
    check_ports(&section, &channel, &stores);
    check_own_only(&section, &mut channel, &stores);
    let not_redis = stores.iter().find(|(_, store)| !matches!(store, KvstoreNode::Redis(_)));
    if let Some((node, _)) = not_redis.filter(|_| channel.observe.sample > 0) {
        let said =
            format!("sample: keys at random are taken from redis only, and {} has another store", node.config.name);
        observe.problem("sample", said, "name keys: `observe: { key: NAME }`");
    }
    Some(channel)
}

const fn is_port(store: &KvstoreNode) -> bool {
    matches!(store, KvstoreNode::Tcp(_))
}

/// Whoever writes into a replica is refused (`READONLY`); whoever lifts that has two primaries.
fn order(section: &Section<'_>) -> WriteOrder {
    let native = section.choice("replication").as_deref() == Some("native");
    let written = section.choice("order");
    match written.as_deref() {
        Some("primary-first") => WriteOrder::PrimaryFirst,
        Some(_) if native => {
            let said = "order: standby-first cannot be with replication: native: the standby's store is a replica and takes no writes";
            let cure = "write `order: primary-first` (the primary's store is written, and the replica must show it), or \
                        `write_via:` the gateway that writes to both, or `canaries: false` with `observe: { sample: 50 }`";
            section.problem("order", said, cure);
            WriteOrder::StandbyFirst
        }
        Some(_) => WriteOrder::StandbyFirst,
        None if native => WriteOrder::PrimaryFirst,
        None => WriteOrder::StandbyFirst,
    }
}

/// Whether nobody but the node's own agent reaches its store.
pub(super) fn is_own_only(node: &NodeRead<'_>) -> bool {
    let Some(store) = &node.config.kvstore else { return false };
    let said = node.section.child("kvstore").flag("local");
    node.has_agent() && said.unwrap_or_else(|| store.is_on_loopback())
}

/// Where no agent reaches both stores, none can write to both: what it would reach under the other one's address may be its own.
fn check_own_only(section: &Section<'_>, channel: &mut KvstoreChannel, stores: &[(&NodeRead<'_>, &KvstoreNode)]) {
    for (node, _) in stores.iter().filter(|(node, _)| !node.has_agent()) {
        let part = node.section.child("kvstore");
        if part.flag("local") == Some(true) {
            let said = format!("local: {} has no agent that could read its store", node.config.name);
            part.problem("local", said, "add `agent:` to the node, or remove it");
        }
    }
    let Some((node, store)) = stores.iter().find(|(node, _)| channel.own_only.contains(&node.config.name)) else {
        return;
    };
    let alone = format!("only its own agent reaches the store of {} ({})", node.config.name, store.summary());
    const OR_ELSE: &str =
        "name an address that every node reaches, or write `local: false` at each store if this one does";
    if is_port(store) {
        let cure = format!("a port is looked at from the primary: {OR_ELSE}");
        return node.section.problem("kvstore", format!("kvstore: {alone}"), cure);
    }
    if !channel.canaries || channel.write_via.is_some() || channel.order == WriteOrder::PrimaryFirst {
        return;
    }
    if channel.observe.any() {
        channel.canaries = false;
        section.found.warning(format!(
            "kvstore: {alone}, so no canaries are written and the proof is `observed`; with `write_via:` the application's write \
             path it is `round_trip`, too"
        ));
        return;
    }
    let cure = format!(
        "write `write_via:` the application's own write path, or compare what it wrote by `observe: {{ sample: 50 }}` or \
         `observe: {{ key: NAME }}`; or else {OR_ELSE}"
    );
    node.section.problem("kvstore", format!("kvstore: {alone}, so no agent can write to both"), cure);
}

/// A port proves that it can be reached and nothing else, so nothing else can be asked of it.
fn check_ports(section: &Section<'_>, channel: &KvstoreChannel, stores: &[(&NodeRead<'_>, &KvstoreNode)]) {
    let Some((port, _)) = stores.iter().find(|(_, store)| is_port(store)) else { return };
    if let Some((other, _)) = stores.iter().find(|(_, store)| !is_port(store)) {
        let said = format!("kvstore: {} has tcp, and {} has not", port.config.name, other.config.name);
        port.section.problem("kvstore", said, "name the same kind of store at each node");
    }
    for (name, given) in [("write_via", channel.write_via.is_some()), ("observe", channel.observe.any())] {
        if given {
            let said = format!("{name}: nothing can be read back from a port (tcp)");
            section.problem(name, said, "name the stores as redis, http or exec, or remove it");
        }
    }
}
