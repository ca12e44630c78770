//! The two stores and the rsync loop.

use std::time::Duration;

use standbywatch_lab::{Lab, Mode, Need, Persistence, RedisPair, Result, SyncLoop, wait_until};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn writes_go_to_the_standby_first_and_stop_when_its_link_is_cut() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else {
        return Ok(());
    };
    let pair = RedisPair::start(&lab, Persistence::Nothing).await?;
    let writer = pair.writer(100)?;
    wait_until("writes are done", SOON, async || Ok((writer.done() >= 20).then_some(()))).await?;
    assert_eq!(writer.failed(), 0);
    assert!(pair.kv.traffic().to_server > 100);

    pair.kv.set(Mode::BlackHole);
    wait_until("writes fail", SOON, async || Ok((writer.failed() >= 1).then_some(()))).await?;
    pair.kv.set(Mode::Pass);
    let done = writer.done();
    wait_until("writes are done again", SOON, async || Ok((writer.done() > done).then_some(()))).await?;
    assert!(writer.stop().await > done);
    let sizes: [u64; 2] = [pair.primary.command(&["DBSIZE"]).await?, pair.standby.command(&["DBSIZE"]).await?];
    assert!(sizes[0] > 20, "{sizes:?}");
    assert!(sizes[1] >= sizes[0], "the standby has it first: {sizes:?}");
    Ok(())
}

#[tokio::test]
async fn stores_freeze_die_and_keep_what_they_are_told_to() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Redis])? else {
        return Ok(());
    };
    let pair = RedisPair::start(&lab, Persistence::AppendOnly).await?;
    let store = &pair.standby;
    let _ok: String = store.command(&["SET", "key", "kept"]).await?;
    store.server.freeze()?;
    assert!(store.command::<String>(&["GET", "key"]).await.is_err());
    store.server.thaw()?;
    store.server.kill().await?;
    assert!(store.command::<String>(&["GET", "key"]).await.is_err());
    store.start_again().await?;
    let kept: String = store.command(&["GET", "key"]).await?;
    assert_eq!(kept, "kept");
    store.server.stop().await?;
    assert!(!store.server.is_running());
    Ok(())
}

#[tokio::test]
async fn rsync_copies_fails_partially_and_stops() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Rsync])? else {
        return Ok(());
    };
    let sync = SyncLoop::start(&lab, Duration::from_millis(300))?;
    sync.wait_for_good_run(SOON).await?;
    let stamp = || std::fs::read_to_string(sync.timestamp_file());
    let first: u64 = stamp()?.trim().parse()?;
    assert!(first > 1_700_000_000);
    assert!(!sync.timestamp_file().starts_with(sync.destination()));
    std::fs::write(sync.source().join("sites/two.conf"), "listen = 81\n")?;
    let copied = sync.destination().join("sites/two.conf");
    sync.wait_for_good_run(SOON).await?;
    sync.wait_for_good_run(SOON).await?;
    assert_eq!(std::fs::read_to_string(&copied)?, "listen = 81\n");

    sync.fail_partially();
    let failed = sync.wait_for_exit(23, SOON).await?;
    let before = stamp()?;
    wait_until("it failed again", SOON, async || Ok((sync.runs().ended > failed.ended).then_some(()))).await?;
    assert_eq!(stamp()?, before, "a failed run leaves the time stamp alone");
    assert_eq!(sync.runs().good, failed.good);
    sync.repair();
    sync.wait_for_good_run(SOON).await?;

    sync.stop();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let stopped = sync.runs();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(sync.runs(), stopped, "nothing runs after the stop");
    sync.resume()?;
    sync.wait_for_good_run(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn rsync_runs_through_a_wrapper() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Rsync])? else {
        return Ok(());
    };
    // `env` stands for any program that takes rsync's arguments after its own.
    let wrapper = ["env", "LAB=1", "rsync"].map(str::to_owned).to_vec();
    let sync = SyncLoop::wrapped(&lab, Duration::from_millis(300), wrapper)?;
    sync.wait_for_good_run(SOON).await?;
    assert!(sync.destination().join("app.conf").exists());
    assert!(!sync.timestamp_file().exists());
    Ok(())
}
