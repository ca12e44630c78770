//! A cable: a TCP proxy on loopback whose faults are switched at run time.

mod pump;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::lab::stage;
use crate::ports;
use crate::wait::wait_until;
use pump::Pace;

/// What a cable does with the traffic, from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything at once.
    Pass,
    /// Passes everything, this much later, in each direction.
    Delay(Duration),
    /// Passes at most this many bytes a second in each direction, all connections together.
    Throttle(u64),
    /// Passes nothing and closes nothing: neither data nor the end of a connection gets through. A new
    /// connection seems to be made and is never answered. Back in `Pass`, what was held flows again.
    BlackHole,
    /// Only bytes going this way pass; new connections are never answered.
    OneWay(Way),
    /// Every connection gets a reset at once, new ones too, right after they were made.
    Reset,
    /// Every connection gets a reset at once; new ones are refused, as if nothing listened.
    Refuse,
}

/// A direction on a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From who connected to the server behind the cable.
    ToServer,
    /// From the server behind the cable to who connected.
    ToClient,
}

/// Counts since the cable was laid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections that are open now.
    pub open: u64,
    /// Connections ever passed on to the server.
    pub connections: u64,
    /// Bytes delivered to the server.
    pub to_server: u64,
    /// Bytes delivered to clients.
    pub to_client: u64,
}

/// A TCP proxy. Ends with all its connections when dropped.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    target: watch::Sender<SocketAddr>,
    mode: watch::Sender<Mode>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counters {
    open: AtomicU64,
    connections: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

impl Cable {
    /// Lays a cable to `target`; connect to [`Cable::address`] instead of it. Starts in [`Mode::Pass`].
    pub async fn to(target: SocketAddr) -> Result<Self> {
        let listener = ports::listen()?;
        let address = listener.local_addr().context("a cable's address")?;
        let (mode, modes) = watch::channel(Mode::Pass);
        let (target, targets) = watch::channel(target);
        let counters = Arc::new(Counters::default());
        let stage = stage()?;
        let _here = stage.enter();
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let task = stage.spawn(listen(listener, targets, modes, Arc::clone(&counters)));
        Ok(Self { address, target, mode, counters, task })
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port to connect to, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Switches the mode for all connections, the present ones and new ones.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Plugs the far end into another server, as when an address floats: connections are reset, new ones lead there.
    pub async fn lead_to(&self, target: SocketAddr) -> Result<()> {
        self.set(Mode::Reset);
        let gone = async || Ok((self.traffic().open == 0).then_some(()));
        wait_until("the cable's connections are reset", Duration::from_secs(5), gone).await?;
        self.target.send_replace(target);
        self.set(Mode::Pass);
        Ok(())
    }

    /// The mode set last.
    pub fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    /// The counts so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            open: self.counters.open.load(Ordering::Relaxed),
            connections: self.counters.connections.load(Ordering::Relaxed),
            to_server: self.counters.to_server.load(Ordering::Relaxed),
            to_client: self.counters.to_client.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts while the mode lets connections be made, and holds the set of them.
async fn listen(
    listener: TcpListener,
    targets: watch::Receiver<SocketAddr>,
    mut modes: watch::Receiver<Mode>,
    counters: Arc<Counters>,
) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    let paces = [Pace::default(), Pace::default()].map(Arc::new);
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        let mode = *modes.borrow_and_update();
        if mode == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            // Left by `Refuse`. The port is leased, so nobody else can have it for long.
            match TcpListener::bind(address).await {
                Ok(bound) => listener = Some(bound),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            continue;
        }
        tokio::select! {
            changed = modes.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {}
            client = accept(listener.as_ref(), mode) => {
                let [to_server, to_client] = paces.clone();
                let (modes, targets, counters) = (modes.clone(), targets.clone(), Arc::clone(&counters));
                connections.spawn(async move {
                    connection(client, targets, modes, [to_server, to_client], counters).await;
                });
            }
        }
    }
}

/// The next connection; never, while none can be made.
async fn accept(listener: Option<&TcpListener>, mode: Mode) -> TcpStream {
    let (Some(listener), false) = (listener, matches!(mode, Mode::BlackHole | Mode::OneWay(_))) else {
        return std::future::pending().await;
    };
    loop {
        if let Ok((client, _)) = listener.accept().await {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn connection(
    client: TcpStream,
    targets: watch::Receiver<SocketAddr>,
    mut modes: watch::Receiver<Mode>,
    paces: [Arc<Pace>; 2],
    counters: Arc<Counters>,
) {
    // The mode may have changed while it was accepted.
    let settled = modes.wait_for(|mode| !matches!(mode, Mode::BlackHole | Mode::OneWay(_)));
    let refused = match settled.await {
        Ok(mode) => matches!(*mode, Mode::Reset | Mode::Refuse),
        Err(_) => true,
    };
    if refused {
        let _gone = client.set_zero_linger();
        return;
    }
    if pump::is_given_up(&client) {
        // Made in a black hole and closed again before the repair: nothing of it ever arrived.
        return;
    }
    let target = *targets.borrow();
    let Ok(server) = TcpStream::connect(target).await else {
        let _gone = client.set_zero_linger();
        return;
    };
    counters.connections.fetch_add(1, Ordering::Relaxed);
    counters.open.fetch_add(1, Ordering::Relaxed);
    pump::carry(client, server, modes, paces, &counters).await;
    counters.open.fetch_sub(1, Ordering::Relaxed);
}
