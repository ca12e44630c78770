//! Which path answers what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Body;
use hyper::header::{ACCEPT, ORIGIN};
use hyper::{Method, Request, StatusCode};
use tokio::sync::oneshot;

use crate::clock::{self, Moment};
use crate::facts::{BeaconTime, NodeReport, TreeHead};
use crate::http_client::percent_decoded;
use crate::level::Level;
use crate::names::{Channel, FailoverVerdict, Name};
use crate::serve::answer::{self, Answer};
use crate::serve::openness::{HOW_TO_OPEN, is_this_machine};
use crate::serve::peer::PeerAccess;
use crate::serve::{Caller, Pairs, ServeState};
use crate::snapshot::{OwnNode, Snapshot};
use crate::view::api::{OnePairDocument, PairDocument, StatusDocument, VERSION};
use crate::view::failover::{OneFailoverDocument, checklist};
use crate::view::history::HistoryDocument;
use crate::view::plots::PairDay;
use crate::view::prometheus::Format;
use crate::view::replication::Replication;
use crate::view::{html, prometheus, runbooks};

/// A snapshot that ran out this long ago, with none after it: its hub has stopped.
const HUB_STOPPED_AFTER: Duration = Duration::from_secs(60);

const RELOAD: &str = "/-/reload";
/// Where another node's agent asks.
const NODE_PATH: &str = "/api/v1/node";
/// Where it asks for the whole manifest of this node's tree.
const NODE_TREE_PATH: &str = "/api/v1/node/tree";

/// What a path leads to.
enum Route<'a> {
    Metrics,
    Replication,
    Healthy,
    Ready,
    Page,
    Status,
    Pair(&'a str),
    Node,
    NodeTree,
    Failover(&'a str),
    History(&'a str),
    Runbooks,
    Runbook(&'a str),
}

impl<'a> Route<'a> {
    fn of(path: &'a str, telemetry_path: &str) -> Option<Self> {
        match path {
            path if path == telemetry_path => Some(Self::Metrics),
            "/monitor/replication" | "/monitor/replication/" => Some(Self::Replication),
            "/-/healthy" => Some(Self::Healthy),
            "/-/ready" => Some(Self::Ready),
            "/" => Some(Self::Page),
            "/api/v1/status" => Some(Self::Status),
            "/runbooks" | "/runbooks/" => Some(Self::Runbooks),
            NODE_PATH => Some(Self::Node),
            NODE_TREE_PATH => Some(Self::NodeTree),
            path => {
                let named =
                    |prefix| path.strip_prefix(prefix).filter(|name: &&str| !name.is_empty() && !name.contains('/'));
                let history = || {
                    let name = path.strip_prefix("/api/v1/pairs/")?.strip_suffix("/history")?;
                    (!name.is_empty() && !name.contains('/')).then_some(name)
                };
                let pair = named("/api/v1/pairs/").map(Self::Pair);
                pair.or_else(|| history().map(Self::History))
                    .or_else(|| named("/failover/").map(Self::Failover))
                    .or_else(|| named("/runbooks/").map(Self::Runbook))
            }
        }
    }

    /// Open to all. The others tell more than numbers: addresses in messages, what is broken, what to do.
    const fn is_open(&self) -> bool {
        match self {
            Self::Metrics | Self::Replication | Self::Healthy | Self::Ready => true,
            // The same everywhere: they tell nothing of this site.
            Self::Runbooks | Self::Runbook(_) => true,
            _ => false,
        }
    }
}

/// The answer to one request. `HEAD` is answered as `GET`; the server leaves the body out.
pub(super) fn respond<B: Body>(request: &Request<B>, caller: Caller, state: &ServeState) -> Answer {
    let path = request.uri().path();
    let Some(route) = Route::of(path, &state.settings.telemetry_path) else {
        let message = "There is nothing at this path.";
        return match path.starts_with("/api/") {
            true => answer::json_error(StatusCode::NOT_FOUND, message),
            false => answer::text(StatusCode::NOT_FOUND, message),
        };
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer::wrong_method();
    }
    if !request.body().is_end_stream() {
        return answer::body_refused();
    }
    match route {
        Route::Node => return node(request, caller, state, report),
        Route::NodeTree => return node(request, caller, state, tree),
        _ => {}
    }
    if !route.is_open() && !is_this_machine(request, caller.address) {
        return answer::text(StatusCode::FORBIDDEN, HOW_TO_OPEN);
    }
    let now = clock::now();
    // Asked before and after the pairs are looked at: a reload may begin or end in between.
    let reloading = state.is_reloading();
    let shown = Shown::new(&state.pairs());
    let reloading = reloading || state.is_reloading();
    match route {
        Route::Metrics => metrics(request, state, &shown, now),
        Route::Replication => replication(request.uri().query().unwrap_or_default(), &shown, now),
        Route::Healthy => healthy(&shown, reloading, now),
        Route::Ready => ready(&shown, now),
        Route::Page => page(state, &shown, now),
        Route::Status => as_json(&status_document(state, &shown, now)),
        Route::Pair(name) => pair(&percent_decoded(name), &shown, now),
        Route::History(name) => history(&percent_decoded(name), request.uri().query().unwrap_or_default(), state, now),
        Route::Failover(name) => failover(request, &percent_decoded(name), &shown, now),
        Route::Runbooks => answer::text(StatusCode::OK, runbooks::ALL.trim_end()),
        Route::Runbook(rule) => runbook(rule),
        // Answered above: it is another agent's affair, whoever else may see what.
        Route::Node | Route::NodeTree => answer::text(StatusCode::NOT_FOUND, "There is nothing at this path."),
    }
}

/// What another node's agent asks for. Whoever does not show the token learns nothing, not even which pairs there are.
fn node<B>(
    request: &Request<B>,
    caller: Caller,
    state: &ServeState,
    tell: fn(&PeerAccess, &Name, &OwnNode) -> Answer,
) -> Answer {
    let access = match let_agent_in(request, caller, state) {
        Ok(access) => access,
        Err(refused) => return *refused,
    };
    let now = clock::now();
    let shown = Shown::new(&state.pairs());
    let snapshot = pair_asked_for(request).and_then(|name| shown.named(&name, now));
    match snapshot.and_then(|snapshot| Some((&snapshot.at(now).pair, snapshot.own()?))) {
        Some((pair, own)) => tell(&access, pair, own),
        None => no_such_pair(),
    }
}

fn report(access: &PeerAccess, pair: &Name, own: &OwnNode) -> Answer {
    as_json(&NodeReport::new(pair, &own.node, access.run(), &own.readings, BeaconTime::present()))
}

/// The manifest as it is kept, not copied for anybody who asks; what it does not say of itself stands in the head.
fn tree(access: &PeerAccess, pair: &Name, own: &OwnNode) -> Answer {
    match TreeHead::new(pair, &own.node, access.run(), &own.readings.tree, clock::now()) {
        Some((head, manifest)) => answer::manifest(&head, manifest),
        None => answer::json_error(StatusCode::SERVICE_UNAVAILABLE, "The tree has not been read, or cannot be."),
    }
}

/// Whoever asks for what only agents are told must show the token, over TLS (plain only on loopback).
pub(super) fn let_agent_in<B>(
    request: &Request<B>,
    caller: Caller,
    state: &ServeState,
) -> Result<Arc<PeerAccess>, Box<Answer>> {
    let Some(access) = state.peer() else {
        return Err(Box::new(answer::json_error(StatusCode::NOT_FOUND, "This agent is not one of a pair's.")));
    };
    if !caller.encrypted && !caller.address.ip().to_canonical().is_loopback() {
        return Err(Box::new(answer::json_error(StatusCode::FORBIDDEN, "Other agents are answered over TLS only.")));
    }
    if !access.admits(request.headers()) {
        return Err(Box::new(answer::json_error(StatusCode::UNAUTHORIZED, "The peer token is missing or wrong.")));
    }
    Ok(access)
}

/// The pair that another agent asks about.
pub(super) fn pair_asked_for<B>(request: &Request<B>) -> Option<String> {
    parameter(request.uri().query().unwrap_or_default(), "pair")
}

/// Whether this is for [`reload`].
pub(super) fn asks_to_reload<B>(request: &Request<B>) -> bool {
    request.uri().path() == RELOAD
}

/// `POST /-/reload`: as SIGHUP, and waits for what becomes of it.
pub(super) async fn reload<B: Body>(request: &Request<B>, peer: SocketAddr, state: &ServeState) -> Answer {
    if *request.method() != Method::POST {
        return answer::only_post();
    }
    if !request.body().is_end_stream() {
        return answer::body_refused();
    }
    if !is_this_machine(request, peer) {
        return answer::text(StatusCode::FORBIDDEN, HOW_TO_OPEN);
    }
    // A page of a stranger may send a POST here through the user's browser; the browser then says from where.
    if request.headers().contains_key(ORIGIN) {
        return answer::text(StatusCode::FORBIDDEN, "No web page may ask for a reload.");
    }
    let Some(reload) = &state.reload else {
        let line = "Not enabled: start with --web.enable-lifecycle, or send SIGHUP.";
        return answer::text(StatusCode::FORBIDDEN, line);
    };
    let (tell, told) = oneshot::channel();
    // Neither fails but while the agent stops.
    let became = match reload.send(tell).await {
        Ok(()) => told.await.ok(),
        Err(_) => None,
    };
    match became {
        Some(Ok(())) => answer::text(StatusCode::OK, "Reloaded."),
        Some(Err(problems)) => {
            let line = format!("Not reloaded; the configuration before stays in use.\n{problems}");
            answer::text(StatusCode::INTERNAL_SERVER_ERROR, &line)
        }
        None => answer::text(StatusCode::SERVICE_UNAVAILABLE, "Not reloaded: the agent is stopping."),
    }
}

/// The newest snapshot of each pair, and whether its hub still lives.
struct Shown(Vec<(Arc<Snapshot>, bool)>);

impl Shown {
    fn new(pairs: &Pairs) -> Self {
        Self(pairs.iter().map(|pair| (pair.borrow().clone(), pair.has_changed().is_ok())).collect())
    }

    fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.0.iter().map(|(snapshot, _)| snapshot.as_ref())
    }

    /// The pair's snapshot, if it is watched.
    fn named(&self, name: &str, now: Moment) -> Option<&Snapshot> {
        self.snapshots().find(|snapshot| snapshot.at(now).pair.as_str() == name)
    }
}

fn metrics<B>(request: &Request<B>, state: &ServeState, shown: &Shown, now: Moment) -> Answer {
    let accept = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::accepted(&accept.collect::<Vec<_>>().join(","));
    let agent = (state.agent_samples)();
    let of_pairs = shown.snapshots().flat_map(|snapshot| &snapshot.at(now).samples);
    let body = prometheus::render(prometheus::catalogue(), of_pairs.chain(&agent), format);
    answer::metrics(format.content_type(), body, request.headers())
}

/// Always 200, unless the question names a pair that is not watched, or asks for strictness.
fn replication(query: &str, shown: &Shown, now: Moment) -> Answer {
    let views: Vec<_> = match parameter(query, "pair") {
        None => shown.snapshots().map(|snapshot| snapshot.at(now)).collect(),
        Some(name) => match shown.named(&name, now) {
            Some(snapshot) => vec![snapshot.at(now)],
            None => return no_such_pair(),
        },
    };
    let replication = Replication::new(&views, now);
    let strict = is_strict(query);
    let status = match replication.level() {
        Level::Ok => StatusCode::OK,
        _ if strict => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    answer::json(status, replication.to_json())
}

/// A hub that a reload replaces stops before the next one is shown. That is no fault of its.
fn healthy(shown: &Shown, reloading: bool, now: Moment) -> Answer {
    let stopped = |(snapshot, lives): &&(Arc<Snapshot>, bool)| {
        !(*lives || reloading) || now.since(snapshot.shown_until()) > HUB_STOPPED_AFTER
    };
    match shown.0.iter().find(stopped) {
        Some((snapshot, _)) => {
            let line = format!("The hub of pair {} has stopped publishing.", snapshot.at(now).pair);
            answer::text(StatusCode::SERVICE_UNAVAILABLE, &line)
        }
        None => answer::text(StatusCode::OK, "Healthy."),
    }
}

fn ready(shown: &Shown, now: Moment) -> Answer {
    match shown.snapshots().find(|snapshot| !snapshot.complete) {
        Some(snapshot) => {
            let line = format!("The first round of probes of pair {} is not complete yet.", snapshot.at(now).pair);
            answer::text(StatusCode::SERVICE_UNAVAILABLE, &line)
        }
        None => answer::text(StatusCode::OK, "Ready."),
    }
}

fn pair(name: &str, shown: &Shown, now: Moment) -> Answer {
    match shown.named(name, now) {
        Some(snapshot) => {
            let pair = PairDocument::new(snapshot.at(now), snapshot.complete, now);
            as_json(&OnePairDocument { version: VERSION, pair })
        }
        None => no_such_pair(),
    }
}

/// "Promote now?": text, or JSON for those who accept that. 200 with the verdict; `?strict=1`: 503 unless ready.
fn failover<B>(request: &Request<B>, name: &str, shown: &Shown, now: Moment) -> Answer {
    let Some(view) = shown.named(name, now).map(|snapshot| snapshot.at(now)) else { return no_such_pair() };
    let Some(told) = OneFailoverDocument::new(view) else {
        let message = "PostgreSQL is not watched in this pair: what a promotion would lose is unknown.";
        return answer::json_error(StatusCode::NOT_FOUND, message);
    };
    let strict = is_strict(request.uri().query().unwrap_or_default());
    let status = match told.failover.verdict {
        FailoverVerdict::Ready => StatusCode::OK,
        _ if strict => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let accepts = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepts.into_iter().any(|accepted| accepted.contains("application/json")) {
        return match serde_json::to_string(&told) {
            Ok(json) => answer::json(status, json + "\n"),
            Err(error) => answer::json_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        };
    }
    answer::text(status, checklist(told.pair.as_str(), &told.failover).trim_end())
}

fn is_strict(query: &str) -> bool {
    parameter(query, "strict").is_some_and(|value| value == "1" || value == "true")
}

/// The last day of one channel, or of all.
fn history(pair: &str, query: &str, state: &ServeState, now: Moment) -> Answer {
    let Some(day) = state.day(pair) else { return no_such_pair() };
    let only = match parameter(query, "channel") {
        None => None,
        Some(name) => match Channel::from_text(&name) {
            Some(channel) => Some(channel),
            None => return answer::json_error(StatusCode::NOT_FOUND, "No channel has this name."),
        },
    };
    as_json(&day.with(|day| HistoryDocument::new(pair, day, only, now)))
}

fn no_such_pair() -> Answer {
    answer::json_error(StatusCode::NOT_FOUND, "No pair of this name is being watched.")
}

fn runbook(rule: &str) -> Answer {
    match runbooks::section(rule) {
        Some(section) => answer::text(StatusCode::OK, section),
        None => answer::text(StatusCode::NOT_FOUND, "No rule has this name; all of them are at /runbooks."),
    }
}

fn page(state: &ServeState, shown: &Shown, now: Moment) -> Answer {
    let status = status_document(state, shown, now);
    let of = |pair: &PairDocument| {
        let day = state.day(pair.pair.as_str())?;
        Some((pair.pair.clone(), day.with(|day| PairDay::new(day, now))))
    };
    let days = status.pairs.iter().filter_map(of).collect();
    answer::html(html::render(&status, &days, &state.settings.telemetry_path))
}

fn status_document(state: &ServeState, shown: &Shown, now: Moment) -> StatusDocument {
    let views = shown.snapshots().map(|snapshot| (snapshot.at(now), snapshot.complete));
    let document = StatusDocument::new(views, now, clock::wall());
    document.with_agent_findings(&state.agent_findings.borrow(), now).with_agent_notes((state.agent_notes)())
}

fn as_json(document: &impl serde::Serialize) -> Answer {
    match serde_json::to_string(document) {
        Ok(json) => answer::json(StatusCode::OK, json + "\n"),
        Err(error) => answer::json_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The first value of a parameter in a query.
fn parameter(query: &str, wanted: &str) -> Option<String> {
    query
        .split('&')
        .map(|field| field.split_once('=').unwrap_or((field, "")))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| percent_decoded(&value.replace('+', " ")))
}
