//! A made-up server: listens on a free port and answers each thing that it is told as a test wants.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use standbywatch_lab::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What is said to one thing heard.
#[derive(Clone, Debug)]
pub enum Says {
    /// Nothing, and the connection stays open.
    Nothing,
    /// This; then it listens again.
    This(Vec<u8>),
    /// This; then it closes.
    Last(Vec<u8>),
    /// This, a byte at a time with pauses.
    Drip(Vec<u8>, Duration),
    /// The first part, then letters, so many bytes of them.
    Flood(Vec<u8>, u64),
}

type Script = dyn Fn(&[u8]) -> Says + Send + Sync;

/// Ends with all its connections when dropped.
pub struct Impostor {
    address: SocketAddr,
    script: Arc<Mutex<Arc<Script>>>,
    connections: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Impostor {
    /// Starts one that answers by `script`, which gets what was heard.
    pub async fn start(script: impl Fn(&[u8]) -> Says + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(Arc::new(script)));
        let connections = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(listen(listener, script.clone(), connections.clone()));
        Ok(Self { address, script, connections, task })
    }

    /// One that always says the same.
    pub async fn that_says(says: Says) -> Result<Self> {
        Self::start(move |_| says.clone()).await
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it answers by another script, on present connections, too.
    pub fn change(&self, script: impl Fn(&[u8]) -> Says + Send + Sync + 'static) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// Connections that were made so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, script: Arc<Mutex<Arc<Script>>>, connections: Arc<AtomicU64>) {
    let mut all = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        let script = script.clone();
        all.spawn(async move {
            // The other side may go at any time.
            let _ = converse(stream, &script).await;
        });
        while all.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, script: &Mutex<Arc<Script>>) -> std::io::Result<()> {
    let mut heard = vec![0; 64 << 10];
    loop {
        let length = stream.read(&mut heard).await?;
        if length == 0 {
            return Ok(());
        }
        let script = script.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match script(&heard[..length]) {
            Says::Nothing => {}
            Says::This(bytes) => stream.write_all(&bytes).await?,
            Says::Last(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Says::Drip(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Says::Flood(first, length) => {
                stream.write_all(&first).await?;
                let letters = vec![b'a'; 64 << 10];
                for _ in 0..length / (64 << 10) {
                    stream.write_all(&letters).await?;
                }
            }
        }
    }
}

/// An HTTP answer with its length.
pub fn http(status: &str, kind: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// A web page, with something in it that no page of ours may repeat as it is.
pub const WEB_PAGE: &str = "<html><script>alert('impostor')</script><body>It works!</body></html>";

/// Answers as a healthy OpenSearch does that has an index `catalog`.
pub fn healthy_engine(heard: &[u8]) -> Says {
    let heard = String::from_utf8_lossy(heard);
    let path = heard.split(' ').nth(1).unwrap_or_default();
    let body = if path == "/" {
        r#"{"version":{"number":"2.19.3","distribution":"opensearch"}}"#
    } else if path.starts_with("/_cluster/health") {
        r#"{"status":"green","timed_out":false,"number_of_nodes":1,"active_shards_percent_as_number":100.0,
            "unassigned_shards":0,"initializing_shards":0,"indices":{"catalog":{"status":"green"}}}"#
    } else if path.contains("/_settings") {
        r#"{"catalog":{"settings":{"index.uuid":"a"}}}"#
    } else {
        r#"{"count":7,"_shards":{"failed":0}}"#
    };
    Says::This(http("200 OK", "application/json", "", body))
}

/// What a PostgreSQL server says to each new session when it refuses it with this SQLSTATE.
pub fn postgres_refusal(state: &str, message: &str) -> impl Fn(&[u8]) -> Says + Send + Sync + 'static {
    let mut fields = Vec::new();
    for (kind, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', state), (b'M', message)] {
        fields.push(kind);
        fields.extend_from_slice(text.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).unwrap_or_default();
    let mut answer = vec![b'E'];
    answer.extend_from_slice(&length.to_be_bytes());
    answer.extend_from_slice(&fields);
    move |heard| if wants_tls(heard) { Says::This(b"N".to_vec()) } else { Says::Last(answer.clone()) }
}

/// PostgreSQL's request for TLS: length 8, code 80877103.
fn wants_tls(heard: &[u8]) -> bool {
    heard == [0, 0, 0, 8, 4, 210, 22, 47]
}
