//! The demo, from its first line to its last: what it starts, breaks, repairs and leaves behind.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use standbywatch_lab::{Context, Lab, Need, Result, http, wait_until};
use tokio::io::{AsyncBufReadExt, BufReader};

const DEMO: &str = env!("CARGO_BIN_EXE_lab-demo");
const START: Duration = Duration::from_secs(120);

/// A running demo whose output is read line by line. Killed when dropped: its own keeper cleans up then.
struct Demo {
    child: tokio::process::Child,
    lines: tokio::sync::watch::Receiver<String>,
}

impl Demo {
    /// It meets others and makes its lab below `temp`, so that a demo of the user is left alone.
    fn start(temp: &Path) -> Result<Self> {
        let mut command = tokio::process::Command::new(DEMO);
        command
            .arg("start")
            .env("LAB_DIR", temp)
            .env("LAB_DIR", temp)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("start the demo")?;
        let mut output = BufReader::new(child.stdout.take().context("its output")?).lines();
        let (send, lines) = tokio::sync::watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                println!("demo| {line}");
                send.send_modify(|all| {
                    all.push_str(&line);
                    all.push('\n');
                });
            }
        });
        Ok(Self { child, lines })
    }

    fn said(&self) -> String {
        self.lines.borrow().clone()
    }

    /// Waits until it has said this.
    async fn says(&mut self, text: &str, within: Duration) -> Result<()> {
        wait_until(&format!("the demo says `{text}`"), within, async || {
            let over = self.child.try_wait()?;
            let said = self.said().contains(text);
            match over {
                Some(status) if !said => Ok(Some(Some(status))),
                _ => Ok(said.then_some(None)),
            }
        })
        .await
        .map(|ended| assert!(ended.is_none(), "it ended with {ended:?} before it said `{text}`"))
    }

    /// The address that stands behind `name` in what it printed.
    fn address(&self, name: &str) -> Result<String> {
        let said = self.said();
        let line = said.lines().find(|line| line.trim_start().starts_with(name)).context("no such line")?;
        Ok(line.split_whitespace().last().context("an address")?.to_owned())
    }
}

/// What `lab-demo` prints to another terminal.
fn tell(temp: &Path, words: &[&str]) -> Result<Output> {
    Command::new(DEMO).args(words).env("LAB_DIR", temp).output().context("talk to the demo")
}

/// The product lies beside the demo after a build of the workspace; a test of this package alone has to build it.
fn product_is_built() -> Result<()> {
    let product = Path::new(DEMO).with_file_name("standbywatch");
    if product.exists() {
        return Ok(());
    }
    let target = Path::new(DEMO).ancestors().nth(2).context("the target directory")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--package", "standbywatch", "--bin", "standbywatch", "--target-dir"]).arg(target);
    if target.join("release/lab-demo") == Path::new(DEMO) {
        cargo.arg("--release");
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let status = cargo.current_dir(workspace).status().context("start cargo")?;
    assert!(status.success() && product.exists(), "cargo did not build {}", product.display());
    Ok(())
}

/// The primary dies, the question is asked, the standby is promoted; then the pair is put right, as it was.
async fn the_worst_hour(temp: &Path, demo: &mut Demo) -> Result<()> {
    let killed = tell(temp, &["fault", "primary-killed"])?;
    assert!(killed.status.success(), "{killed:?}");
    demo.says("StandbyPostgresNoPrimary firing", Duration::from_secs(60)).await?;
    let promoted = tell(temp, &["fault", "promoted"])?;
    let said = String::from_utf8_lossy(&promoted.stdout);
    assert!(promoted.status.success(), "{promoted:?}");
    for told in ["THE PRIMARY IS GONE", "at least", "stays down", "beta is the primary"] {
        assert!(said.contains(told), "`{told}` is not in {said}");
    }
    demo.says("StandbyRolesChanged firing", Duration::from_secs(60)).await?;
    let again = tell(temp, &["fault", "standby-killed"])?;
    assert!(String::from_utf8_lossy(&again.stderr).contains("repair first"), "{again:?}");
    let repaired = tell(temp, &["repair"])?;
    assert!(repaired.status.success(), "{repaired:?}");
    Ok(())
}

#[tokio::test]
async fn the_demo_breaks_repairs_and_leaves_nothing_behind() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres, Need::Redis, Need::Rsync, Need::Monitoring])? else { return Ok(()) };
    product_is_built()?;
    let temp = lab.dir().join("tmp");
    std::fs::create_dir(&temp)?;
    let none = tell(&temp, &["fault", "cable-cut"])?;
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("no demo"), "{none:?}");

    let mut demo = Demo::start(&temp)?;
    demo.says("Ctrl-C ends everything", START).await?;
    let page = demo.address("replication")?;
    let ask = async || http::get(&page).await?.ok()?.json();
    let is = async |what: &str, within: u64, wanted: &dyn Fn(&Value) -> bool| {
        wait_until(what, Duration::from_secs(within), async || {
            let now = ask().await?;
            Ok(wanted(&now).then_some(now))
        })
        .await
    };
    is("all is well", 60, &|now| now["status"] == "ok").await?;
    demo.says("StandbyWatchdog arrived", Duration::from_secs(60)).await?;
    assert!(lab.processes().len() > 10, "the demo's servers run below this lab: {:?}", lab.processes());

    let unknown = tell(&temp, &["fault", "no-such-fault"])?;
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("cable-cut"), "{unknown:?}");
    let cut = tell(&temp, &["fault", "cable-cut"])?;
    assert!(
        cut.status.success() && String::from_utf8_lossy(&cut.stdout).contains("Expect: postgres unknown"),
        "{cut:?}"
    );
    let told = is("replication is unknown", 20, &|now| now["channels"]["postgres"]["status"] == "unknown").await?;
    assert_eq!(told["postgres_lag_bytes"], "unknown");
    demo.says("postgres ok -> unknown", Duration::from_secs(5)).await?;
    demo.says("StandbyReplicationUnknown firing", Duration::from_secs(30)).await?;

    let repaired = tell(&temp, &["repair"])?;
    assert!(repaired.status.success(), "{repaired:?}");
    let told = is("replication runs again", 60, &|now| now["channels"]["postgres"]["status"] == "ok").await?;
    assert!(told["postgres_lag_bytes"].is_number(), "{told}");

    the_worst_hour(&temp, &mut demo).await?;
    let told = is("the old primary leads again", 60, &|now| now["postgres_lag_bytes"].is_number()).await?;
    assert_ne!(told["channels"]["postgres"]["status"], "unknown", "{told}");

    let second = Command::new(DEMO).arg("start").env("LAB_DIR", &temp).output()?;
    assert!(String::from_utf8_lossy(&second.stderr).contains("runs already"), "{second:?}");
    let pid = demo.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).context("it runs")?;
    kill_process(pid, Signal::TERM)?;
    let status = tokio::time::timeout(Duration::from_secs(30), demo.child.wait()).await.context("it must end")??;
    assert!(status.success(), "it ended with {status}");
    assert!(lab.processes().is_empty(), "still running: {:?}", lab.processes());
    let left: Vec<_> = std::fs::read_dir(&temp)?.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 1, "only the directory to meet in is left: {left:?}");
    assert!(!tell(&temp, &["repair"])?.status.success(), "nobody listens any more");
    Ok(())
}
