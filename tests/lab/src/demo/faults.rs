//! The faults that the demo offers: how each is made and undone, and what must be told.

use anyhow::{Context, Result, anyhow};

use super::watched::{INDEX, SLOT, Watched, fill_index};
use crate::Mode;

/// One thing that can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL to the standby's PostgreSQL.
    StandbyKilled,
    /// A black hole between the standby and the primary.
    CableCut,
    /// `pg_wal_replay_pause()` on the standby.
    ReplayPaused,
    /// SIGSTOP to the standby's WAL receiver.
    ReceiverFrozen,
    /// The loop that runs rsync stands still.
    SyncStopped,
    /// A black hole before the standby's store.
    KvLinkCut,
    /// An index whose only shard has no place to be.
    IndexRed,
    /// SIGKILL to the primary's PostgreSQL.
    PrimaryKilled,
    /// The primary is gone for good, and somebody promotes the standby.
    Promoted,
}

impl Fault {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 9] = [
        Self::StandbyKilled,
        Self::CableCut,
        Self::ReplayPaused,
        Self::ReceiverFrozen,
        Self::SyncStopped,
        Self::KvLinkCut,
        Self::IndexRed,
        Self::PrimaryKilled,
        Self::Promoted,
    ];

    /// The name by which it is asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StandbyKilled => "standby-killed",
            Self::CableCut => "cable-cut",
            Self::ReplayPaused => "replay-paused",
            Self::ReceiverFrozen => "receiver-frozen",
            Self::SyncStopped => "sync-stopped",
            Self::KvLinkCut => "kv-link-cut",
            Self::IndexRed => "index-red",
            Self::PrimaryKilled => "primary-killed",
            Self::Promoted => "promoted",
        }
    }

    /// The fault with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// What is done to the pair.
    pub const fn done(self) -> &'static str {
        match self {
            Self::StandbyKilled => "the standby's PostgreSQL got a SIGKILL",
            Self::CableCut => "the cable of the WAL swallows every byte and closes nothing",
            Self::ReplayPaused => "the standby receives WAL but was told not to replay it",
            Self::ReceiverFrozen => "the standby's WAL receiver got a SIGSTOP; its connection stays open",
            Self::SyncStopped => "rsync is no longer started, as if cron had been stopped",
            Self::KvLinkCut => "the way to the standby's store swallows every byte: writes block",
            Self::IndexRed => "the only shard of the index `catalog` has no node to live on",
            Self::PrimaryKilled => {
                "all processes of the primary's PostgreSQL got a SIGKILL, as if its machine had died"
            }
            Self::Promoted => {
                "the primary is killed, `standbywatch failover` is asked, the standby promoted, the application led to it"
            }
        }
    }

    /// What is told, by when after the fault, and which alert arrives. With the demo's short hold times.
    pub const fn told(self) -> &'static str {
        match self {
            Self::StandbyKilled => {
                "postgres unknown (not_connected) within 2 s; alert StandbyReplicationUnknown some 5 s later"
            }
            Self::CableCut => {
                "postgres unknown (stalled or not_answering) within 20 s; alert StandbyReplicationUnknown some 5 s later"
            }
            Self::ReplayPaused => {
                "postgres critical (paused) within 5 s, the lag stays a number and grows; alert \
                 StandbyPostgresReplayPaused"
            }
            Self::ReceiverFrozen => {
                "postgres unknown (stalled or not_answering) within 20 s; alert StandbyReplicationUnknown some 5 s later"
            }
            Self::SyncStopped => {
                "config warning (sync_stale) after two periods, 20 s, and critical after three; alert \
                 StandbyConfigSyncStale"
            }
            Self::KvLinkCut => {
                "kvstore unknown (blocked) within 15 s; alert StandbyKvstoreWritesBlocked, which mutes StandbyReplicationUnknown"
            }
            Self::IndexRed => "search critical (red) within 10 s; alert StandbySearchRed some 5 s later",
            Self::PrimaryKilled => {
                "postgres unknown (refused) within 2 s; alert StandbyPostgresNoPrimary some 5 s later; `standbywatch failover` \
                 says THE PRIMARY IS GONE, and what is lost at least"
            }
            Self::Promoted => {
                "what it would cost, then beta as the primary within 5 s; alert StandbyRolesChanged; postgres unknown \
                 (not_connected), since there is no standby any more, and so alert StandbyReplicationUnknown"
            }
        }
    }

    /// Breaks it. Returns once it is broken, and does not wait until that is told.
    pub(super) async fn make(self, watched: &Watched) -> Result<()> {
        let standby = &watched.postgres.standby;
        if matches!(self, Self::ReplayPaused | Self::ReceiverFrozen | Self::Promoted) && !standby.is_running() {
            return Err(anyhow!("the standby's PostgreSQL does not run: repair first"));
        }
        let of_postgres = !matches!(self, Self::SyncStopped | Self::KvLinkCut | Self::IndexRed);
        if of_postgres && standby.is_promoted() {
            return Err(anyhow!("the standby was promoted and there is no other: repair first"));
        }
        match self {
            Self::StandbyKilled => standby.kill().await,
            Self::CableCut => {
                watched.postgres.repl.set(Mode::BlackHole);
                Ok(())
            }
            Self::ReplayPaused => standby.pause_replay().await,
            Self::ReceiverFrozen => standby.freeze_receiver(),
            Self::SyncStopped => {
                watched.sync.stop();
                Ok(())
            }
            Self::KvLinkCut => {
                watched.stores.kv.set(Mode::BlackHole);
                Ok(())
            }
            // What follows a promotion is played by whoever can ask the agent: `story.rs`.
            Self::PrimaryKilled | Self::Promoted => watched.postgres.primary.kill().await,
            Self::IndexRed => match &watched.search {
                Ok(server) => server.search.make_red(INDEX).await,
                Err(reason) => Err(anyhow!("search is left out of this demo: {reason}")),
            },
        }
    }
}

/// Undoes every fault, whichever were made. What is well stays as it is.
pub(super) async fn repair(watched: &Watched) -> Result<()> {
    watched.postgres.repair();
    watched.stores.kv.set(Mode::Pass);
    let (primary, standby) = (&watched.postgres.primary, &watched.postgres.standby);
    let promoted = standby.is_promoted();
    if promoted {
        // Down before the old primary comes back: there are never two.
        watched.lead_application(false).await?;
        standby.kill().await?;
    }
    if !primary.is_running() {
        primary.start().await.context("start the primary again")?;
    }
    if promoted {
        watched.postgres.rebuild_standby(SLOT).await.context("make the standby anew")?;
    } else if standby.is_running() {
        standby.thaw()?;
    } else {
        standby.start().await.context("start the standby again")?;
    }
    standby.resume_replay().await?;
    watched.sync.resume()?;
    if let Ok(server) = &watched.search
        && server.search.health(INDEX).await? != "green"
    {
        server.search.delete_index(INDEX).await?;
        fill_index(server).await?;
    }
    Ok(())
}

/// One line for each fault, its name first.
pub(super) fn list() -> String {
    Fault::ALL
        .map(|fault| format!("  {:<16} {}\n                   -> {}\n", fault.name(), fault.done(), fault.told()))
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_and_listed() {
        for fault in Fault::ALL {
            assert_eq!(Fault::named(fault.name()), Some(fault));
            assert!(list().contains(fault.name()) && list().contains(fault.told()));
        }
        assert_eq!(Fault::named("no-such-fault"), None);
    }
}
