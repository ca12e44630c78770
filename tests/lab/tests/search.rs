//! OpenSearch, shared and owned.

use std::path::Path;
use std::time::Duration;

use standbywatch_lab::{Cable, Context, Lab, Mode, Need, OwnSearch, Result, Search, SharedSearch, http, wait_until};
use tokio::net::TcpStream;
use tokio::process::Command;

const LONG: Duration = Duration::from_secs(120);
/// Set in a second process that joins the shared server, too: where it writes the server's address.
const GUEST: &str = "LAB_TEST_GUEST";

#[tokio::test]
async fn two_processes_share_one_server_that_ends_after_both() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Search])? else {
        return Ok(());
    };
    if let Some(note) = std::env::var_os(GUEST) {
        return be_the_guest(Path::new(&note)).await;
    }
    let note = lab.dir().join("note");
    let mut guest = Command::new(std::env::current_exe()?)
        .args(["two_processes_share_one_server", "--test-threads=1"])
        .env(GUEST, &note)
        .kill_on_drop(true)
        .spawn()?;
    let shared = SharedSearch::join_at(lab.dir()).await?;
    let search = shared.search;
    search.create_index("shared", 3, 0).await?;
    let theirs = wait_until("the guest has joined", LONG, async || Ok(Some(std::fs::read_to_string(&note)?))).await?;
    assert_eq!(theirs, search.address().to_string());

    drop(shared);
    assert_eq!(search.count("shared").await?, 3, "the guest still uses it");
    guest.kill().await?;
    wait_until("the server is gone", LONG, async || {
        let left = TcpStream::connect(search.address()).await;
        Ok(left.is_err().then_some(()))
    })
    .await
}

/// Joins, tells where, and waits to be killed.
async fn be_the_guest(note: &Path) -> Result<()> {
    let dir = note.parent().context("a directory")?;
    let shared = SharedSearch::join_at(dir).await?;
    std::fs::write(dir.join("new"), shared.search.address().to_string())?;
    std::fs::rename(dir.join("new"), note)?;
    std::future::pending().await
}

#[tokio::test]
async fn an_index_is_red_yellow_blocked_gone_and_back() -> Result<()> {
    let Some(_lab) = Lab::open(&[Need::Search])? else {
        return Ok(());
    };
    let shared = SharedSearch::join().await?;
    let search = &shared.search;
    let index = search.fresh_name("catalog");
    search.create_index(&index, 20, 0).await?;
    assert_eq!(search.count(&index).await?, 20);
    search.make_red(&index).await?;
    assert_eq!(search.health(&index).await?, "red");
    search.make_green(&index).await?;
    assert_eq!(search.count(&index).await?, 0, "what was lost is lost");
    search.block_writes(&index, true).await?;
    let write = format!("{index}/_doc");
    let document = serde_json::json!({ "title": "one more" });
    let write = || search.ask(hyper::Method::POST, &write, Some(&document));
    assert!(write().await.is_err());
    search.block_writes(&index, false).await?;
    write().await?;
    search.delete_index(&index).await?;
    let answer = http::get(&format!("{}/{index}", search.url())).await?;
    assert_eq!(answer.status, 404);

    let yellow = search.fresh_name("yellow");
    search.create_index(&yellow, 0, 1).await?;
    search.delete_index(&yellow).await
}

#[tokio::test]
async fn a_cable_takes_the_shared_server_from_one_test() -> Result<()> {
    let Some(_lab) = Lab::open(&[Need::Search])? else {
        return Ok(());
    };
    let shared = SharedSearch::join().await?;
    let cable = Cable::to(shared.search.address()).await?;
    let through = Search::at(cable.address());
    let health = format!("{}/_cluster/health", through.url());
    assert_eq!(http::get(&health).await?.status, 200);
    cable.set(Mode::Refuse);
    wait_until("it is refused", LONG, async || Ok(http::get(&health).await.is_err().then_some(()))).await?;
    cable.set(Mode::BlackHole);
    let asked = tokio::time::timeout(Duration::from_secs(1), http::get(&health));
    assert!(!matches!(asked.await, Ok(Ok(_))), "no answer");
    cable.set(Mode::Pass);
    wait_until("it answers again", LONG, async || Ok((http::get(&health).await?.status == 200).then_some(()))).await
}

#[tokio::test]
async fn an_own_server_freezes_stops_and_keeps_its_documents() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Search])? else {
        return Ok(());
    };
    let own = OwnSearch::start(&lab, "opensearch").await?;
    own.search.create_index("catalog", 5, 0).await?;
    own.server.freeze()?;
    let count = own.search.count("catalog");
    assert!(tokio::time::timeout(Duration::from_secs(1), count).await.is_err());
    own.server.thaw()?;
    assert_eq!(own.search.count("catalog").await?, 5);
    own.server.stop().await?;
    own.search.count("catalog").await.err().context("it is stopped")?;
    own.start_again().await?;
    assert_eq!(own.search.count("catalog").await?, 5);
    Ok(())
}
