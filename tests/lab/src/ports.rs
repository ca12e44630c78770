//! Ports that no other test of this machine gets while we live.
//!
//! Asking the system for port 0 and closing it again is a race: a test beside us may be given the same
//! number, or an outgoing connection may take it. So ports come from below the range that the
//! system hands out, and each is held by a locked file, which a dead process cannot keep.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Leases of this process, kept until it ends: a server may be restarted on its port at any time.
static LEASES: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A free port on 127.0.0.1, ours until this process ends.
pub(crate) fn lease() -> Result<u16> {
    Ok(listen()?.local_addr().context("a leased port")?.port())
}

/// The same, already listened to: a port that was closed again may still be open for a moment in a child that is just being started.
pub(crate) fn listen() -> Result<TcpListener> {
    let uid = rustix::process::geteuid().as_raw();
    let dir = std::env::temp_dir().join(format!("standbywatch-lab-ports-{uid}"));
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    for _ in 0..500 {
        let port = FIRST + fastrand::u16(..COUNT);
        let file = File::options()
            .create(true)
            .append(true)
            .open(dir.join(port.to_string()))
            .context("open a port's lock file")?;
        if file.try_lock().is_err() {
            continue;
        }
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
        LEASES.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(file);
        return Ok(listener);
    }
    bail!("no free port found between {FIRST} and {}", FIRST + COUNT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn never_leases_a_port_twice() -> Result<()> {
        let ports = (0..200).map(|_| lease()).collect::<Result<Vec<_>>>()?;
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 200);
        Ok(())
    }
}
