//! Carrying the bytes of one connection, each way on its own.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Counters, Mode, Way};

/// A cable holds at most this much per way and connection; then the sender feels it.
const CHUNK: usize = 16 * 1024;
const CHUNKS_UNDER_WAY: usize = 32;
/// A throttled cable delivers this many pieces a second, so that it trickles instead of bursting.
const PIECES_PER_SECOND: u64 = 20;

/// So late a throttled way may be and still keep its rate.
const LATE: Duration = Duration::from_millis(50);

/// When a throttled way is free again; shared by the connections of a cable.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Books the time that `bytes` need at `rate`, and returns when they have arrived. A way that was woken late makes up for it: timers
    /// are coarser than the pieces of a fast way.
    fn book(&self, bytes: usize, rate: u64) -> Instant {
        let mut free = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let now = Instant::now();
        let takes = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        let late = now.checked_sub(LATE).unwrap_or(now);
        let arrived = free.map_or(now, |free| free.max(late)) + takes;
        *free = Some(arrived);
        arrived
    }
}

/// One way of one connection.
struct Lane<'a> {
    way: Way,
    modes: watch::Receiver<Mode>,
    pace: Arc<Pace>,
    delivered: &'a AtomicU64,
}

/// What travels on a lane: bytes, and when they came. The end of the stream is an empty one.
type Chunk = (Instant, Vec<u8>);

/// True when the client has closed its side already, even if bytes of it wait to be read.
pub(super) fn is_given_up(client: &TcpStream) -> bool {
    let mut fds = [PollFd::new(client, PollFlags::RDHUP)];
    poll(&mut fds, Some(&Timespec::default())).is_ok()
        && fds[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}

/// Carries until both sides have closed, one fails, or the cable resets.
pub(super) async fn carry(
    client: TcpStream,
    server: TcpStream,
    modes: watch::Receiver<Mode>,
    [to_server, to_client]: [Arc<Pace>; 2],
    counters: &Counters,
) {
    for stream in [&client, &server] {
        let _slower = stream.set_nodelay(true);
    }
    let (from_client, into_client) = client.into_split();
    let (from_server, into_server) = server.into_split();
    let lane = |way, pace, delivered| Lane { way, modes: modes.clone(), pace, delivered };
    let up = lane(Way::ToServer, to_server, &counters.to_server);
    let down = lane(Way::ToClient, to_client, &counters.to_client);
    let mut cut = modes.clone();
    let (mut into_client, mut into_server) = (into_client, into_server);
    let whole = tokio::select! {
        done = async { tokio::try_join!(
            up.run(from_client, &mut into_server),
            down.run(from_server, &mut into_client),
        ) } => done.is_ok(),
        _ = cut.wait_for(|mode| matches!(mode, Mode::Reset | Mode::Refuse)) => false,
    };
    if !whole {
        // What broke on one side breaks on the other: no orderly end where there was none.
        for half in [into_client, into_server] {
            let _gone = half.as_ref().set_zero_linger();
            // Dropping it would send an orderly end before the reset.
            half.forget();
        }
    }
}

impl Lane<'_> {
    async fn run(mut self, from: OwnedReadHalf, into: &mut OwnedWriteHalf) -> io::Result<()> {
        let (sender, mut chunks) = mpsc::channel(CHUNKS_UNDER_WAY);
        let mut gate = self.modes.clone();
        let way = self.way;
        let reading = async move {
            let end = read(from, &sender, &mut gate, way).await;
            drop(sender);
            // A reset from one side passes through the cable like any other packet.
            if end.is_err() {
                open(&mut gate, way).await;
            }
            end
        };
        let writing = async {
            while let Some((came, bytes)) = chunks.recv().await {
                self.deliver(came, &bytes, into).await?;
            }
            Ok(())
        };
        tokio::try_join!(reading, writing).map(|_| ())
    }

    async fn deliver(&mut self, came: Instant, bytes: &[u8], into: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            let mode = open(&mut self.modes, self.way).await;
            let (piece, due) = match mode {
                Mode::Throttle(rate) => {
                    let size = usize::try_from(rate / PIECES_PER_SECOND).unwrap_or(CHUNK);
                    let piece = rest.len().min(size.max(1));
                    (piece, Some(self.pace.book(piece, rate)))
                }
                Mode::Delay(by) => (rest.len(), Some(came + by)),
                _ => (rest.len(), None),
            };
            if let Some(due) = due
                && changed_before(&mut self.modes, due).await
            {
                continue;
            }
            let (now, later) = rest.split_at(piece);
            if now.is_empty() {
                return into.shutdown().await;
            }
            into.write_all(now).await?;
            self.delivered.fetch_add(now.len() as u64, Ordering::Relaxed);
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }
}

/// Reads into the lane; leaves the bytes with the sender while the way is closed.
async fn read(
    mut from: OwnedReadHalf,
    sender: &mpsc::Sender<Chunk>,
    gate: &mut watch::Receiver<Mode>,
    way: Way,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        open(gate, way).await;
        let size = from.read(&mut buffer).await?;
        let chunk = (Instant::now(), buffer[..size].to_vec());
        if sender.send(chunk).await.is_err() || size == 0 {
            return Ok(());
        }
    }
}

/// Waits until the mode lets bytes pass this way, and returns it.
async fn open(modes: &mut watch::Receiver<Mode>, way: Way) -> Mode {
    let passes = |mode: &Mode| match mode {
        Mode::Pass | Mode::Delay(_) | Mode::Throttle(_) => true,
        Mode::OneWay(only) => *only == way,
        Mode::BlackHole | Mode::Reset | Mode::Refuse => false,
    };
    let opened = modes.wait_for(passes).await.map(|mode| *mode);
    match opened {
        Ok(mode) => mode,
        // The cable is gone, and this task is about to be.
        Err(_) => std::future::pending().await,
    }
}

/// True when the mode changed before `due`.
async fn changed_before(modes: &mut watch::Receiver<Mode>, due: Instant) -> bool {
    tokio::time::timeout_at(due, modes.changed()).await.is_ok()
}
