//! A cluster made once per machine and copied for each test: `initdb` takes longer than all the rest.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{AGENT, PASSWORD, REPLICATOR, SUPERUSER};
use crate::find;
use crate::lab::Lab;

/// To be raised whenever what is inside changes.
const REVISION: u32 = 2;

/// Who gets in where a test says nothing else.
pub(super) const ACCESS: &str = "\
local all all trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
local replication all trust
";

/// Unpacks the machine's template into `data`, making the template first if it is not there.
///
/// Each version has a template of its own; `bin` holds the programs that make it.
pub(super) fn unpack(lab: &Lab, bin: &Path, data: &Path) -> Result<()> {
    let version = output(Command::new(bin.join("postgres")).arg("--version"))?;
    // "postgres (PostgreSQL) 15.14 (Debian …)"
    let version = version.split_whitespace().nth(2).context("postgres --version")?;
    let cache = find::cache_dir()?;
    let archive = cache.join(format!("postgres-{version}-r{REVISION}.tar"));
    let lock = File::options().create(true).append(true).open(cache.join("postgres.lock"))?;
    lock.lock().context("lock the template")?;
    if !archive.exists() {
        make(lab, bin, &archive)?;
    }
    lock.unlock()?;
    make_data_dir(lab, data)?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "-C"]).arg(data).stdin(File::open(&archive)?);
    run_as_server(lab, tar).context("unpack the template")
}

/// Makes a cluster of its own in `data`: another system identifier than every other one. `file`: how long its files of WAL are, in
/// MiB, where that is not the default.
pub(super) fn init_fresh(lab: &Lab, bin: &Path, data: &Path, file: Option<u32>) -> Result<()> {
    make_data_dir(lab, data)?;
    let mut initdb = Command::new(bin.join("initdb"));
    initdb
        .args(["--no-sync", "--data-checksums", "-A", "trust", "-U", SUPERUSER])
        .args(["-E", "UTF8", "--locale", "C.UTF-8", "-D"])
        .arg(data)
        .args(file.map(|mib| format!("--wal-segsize={mib}")));
    run_as_server(lab, initdb)?;
    fs::write(data.join("pg_hba.conf"), ACCESS)?;
    fs::write(data.join("lab.conf"), "")?;
    crate::user::ServerUser::give(lab.user(), &data.join("lab.conf"))?;
    let mut main = fs::read_to_string(data.join("postgresql.conf"))?;
    main.push_str("\ninclude 'lab.conf'\n");
    fs::write(data.join("postgresql.conf"), main)?;
    let roles = format!(
        "CREATE ROLE {AGENT} LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor;\n\
         CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{PASSWORD}';\n\
         CREATE TABLE load (id bigserial PRIMARY KEY, filler text);\n"
    );
    let statements = lab.write("roles.sql", &roles)?;
    // The single-user server needs no socket and no port, and ends by itself.
    let mut single = Command::new(bin.join("postgres"));
    single.args(["--single", "-F", "-D"]).arg(data).arg("postgres").stdin(File::open(statements)?);
    run_as_server(lab, single).context("make the roles")
}

/// The cluster in `data`, which does not run, goes on in this segment of WAL.
pub(super) fn begin_wal(lab: &Lab, bin: &Path, data: &Path, segment: &str) -> Result<()> {
    let mut reset = Command::new(bin.join("pg_resetwal"));
    reset.args(["-f", "-l", segment, "-D"]).arg(data);
    run_as_server(lab, reset)
}

/// Copies the data directory of a server that does not run.
pub(super) fn copy(lab: &Lab, from: &Path, data: &Path) -> Result<()> {
    let mut cp = Command::new("cp");
    cp.arg("-a").arg(from).arg(data);
    run_as_server(lab, cp).context("copy the cluster")
}

fn make(lab: &Lab, bin: &Path, archive: &Path) -> Result<()> {
    let data = lab.dir().join("template");
    init_fresh(lab, bin, &data, None)?;
    let partial = archive.with_extension(format!("{}.partial", std::process::id()));
    let mut tar = Command::new("tar");
    tar.args(["-c", "-C"]).arg(&data).arg(".").stdout(File::create(&partial)?);
    run_as_server(lab, tar)?;
    fs::rename(&partial, archive).context("keep the template")?;
    fs::remove_dir_all(&data)?;
    Ok(())
}

pub(super) fn make_data_dir(lab: &Lab, data: &Path) -> Result<()> {
    crate::user::ServerUser::make_dir(lab.user(), data, 0o700)
}

/// Runs a short program to its end as the servers' user. Its standard output is kept out of ours.
pub(super) fn run_as_server(lab: &Lab, mut command: Command) -> Result<()> {
    let ended =
        as_server(lab, &mut command).stderr(Stdio::piped()).output().with_context(|| format!("start {command:?}"))?;
    if !ended.status.success() {
        bail!("{command:?}: {}: {}", ended.status, String::from_utf8_lossy(&ended.stderr));
    }
    Ok(())
}

/// The command as the servers' user, in the lab's directory.
pub(super) fn as_server<'a>(lab: &Lab, command: &'a mut Command) -> &'a mut Command {
    use std::os::unix::process::CommandExt;
    if let Some(user) = lab.user() {
        command.uid(user.uid).gid(user.gid);
    }
    command.current_dir(lab.dir())
}

fn output(command: &mut Command) -> Result<String> {
    let ended = command.output().with_context(|| format!("start {command:?}"))?;
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}
