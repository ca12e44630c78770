//! Nothing of a lab is left, however its process ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use standbywatch_lab::{Context, Lab, Need, PgPair, Result, wait_until};
use tokio::process::Command;

/// Set in the process that is to be killed: where it tells its lab and what runs in it.
const VICTIM: &str = "LAB_TEST_VICTIM";
const READY: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_killed_test_leaves_nothing_behind() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    if let Some(note) = std::env::var_os(VICTIM) {
        return be_the_victim(&lab, Path::new(&note)).await;
    }
    let note = lab.dir().join("note");
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["a_killed_test_leaves_nothing_behind", "--exact"])
        .env(VICTIM, &note)
        .kill_on_drop(true)
        .spawn()?;
    let text = wait_until("the victim's pair runs", READY, async || {
        let text = std::fs::read_to_string(&note)?;
        Ok(text.ends_with("done\n").then_some(text))
    })
    .await?;
    let mut lines = text.lines();
    let dir = PathBuf::from(lines.next().context("a directory")?);
    let pids: Vec<&str> = lines.filter(|line| *line != "done").collect();
    let runs =
        |pid: &&&str| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let running = pids.iter().filter(runs).count();
    assert!(running > 10, "two servers and their processes: {pids:?}");

    victim.kill().await?;

    wait_until("all processes and the directory are gone", READY, async || {
        Ok((pids.iter().filter(runs).count() == 0 && !dir.exists()).then_some(()))
    })
    .await
}

/// Starts a pair, freezes a part of it, and waits for its end.
async fn be_the_victim(lab: &Lab, note: &Path) -> Result<()> {
    let pair = PgPair::builder().start(lab).await?;
    pair.standby.freeze_receiver()?;
    pair.primary.freeze()?;
    let pids: Vec<String> = lab.processes().iter().map(u32::to_string).collect();
    let text = format!("{}\n{}\ndone\n", lab.dir().display(), pids.join("\n"));
    std::fs::write(note, text)?;
    std::future::pending().await
}

#[tokio::test]
async fn a_dropped_lab_leaves_nothing_behind() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else {
        return Ok(());
    };
    let pair = PgPair::builder().start(&lab).await?;
    pair.standby.freeze()?;
    let dir = lab.dir().to_owned();
    assert!(lab.processes().len() > 10);
    drop((lab, pair));
    assert!(!dir.exists());
    Ok(())
}
