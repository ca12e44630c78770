//! Load on the primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::server::PgServer;
use crate::lab::stage;

/// How much a [`Writer`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Nothing.
    Idle,
    /// Five small transactions a second.
    Light,
    /// Bulk inserts without a pause: tens of megabytes of WAL a second, as the machine gives.
    Heavy,
    /// This many small transactions a second, if the machine can.
    Tps(u32),
    /// Small transactions on four connections, as many as the machine gives.
    Full,
}

/// A running load. Ends when dropped.
#[derive(Debug)]
pub struct Writer {
    done: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    began: Instant,
    tasks: JoinSet<()>,
}

/// What one connection does, again and again.
#[derive(Clone, Copy)]
struct Stint {
    statement: &'static str,
    every: Option<Duration>,
}

const SMALL: &str = "INSERT INTO load (filler) VALUES ('one small row')";
/// The table is emptied now and then: the WAL matters, not the rows.
const BULK: &str = "INSERT INTO load (filler) SELECT repeat('bulk', 200) FROM generate_series(1, 2000)";
const ROWS_KEPT_EVERY: u64 = 200;
const RETRY: Duration = Duration::from_millis(500);

impl Writer {
    pub(super) async fn start(primary: &PgServer, load: Load) -> Result<Self> {
        let stint = |statement, every| Stint { statement, every };
        let paced = |tps: u32| Some(Duration::from_secs(1) / tps.max(1));
        let (connections, stint) = match load {
            Load::Idle => (0, stint(SMALL, None)),
            Load::Light => (1, stint(SMALL, paced(5))),
            Load::Heavy => (1, stint(BULK, None)),
            // One connection manages some hundreds a second; the pace is shared.
            Load::Tps(tps) if tps > 200 => (4, stint(SMALL, paced(tps.div_ceil(4)))),
            Load::Tps(tps) => (1, stint(SMALL, paced(tps))),
            Load::Full => (4, stint(SMALL, None)),
        };
        let mut writer =
            Self { done: Arc::default(), failed: Arc::default(), began: Instant::now(), tasks: JoinSet::new() };
        let stage = stage()?;
        for _ in 0..connections {
            let options = primary.superuser();
            let (done, failed) = (Arc::clone(&writer.done), Arc::clone(&writer.failed));
            let task = async move { work(options, stint, &done, &failed).await };
            writer.tasks.spawn_on(task, &stage);
        }
        Ok(writer)
    }

    /// Transactions committed so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Transactions that failed so far, each with a pause and a new connection after it.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Committed transactions a second since the start.
    pub fn rate(&self) -> f64 {
        self.done() as f64 / self.began.elapsed().as_secs_f64()
    }

    /// Stops it; returns the transactions committed.
    pub async fn stop(mut self) -> u64 {
        self.tasks.shutdown().await;
        self.done()
    }
}

async fn work(options: PgConnectOptions, stint: Stint, done: &AtomicU64, failed: &AtomicU64) {
    loop {
        if let Ok(connection) = options.connect().await {
            // Only an error ends it: the primary is gone or refuses.
            let _error = write(connection, stint, done).await;
        }
        failed.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(RETRY).await;
    }
}

async fn write(mut connection: PgConnection, stint: Stint, done: &AtomicU64) -> Result<(), sqlx::Error> {
    let mut ticks = stint.every.map(|every| {
        let mut ticks = interval(every);
        // A pause of the primary is caught up for, so that the rate holds on the whole.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    });
    loop {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        sqlx::raw_sql(stint.statement).execute(&mut connection).await?;
        let count = done.fetch_add(1, Ordering::Relaxed) + 1;
        if stint.statement == BULK && count.is_multiple_of(ROWS_KEPT_EVERY) {
            sqlx::raw_sql(AssertSqlSafe("TRUNCATE load")).execute(&mut connection).await?;
        }
    }
}
