//! The unprivileged user as whom servers run when the tests run as root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};

/// A user and its group by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerUser {
    pub uid: u32,
    pub gid: u32,
}

impl ServerUser {
    /// `None` for an ordinary user: servers then run as that user. PostgreSQL and OpenSearch refuse root.
    pub fn find() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| parse(&passwd, name))
            .map(Some)
            .context("no user `postgres` or `nobody` to run servers as")
    }

    /// Makes a directory that this user owns.
    pub fn make_dir(user: Option<Self>, dir: &Path, mode: u32) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(mode))?;
        Self::give(user, dir)
    }

    /// Makes this user the owner of one file or directory.
    pub fn give(user: Option<Self>, path: &Path) -> Result<()> {
        if let Some(user) = user {
            chown(path, Some(user.uid), Some(user.gid)).with_context(|| format!("chown {}", path.display()))?;
        }
        Ok(())
    }
}

fn parse(passwd: &str, name: &str) -> Option<ServerUser> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(ServerUser { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_of_a_named_user() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres:x:101:104:admin:/var:/bin/bash\n";
        assert_eq!(parse(passwd, "postgres"), Some(ServerUser { uid: 101, gid: 104 }));
        assert_eq!(parse(passwd, "post"), None);
    }
}
