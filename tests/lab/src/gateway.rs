//! The application's own write path: a small gateway that speaks Redis's protocol, writes to the standby's store first and then to
//! the primary's, and can be told to leave one of them out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::lab::stage;
use crate::redis::{connect, run};

/// Which side a bug of the gateway leaves out, while it acknowledges all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Skips {
    /// None: as it should be.
    Nothing,
    /// Writes go to the primary's store only.
    Standby,
    /// Writes go to the standby's store only.
    Primary,
}

/// The running gateway. Ends when dropped.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    skips: Arc<AtomicU8>,
    _serving: JoinSet<()>,
}

impl Gateway {
    /// Starts it in front of these stores.
    pub async fn start(standby: SocketAddr, primary: SocketAddr) -> Result<Self> {
        let skips = Arc::new(AtomicU8::new(Skips::Nothing as u8));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen")?;
        let address = listener.local_addr()?;
        let (told, mut serving) = (Arc::clone(&skips), JoinSet::new());
        // Sockets belong to the runtime that made them.
        let listener = listener.into_std()?;
        serving.spawn_on(
            async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                let mut clients = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    while clients.try_join_next().is_some() {}
                    clients.spawn(serve(stream, standby, primary, Arc::clone(&told)));
                }
            },
            &stage()?,
        );
        Ok(Self { address, skips, _serving: serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on a side is left out.
    pub fn skip(&self, skips: Skips) {
        self.skips.store(skips as u8, Ordering::Relaxed);
    }
}

async fn serve(stream: TcpStream, standby: SocketAddr, primary: SocketAddr, skips: Arc<AtomicU8>) {
    let mut stream = BufReader::new(stream);
    while let Some(words) = command(&mut stream).await {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = match words.first() {
            Some(&"PING") => "+PONG\r\n".to_owned(),
            Some(&"SET" | &"DEL") => {
                let skips = skips.load(Ordering::Relaxed);
                let mut written = Ok(());
                for (address, without) in [(standby, Skips::Standby), (primary, Skips::Primary)] {
                    if written.is_ok() && skips != without as u8 {
                        written = write(address, &words).await;
                    }
                }
                written.map_or_else(|error| format!("-ERR {}\r\n", one_line(&error)), |()| "+OK\r\n".to_owned())
            }
            _ => "-ERR the gateway takes SET, DEL and PING\r\n".to_owned(),
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace(['\r', '\n'], " ")
}

async fn write(address: SocketAddr, words: &[&str]) -> Result<()> {
    let mut connection = connect(address).await?;
    let _: redis::Value = run(&mut connection, words).await?;
    Ok(())
}

async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = number(stream, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(stream, '$').await?.checked_add(2)?];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8(word).ok()?);
    }
    Some(words)
}

async fn number(stream: &mut BufReader<TcpStream>, sign: char) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(sign)?.parse().ok().filter(|number| *number < 1 << 20)
}
