//! A relay that understands PostgreSQL's protocol: it counts what a client says, and may put other words into the server's mouth.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::lab::stage;
use crate::ports;

/// What a client asks before its first message, if it would like TLS. It is told that there is none.
const TLS_WANTED: [u8; 4] = 80_877_103_u32.to_be_bytes();
/// No message of these tests is longer.
const LONGEST: u32 = 1 << 24;

/// What clients have said since the wire was laid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// Connections that got as far as a server.
    pub connections: u64,
    /// Messages after the start of a session, by their type: `P` parse, `B` bind, `E` execute, `S` sync, `Q` simple query.
    pub messages: BTreeMap<char, u64>,
}

impl Spoken {
    /// How many messages of this type there were.
    pub fn count(&self, kind: char) -> u64 {
        self.messages.get(&kind).copied().unwrap_or_default()
    }

    /// Each of these the server answers as a whole: one round trip.
    pub fn round_trips(&self) -> u64 {
        self.count('S') + self.count('Q')
    }
}

/// The relay. Ends with all its connections when dropped.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    spoken: Arc<Mutex<Spoken>>,
    task: JoinHandle<()>,
}

impl Wire {
    /// Lays a wire to `target`; connect to [`Wire::address`] instead of it.
    pub async fn to(target: SocketAddr) -> Result<Self> {
        Self::that_swaps(target, Vec::new()).await
    }

    /// In what the server says each first text is replaced by the second, which has the same length.
    pub async fn that_swaps(target: SocketAddr, swaps: Vec<(String, String)>) -> Result<Self> {
        assert!(swaps.iter().all(|(from, to)| from.len() == to.len()), "messages keep their lengths: {swaps:?}");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::lease()?));
        let spoken = Arc::new(Mutex::new(Spoken::default()));
        let stage = stage()?;
        let _here = stage.enter();
        let listener = std::net::TcpListener::bind(address).context("bind a wire")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let task = stage.spawn(listen(listener, target, Arc::new(swaps), Arc::clone(&spoken)));
        Ok(Self { address, spoken, task })
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was said so far.
    pub fn spoken(&self) -> Spoken {
        lock(&self.spoken).clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(spoken: &Mutex<Spoken>) -> MutexGuard<'_, Spoken> {
    spoken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

async fn listen(
    listener: TcpListener,
    target: SocketAddr,
    swaps: Arc<Vec<(String, String)>>,
    spoken: Arc<Mutex<Spoken>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            Ok((client, _)) = listener.accept() => {
                let (swaps, spoken) = (Arc::clone(&swaps), Arc::clone(&spoken));
                // When one side ends or talks nonsense, both are closed.
                connections.spawn(async move { relay(client, target, &swaps, &spoken).await });
            }
        }
    }
}

async fn relay(
    mut client: TcpStream,
    target: SocketAddr,
    swaps: &[(String, String)],
    spoken: &Mutex<Spoken>,
) -> io::Result<()> {
    let start = loop {
        let start = body(&mut client).await?;
        if start != TLS_WANTED {
            break start;
        }
        client.write_all(b"N").await?;
    };
    let mut server = TcpStream::connect(target).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    lock(spoken).connections += 1;
    say(&mut server, None, &start).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    let up = async {
        loop {
            let kind = from_client.read_u8().await?;
            let text = body(&mut from_client).await?;
            *lock(spoken).messages.entry(char::from(kind)).or_default() += 1;
            say(&mut to_server, Some(kind), &text).await?;
        }
    };
    let down = async {
        loop {
            let kind = from_server.read_u8().await?;
            let mut text = body(&mut from_server).await?;
            for (from, to) in swaps {
                swap(&mut text, from.as_bytes(), to.as_bytes());
            }
            say(&mut to_client, Some(kind), &text).await?;
        }
    };
    tokio::select! { ended = up => ended, ended = down => ended }
}

/// What follows the length of a message.
async fn body(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?.checked_sub(4).filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not the protocol"))?;
    let mut text = vec![0; length as usize];
    from.read_exact(&mut text).await?;
    Ok(text)
}

async fn say(to: &mut (impl AsyncWrite + Unpin), kind: Option<u8>, text: &[u8]) -> io::Result<()> {
    let mut message = Vec::with_capacity(text.len() + 5);
    message.extend(kind);
    message.extend((text.len() as u32 + 4).to_be_bytes());
    message.extend(text);
    to.write_all(&message).await
}

fn swap(text: &mut [u8], from: &[u8], to: &[u8]) {
    let mut at = 0;
    while let Some(found) = text[at..].windows(from.len()).position(|window| window == from) {
        at += found;
        text[at..at + to.len()].copy_from_slice(to);
        at += to.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_occurrence_is_swapped() {
        let mut text = b"18.4 and 18.4".to_vec();
        swap(&mut text, b"18.4", b"99.4");
        assert_eq!(text, b"99.4 and 99.4");
    }
}
