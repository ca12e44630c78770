//! A copy of a running server by the server's own functions: not every version of the laboratory comes with `pg_basebackup`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::server::{PgServer, ask};
use super::template;
use crate::lab::Lab;
use crate::user::ServerUser;

/// What a copy must not take with it: what belongs to the running server, its slots, and WAL, which the copy streams.
const LEFT_OUT: [&str; 6] =
    ["postmaster.*", "pg_wal/*", "pg_replslot/*", "pg_dynshmem/*", "pg_stat_tmp/*", "pg_notify/*"];

/// Copies the data directory of a running server of version 15 or later into `data`, which must not exist: whoever starts there as
/// a standby begins to stream where the copy began.
pub(super) async fn copy_running(lab: &Lab, from: &PgServer, data: &Path) -> Result<()> {
    let mut session = from.connect().await?;
    ask(&mut session, "SELECT pg_backup_start('copy', true)").await?;
    template::make_data_dir(lab, data)?;
    pipe(lab, &from.data_dir(), data)?;
    let stopped = ask(&mut session, "SELECT labelfile FROM pg_backup_stop(false)").await?;
    let label = stopped.into_iter().flatten().flatten().next().context("pg_backup_stop gave no label")?;
    let file = data.join("backup_label");
    fs::write(&file, label)?;
    // It is renamed at the first start.
    ServerUser::give(lab.user(), &file)
}

/// Files that change or vanish meanwhile are mended by the WAL: tar calls that 1.
fn pipe(lab: &Lab, from: &Path, to: &Path) -> Result<()> {
    let mut pack = Command::new("tar");
    pack.args(LEFT_OUT.map(|pattern| format!("--exclude=./{pattern}"))).args(["-c", "-C"]).arg(from).arg(".");
    let mut packing = template::as_server(lab, &mut pack).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let packed = packing.stdout.take().context("tar's output")?;
    let mut unpack = Command::new("tar");
    unpack.args(["-x", "-C"]).arg(to).stdin(packed);
    template::run_as_server(lab, unpack).context("unpack the copy")?;
    let ended = packing.wait()?;
    if ended.code().is_none_or(|code| code > 1) {
        bail!("tar of {}: {ended}", from.display());
    }
    Ok(())
}
