//! Row A5: state that is written while the process is killed, and a disk that takes nothing.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use standbywatch::clock::{self, Moment, WallTime};
use standbywatch::history::rules::{AlertKey, Instant as Both};
use standbywatch::names::{Channel, Name, RuleName, Severity};
use standbywatch::state_file::{Present, Saved, StateFile};
use standbywatch_lab::{Agent, AgentOptions, Lab, Result, full_disk, wait_until};

use crate::site::{PAIR, PROGRAM, SOON};

const KILLS: u32 = 200;
/// The folder that the child writes to.
const FOLDER: &str = "STANDBYWATCH_TEST_STATE_FOLDER";

fn file(folder: &std::path::Path) -> StateFile {
    StateFile::new(folder, &Name::new("catalog"))
}

fn present() -> Present {
    Present { boot: clock::boot_id().ok(), now: clock::now(), wall: clock::wall() }
}

/// Some alerts, more or fewer, so that the file's length changes.
fn saved(number: usize) -> Saved {
    let mut saved = Saved::default();
    let instant = Both { now: Moment::after_boot(Duration::from_secs(1)), wall: WallTime(1.0) };
    for rule in RuleName::ALL.iter().take(1 + number % RuleName::ALL.len()) {
        let key = AlertKey { rule: *rule, severity: Severity::Critical, channel: Some(Channel::Postgres) };
        saved.timers.met(key, 1.0, Duration::ZERO, instant);
    }
    saved
}

/// Not a test: what [`two_hundred_kills_leave_a_whole_file`] starts, and kills.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let file = file(folder.as_ref());
    for number in 0.. {
        file.save(&saved(number), &present()).expect("saved");
    }
}

#[test]
fn two_hundred_kills_leave_a_whole_file() -> Result<()> {
    let lab = Lab::bare()?;
    let file = file(lab.dir());
    let mut seen = std::collections::BTreeSet::new();
    let random = fastrand::Rng::with_seed(7);
    let mut random = random;
    for number in 0..KILLS {
        // Half of the time the file of before is there, half of the time none.
        if number % 2 == 0 {
            let _ = std::fs::remove_file(file.path());
        }
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "state::child_that_writes_until_it_is_killed"])
            .env(FOLDER, lab.dir())
            .stdout(Stdio::null())
            .spawn()?;
        let begun = clock::now();
        while !file.path().exists() {
            assert!(clock::now().since(begun) < SOON, "the child writes nothing");
            std::thread::yield_now();
        }
        // Any point of a write, from its begin to the next one's.
        let until = clock::now() + Duration::from_micros(random.u64(0..4000));
        while clock::now() < until {
            std::hint::spin_loop();
        }
        child.kill()?;
        child.wait()?;
        let loaded = file.load(&present());
        let loaded = loaded.unwrap_or_else(|error| panic!("kill {number}: {error}")).expect("something was saved");
        seen.insert(serde_json::to_string(&loaded.timers)?.len());
        assert!(!file.path().with_added_extension("corrupt").exists(), "kill {number}");
    }
    println!("{KILLS} kills, {} different files", seen.len());
    assert!(seen.len() > 3, "killed at different points: {seen:?}");
    Ok(())
}

/// Every write to a file fails, as on a full disk or over a quota (`RLIMIT_FSIZE`, which also sends a signal that kills by default).
#[tokio::test]
async fn where_no_file_may_grow_the_agent_lives_and_says_so() -> Result<()> {
    let lab = Lab::bare()?;
    let options = AgentOptions {
        program: PROGRAM.into(),
        config: Some(PAIR.to_owned()),
        wrapper: full_disk(),
        ..AgentOptions::default()
    };
    let agent = Agent::start(&lab, options).await?;
    wait_until("writes have failed", SOON, async || {
        let metrics = agent.metrics().await?;
        Ok((metrics.value("standby_agent_state_writes_total", &[("outcome", "failed")])? >= Some(2.0)).then_some(()))
    })
    .await?;
    // Of each file once: the pair's and the agent's own.
    let log = agent.server.log();
    let of =
        |file: &str| log.lines().filter(|line| line.contains("state cannot be saved") && line.contains(file)).count();
    assert_eq!((of("catalog.json"), of("_agent.json") <= 1), (1, true), "{log}");
    assert_eq!(agent.get("/-/healthy").await?.status, 200);
    assert_eq!(agent.metrics().await?.value("standby_replication_up", &[("pair", "catalog")])?, Some(0.0));
    agent.server.kill().await
}

/// What a page for people says of the agent itself.
async fn page_says(agent: &Agent, text: &str) -> Result<()> {
    wait_until(text, SOON, async || Ok(agent.get("/").await?.text.contains(text).then_some(()))).await
}

async fn state_writes(agent: &Agent, outcome: &str) -> Result<f64> {
    let metrics = agent.metrics().await?;
    Ok(metrics.value("standby_agent_state_writes_total", &[("outcome", outcome)])?.unwrap_or_default())
}

/// As a service runs: by a user of its own.
async fn unprivileged(lab: &Lab) -> Result<Agent> {
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    let root = rustix::process::geteuid().is_root();
    let wrapper = nobody.map(str::to_owned).into_iter().filter(|_| root).collect();
    let options =
        AgentOptions { program: PROGRAM.into(), config: Some(PAIR.to_owned()), wrapper, ..AgentOptions::default() };
    Agent::start(lab, options).await
}

/// Links lie where the agent writes first. It may write to what they point to, and does not: neither to a file of its own user's, nor to
/// one that is only another name of it.
#[tokio::test]
async fn links_in_the_state_directory_lead_no_write_elsewhere() -> Result<()> {
    let lab = Lab::bare()?;
    let directory = lab.dir().join("agent/state");
    std::fs::create_dir_all(&directory)?;
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777))?;
    let theirs = ["one", "two"].map(|name| directory.join(name));
    for file in &theirs {
        std::fs::write(file, "another's")?;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666))?;
    }
    std::os::unix::fs::symlink(&theirs[0], directory.join("catalog.json.new"))?;
    std::fs::hard_link(&theirs[1], directory.join("_agent.json.new"))?;
    let agent = unprivileged(&lab).await?;
    for name in ["catalog.json", "_agent.json"] {
        let file = directory.join(name);
        wait_until(name, SOON, async || Ok(file.exists().then_some(()))).await?;
        assert!(std::fs::symlink_metadata(&file)?.is_file(), "{name}");
    }
    assert_eq!(agent.stop().await?.code(), Some(0));
    for file in &theirs {
        assert_eq!(std::fs::read_to_string(file)?, "another's", "{}", file.display());
    }
    let log = agent.server.log();
    assert!(!log.contains("state cannot be saved"), "{log}");
    for entry in std::fs::read_dir(&directory)? {
        assert_ne!(entry?.path().extension(), Some("new".as_ref()), "nothing half done stays");
    }
    Ok(())
}

/// A user who may not write there.
#[tokio::test]
async fn in_a_read_only_directory_an_unprivileged_agent_lives_and_says_so() -> Result<()> {
    let lab = Lab::bare()?;
    let directory = lab.dir().join("agent/state");
    std::fs::create_dir_all(&directory)?;
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o555))?;
    let agent = unprivileged(&lab).await?;
    wait_until("a write has failed", SOON, async || Ok((state_writes(&agent, "failed").await? >= 1.0).then_some(())))
        .await?;
    page_says(&agent, "The state of pair catalog cannot be saved (Permission denied").await?;
    let status = agent.json("/api/v1/status").await?;
    assert!(status["agent_notes"][0].as_str().is_some_and(|note| note.contains("catalog")), "{status}");
    assert!(agent.server.log().contains("state cannot be saved"), "{}", agent.server.log());
    assert_eq!(agent.metrics().await?.value("standby_replication_up", &[("pair", "catalog")])?, Some(0.0));
    assert_eq!(agent.get("/-/healthy").await?.status, 200);

    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777))?;
    wait_until("it is saved again", SOON, async || Ok((state_writes(&agent, "ok").await? >= 1.0).then_some(())))
        .await?;
    wait_until("the page tells no more", SOON, async || {
        Ok((!agent.get("/").await?.text.contains("cannot be saved")).then_some(()))
    })
    .await?;
    assert_eq!(agent.stop().await?.code(), Some(0));
    Ok(())
}

/// Truncated, of a newer version, another pair's: set aside, and said on every face.
#[tokio::test]
async fn a_file_that_cannot_be_used_is_said_on_every_face() -> Result<()> {
    let lab = Lab::bare()?;
    let file = file(&lab.dir().join("agent/state"));
    file.save(&saved(3), &present())?;
    let whole = std::fs::read_to_string(file.path())?;
    let cases = [
        (whole[..whole.len() / 2].to_owned(), "EOF"),
        (whole.replace("\"version\":1", "\"version\":2"), "version 2, wanted 1"),
        (whole.replace("\"catalog\"", "\"orders\""), "it is pair orders"),
    ];
    for (text, cause) in cases {
        std::fs::write(file.path(), &text)?;
        let options =
            AgentOptions { program: PROGRAM.into(), config: Some(PAIR.to_owned()), ..AgentOptions::default() };
        let agent = Agent::start(&lab, options).await?;
        page_says(&agent, "State was not used, pending alerts began anew").await?;
        page_says(&agent, cause).await?;
        assert_eq!(agent.metrics().await?.value("standby_agent_state_not_loaded_total", &[])?, Some(1.0), "{cause}");
        assert!(agent.server.log().contains("state is not used"), "{}", agent.server.log());
        assert_eq!(std::fs::read_to_string(file.path().with_added_extension("corrupt"))?, text);
        wait_until("a new one is written", SOON, async || Ok(file.path().exists().then_some(()))).await?;
        assert_eq!(agent.stop().await?.code(), Some(0));
        std::fs::remove_file(lab.dir().join("agent.log"))?;
    }
    Ok(())
}

/// Moments of another boot count for nothing: what fired then is not told before it is seen, and no trouble is made of it.
#[tokio::test]
async fn a_file_of_another_boot_is_read_and_its_moments_are_not_believed() -> Result<()> {
    let lab = Lab::bare()?;
    let file = file(&lab.dir().join("agent/state"));
    let other = standbywatch::clock::BootId("another boot".to_owned());
    file.save(&saved(3), &Present { boot: Some(other), ..present() })?;
    let options = AgentOptions { program: PROGRAM.into(), config: Some(PAIR.to_owned()), ..AgentOptions::default() };
    let agent = Agent::start(&lab, options).await?;
    let status = agent.json("/api/v1/status").await?;
    let findings = status["pairs"][0]["findings"].as_array().cloned().unwrap_or_default();
    assert!(findings.iter().all(|finding| finding["state"] == "pending"), "{findings:?}");
    assert_eq!(agent.metrics().await?.value("standby_agent_state_not_loaded_total", &[])?, Some(0.0));
    assert!(status["agent_notes"].is_null(), "{status}");
    Ok(())
}
