//! The OpenSearch server that all tests of a run share, though each is a process of its own.
//!
//! Who uses it holds a shared lock on one file. The first starts the server, and beside it a keeper that waits for an
//! exclusive lock on that file: it gets it when the last user has gone, killed or not, and then ends the
//! server. A second lock makes sure that only one of several first tests starts it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{OwnSearch, Search};
use crate::http;
use crate::lab::Lab;

/// A hold on the shared server; let go when dropped. Each test uses indices of its own
/// ([`Search::fresh_name`]), and neither stops nor freezes it: lay a [`crate::Cable`] to it for that.
#[derive(Debug)]
pub struct SharedSearch {
    /// The client.
    pub search: Search,
    _user: File,
}

impl SharedSearch {
    /// Joins the server that this user's tests share, starting it if there is none.
    pub async fn join() -> Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let dir = std::env::temp_dir().join(format!("standbywatch-lab-shared-{uid}"));
        Self::join_at(&dir).await
    }

    /// Joins the server shared by those who meet in the directory `dir`.
    pub async fn join_at(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let starting = locked(dir.join("starting.lock"), File::lock).await?;
        // Waits while a keeper is just ending the last server.
        let user = locked(dir.join("users.lock"), File::lock_shared).await?;
        let note = dir.join("opensearch");
        let address = match running(&note).await {
            Some(address) => address,
            None => start(&dir.join("users.lock"), &note).await?,
        };
        drop(starting);
        println!("lab: joined OpenSearch at {address}");
        Ok(Self { search: Search::at(address), _user: user })
    }
}

async fn locked(path: PathBuf, lock: fn(&File) -> std::io::Result<()>) -> Result<File> {
    let file =
        File::options().create(true).append(true).open(&path).with_context(|| format!("open {}", path.display()))?;
    tokio::task::spawn_blocking(move || lock(&file).map(|()| file))
        .await?
        .with_context(|| format!("lock {}", path.display()))
}

/// The server that the note names, if it answers.
async fn running(note: &Path) -> Option<SocketAddr> {
    let address: SocketAddr = fs::read_to_string(note).ok()?.trim().parse().ok()?;
    let health = format!("http://{address}/_cluster/health");
    let answer = tokio::time::timeout(Duration::from_secs(5), http::get(&health));
    let answer = answer.await.ok()?.ok()?;
    (answer.status == 200).then_some(address)
}

async fn start(users: &Path, note: &Path) -> Result<SocketAddr> {
    let lab = Lab::shared(users, note)?;
    let own = OwnSearch::start(&lab, "opensearch").await?;
    let address = own.search.address();
    fs::write(note, address.to_string())?;
    own.server.leave_running();
    Ok(address)
}
