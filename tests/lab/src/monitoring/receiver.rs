//! A webhook receiver that keeps what Alertmanager sends.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::lab::stage;
use crate::monitoring::alertmanager::strings;
use crate::wait::wait_until;

/// One alert of one notification, as it was sent.
#[derive(Clone, Debug)]
pub struct Notice {
    /// When it arrived here.
    pub arrived: Instant,
    /// `firing` or `resolved`.
    pub status: String,
    /// Labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// RFC 3339, as sent.
    pub starts_at: String,
    /// RFC 3339, as sent; the year 1 while it fires.
    pub ends_at: String,
}

/// An HTTP server on loopback. Ends when dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    notices: Arc<Mutex<Vec<Notice>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Starts it on a free port.
    pub async fn start() -> Result<Self> {
        let stage = stage()?;
        let _here = stage.enter();
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let notices = Arc::default();
        let task = stage.spawn(serve(listener, Arc::clone(&notices)));
        Ok(Self { address, notices, task })
    }

    /// Where to send to.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// All that came, in order.
    pub fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a notification of the alert `name` with this status (`firing`, `resolved`) and these labels;
    /// the first that ever came counts.
    pub async fn wait_for(
        &self,
        name: &str,
        status: &str,
        labels: &[(&str, &str)],
        within: Duration,
    ) -> Result<Notice> {
        let what = format!("a notification that {name} is {status}");
        wait_until(&what, within, async || {
            Ok(self.notices().into_iter().find(|notice| {
                notice.status == status
                    && has(&notice.labels, "alertname", name)
                    && labels.iter().all(|(key, value)| has(&notice.labels, key, value))
            }))
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn has(labels: &BTreeMap<String, String>, key: &str, value: &str) -> bool {
    labels.get(key).is_some_and(|there| there == value)
}

async fn serve(listener: TcpListener, notices: Arc<Mutex<Vec<Notice>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let notices = Arc::clone(&notices);
        let service = service_fn(move |request| {
            let notices = Arc::clone(&notices);
            async move { Ok::<_, Infallible>(take(request, &notices).await) }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn take(request: Request<Incoming>, notices: &Mutex<Vec<Notice>>) -> Response<Empty<Bytes>> {
    let parsed = match request.into_body().collect().await {
        Ok(body) => serde_json::from_slice::<Value>(&body.to_bytes()).ok(),
        Err(_) => None,
    };
    let mut response = Response::new(Empty::new());
    match parsed.as_ref().and_then(|body| body["alerts"].as_array()) {
        Some(alerts) => notices.lock().unwrap_or_else(PoisonError::into_inner).extend(alerts.iter().map(notice)),
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

fn notice(alert: &Value) -> Notice {
    let text = |key: &str| alert[key].as_str().unwrap_or_default().to_owned();
    Notice {
        arrived: Instant::now(),
        status: text("status"),
        labels: strings(&alert["labels"]),
        annotations: strings(&alert["annotations"]),
        starts_at: text("startsAt"),
        ends_at: text("endsAt"),
    }
}
