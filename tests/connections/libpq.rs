//! What libpq takes from the environment: `PGPASSWORD`, `PGPASSFILE`, `.pgpass` at home. The program runs as a user would run it.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use standbywatch_lab::{Lab, Need, PgPair, Result};
use tokio::process::Command;

/// Has what needs escaping in the file.
const PASSWORD: &str = r"a:b\c d";

/// A look at the pair with these variables and no others of libpq's.
async fn look(pair: &PgPair, variables: &[(&str, &Path)]) -> Result<Output> {
    let url = |port: u16| format!("postgres://{}@127.0.0.1:{port}/postgres", pair.user());
    let (primary, standby) = (url(pair.primary.port()), url(pair.standby.port()));
    let mut program = Command::new(env!("CARGO_BIN_EXE_standbywatch"));
    program.args(["status", "--json", "--primary", &primary, "--standby", &standby]);
    program.env_remove("PGPASSWORD").env_remove("PGPASSFILE").env("HOME", "/nonexistent").env_remove("STATE_DIRECTORY");
    program.envs(variables.iter().copied());
    Ok(program.output().await?)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn is_ok(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
}

fn password_file(lab: &Lab, name: &str, text: &str, mode: u32) -> Result<std::path::PathBuf> {
    let path = lab.write(name, text)?;
    set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(path)
}

#[tokio::test]
async fn a_password_from_the_environment_or_from_libpqs_file() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    pair.primary.change_password(PASSWORD).await?;
    pair.wait_caught_up(crate::SOON).await?;
    is_ok(&look(&pair, &[("PGPASSWORD", Path::new(PASSWORD))]).await?);

    let lines =
        format!("# the pair\n127.0.0.1:1:*:*:wrong\n127.0.0.1:*:postgres:{}:a\\:b\\\\c d\n*:*:*:*:x\n", pair.user());
    let file = password_file(&lab, "passwords", &lines, 0o600)?;
    is_ok(&look(&pair, &[("PGPASSFILE", &file)]).await?);
    let home = password_file(&lab, "home/.pgpass", &lines, 0o600)?;
    is_ok(&look(&pair, &[("HOME", home.parent().unwrap_or(&home))]).await?);

    // What others can read is ignored, and that is said where the password is missed.
    set_permissions(&file, Permissions::from_mode(0o640))?;
    let ignored = look(&pair, &[("PGPASSFILE", &file)]).await?;
    assert_eq!(ignored.status.code(), Some(3));
    let text = said(&ignored);
    assert!(text.contains("passwords is ignored") && text.contains("chmod 600"), "{text}");

    // A line that cannot be understood is passed over and printed nowhere.
    let file = password_file(&lab, "passwords", "only:three:hunter2\n127.0.0.1:*:*:*:outdated\n", 0o600)?;
    let wrong = look(&pair, &[("PGPASSFILE", &file)]).await?;
    assert_eq!(wrong.status.code(), Some(3));
    let text = said(&wrong);
    assert!(text.contains("the password is from") && text.contains("authentication"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("outdated"), "{text}");
    Ok(())
}
