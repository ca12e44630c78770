//! OpenSearch and Elasticsearch: one server shared by all tests of a run, or one of a test's own to be stopped and frozen.

mod archive;
mod own;
mod shared;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::{Value, json};

pub use archive::Engine;
pub(crate) use archive::prepare;
pub use own::OwnSearch;
pub use shared::SharedSearch;

use crate::http;
use crate::wait::wait_until;

const SETTLED: Duration = Duration::from_secs(30);

/// A client of one OpenSearch server.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    address: SocketAddr,
}

impl Search {
    /// A client that asks at `address`; it may be a cable's.
    pub fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where it listens; lay a [`crate::Cable`] to it to take the server away from one test only.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://…`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A name for an index that no other test uses.
    pub fn fresh_name(&self, prefix: &str) -> String {
        let id: String = std::iter::repeat_with(|| fastrand::char('a'..='z')).take(10).collect();
        format!("{prefix}-{id}")
    }

    /// Makes an index of one shard with this many documents and waits until it is green (yellow, with replicas,
    /// which one node never holds).
    pub async fn create_index(&self, name: &str, documents: u32, replicas: u32) -> Result<()> {
        let settings = json!({ "settings": { "number_of_shards": 1, "number_of_replicas": replicas } });
        self.ask(Method::PUT, name, Some(&settings)).await?;
        let lines: String =
            (0..documents).map(|number| format!("{{\"index\":{{}}}}\n{{\"title\":\"document {number}\"}}\n")).collect();
        if documents > 0 {
            let url = format!("{}/{name}/_bulk?refresh=true", self.url());
            let answer = http::send_text(Method::POST, &url, lines).await?.ok()?;
            if answer.json()?["errors"] != false {
                bail!("not all documents were taken: {}", answer.text);
            }
        }
        let health = if replicas == 0 { "green" } else { "yellow" };
        self.wait_for_health(name, health).await
    }

    /// Adds documents to an index, as an application that rebuilds it does: `first` and the numbers after it are their ids.
    pub async fn add(&self, name: &str, first: u64, documents: u64) -> Result<()> {
        let line = |id: u64| format!("{{\"index\":{{\"_id\":\"{id}\"}}}}\n{{\"title\":\"document {id}\"}}\n");
        let lines: String = (first..first + documents).map(line).collect();
        let answer = http::send_text(Method::POST, &format!("{}/{name}/_bulk", self.url()), lines).await?.ok()?;
        if answer.json()?["errors"] != false {
            bail!("not all documents were taken");
        }
        Ok(())
    }

    /// Settings of the whole cluster, until they are set again; `null` takes one back.
    pub async fn set(&self, settings: &Value) -> Result<()> {
        self.ask(Method::PUT, "_cluster/settings", Some(&json!({ "persistent": settings }))).await.map(|_| ())
    }

    /// Deletes an index.
    pub async fn delete_index(&self, name: &str) -> Result<()> {
        self.ask(Method::DELETE, name, None).await.map(|_| ())
    }

    /// Makes an index red, for good: it is made anew with its primary shard allowed on no node that exists, as if its disk were
    /// lost. (A shard that has data is put back on its node whatever allocation rules say.)
    pub async fn make_red(&self, name: &str) -> Result<()> {
        self.delete_index(name).await?;
        let nowhere = json!({
            "number_of_shards": 1, "number_of_replicas": 0, "index.routing.allocation.require._name": "nowhere",
        });
        let path = format!("{name}?wait_for_active_shards=0");
        self.ask(Method::PUT, &path, Some(&json!({ "settings": nowhere }))).await?;
        self.wait_for_health(name, "red").await
    }

    /// Ends [`Search::make_red`]: green and empty.
    pub async fn make_green(&self, name: &str) -> Result<()> {
        let anywhere = json!({ "index.routing.allocation.require._name": null });
        self.ask(Method::PUT, &format!("{name}/_settings"), Some(&anywhere)).await?;
        self.wait_for_health(name, "green").await
    }

    /// Sets or (with `false`) removes the block that a full disk sets: no writes, deletes allowed.
    pub async fn block_writes(&self, name: &str, blocked: bool) -> Result<()> {
        let value = if blocked { json!(true) } else { Value::Null };
        let settings = json!({ "index.blocks.read_only_allow_delete": value });
        self.ask(Method::PUT, &format!("{name}/_settings"), Some(&settings)).await.map(|_| ())
    }

    /// `green`, `yellow` or `red`, of one index.
    pub async fn health(&self, name: &str) -> Result<String> {
        let path = format!("_cluster/health/{name}?timeout=1s");
        let url = format!("{}/{path}", self.url());
        // 408 says that it waited in vain, and the body is there all the same.
        let json = http::get(&url).await?.json()?;
        json["status"].as_str().map(str::to_owned).with_context(|| format!("no status in {json}"))
    }

    /// Documents in an index.
    pub async fn count(&self, name: &str) -> Result<u64> {
        let json = self.ask(Method::GET, &format!("{name}/_count"), None).await?;
        json["count"].as_u64().context("no count")
    }

    /// Any request: `path` without its first slash; an error unless 2xx.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("{}/{path}", self.url());
        http::send(method, &url, body).await?.ok()?.json()
    }

    async fn wait_for_health(&self, name: &str, wanted: &str) -> Result<()> {
        wait_until(&format!("index {name} is {wanted}"), SETTLED, async || {
            Ok((self.health(name).await? == wanted).then_some(()))
        })
        .await
    }
}
