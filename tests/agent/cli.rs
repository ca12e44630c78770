//! Exit codes and messages of the commands.

use assert_cmd::Command;
use standbywatch_lab::{Context, Lab, Result};

fn standbywatch(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standbywatch"));
    command.args(arguments).env_remove("STATE_DIRECTORY").timeout(std::time::Duration::from_secs(30));
    command
}

/// Exit code, standard output and standard error.
fn ran(arguments: &[&str]) -> Result<(i32, String, String)> {
    let output = standbywatch(arguments).output()?;
    let code = output.status.code().context("an exit code")?;
    Ok((code, String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

#[test]
fn wrong_usage_is_2_and_unknown_for_a_check() -> Result<()> {
    for (arguments, expected) in [
        (&["--no-such-flag"][..], 2),
        (&["run", "--no-such-flag"][..], 2),
        (&["no-such-command"][..], 2),
        (&["--primary", "postgres://a@b"][..], 2),
        (&["run", "--web.telemetry-path", "metrics"][..], 2),
        (&["status", "--no-such-flag"][..], 3),
        (&["status", "--wait", "16"][..], 3),
        (&["status", "--help"][..], 0),
        (&["--version"][..], 0),
    ] {
        let (code, _, text) = ran(arguments)?;
        assert_eq!(code, expected, "{arguments:?}: {text}");
    }
    Ok(())
}

#[test]
fn a_wrong_configuration_is_2_and_unknown_for_a_check() -> Result<()> {
    let lab = Lab::bare()?;
    let file = lab.write("wrong.yml", "pairs:\n  - name: x\n    nods: {}\n")?;
    let file = file.to_str().context("text")?;
    let (code, _, errors) = ran(&["run", "--config.file", file])?;
    assert_eq!(code, 2);
    assert!(errors.contains("wrong.yml:3:") && errors.contains("nodes"), "{errors}");
    let (code, shown, _) = ran(&["status", "--once", "--config.file", file])?;
    assert_eq!(code, 3);
    assert!(shown.starts_with("UNKNOWN ") && shown.contains("nodes"), "{shown}");
    Ok(())
}

#[test]
fn an_agent_that_is_not_there_is_unknown() -> Result<()> {
    let (code, shown, _) = ran(&["status", "--url", "http://127.0.0.1:1"])?;
    assert_eq!(code, 3);
    assert!(shown.starts_with("UNKNOWN the agent cannot be asked"), "{shown}");
    Ok(())
}

#[test]
fn a_look_at_servers_that_refuse_is_decided_at_once_and_hides_the_password() -> Result<()> {
    let urls =
        ["--primary", "postgres://probe:hunter2@127.0.0.1:1", "--standby", "postgres://probe:hunter2@127.0.0.1:2"];
    let began = standbywatch::clock::now();
    let (code, shown, errors) = ran(&[&["status"], &urls[..]].concat())?;
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains("refused"), "{shown}");
    assert!(errors.contains("others on this machine can read the password"), "{errors}");
    let (json_code, json, _) = ran(&[&["status", "--json"], &urls[..]].concat())?;
    assert_eq!(json_code, 3);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json)?["level"], "unknown");
    assert!(!format!("{shown}{errors}{json}").contains("hunter2"));
    let took = standbywatch::clock::now().since(began);
    assert!(took.as_secs() < 10, "two looks: {took:?}");
    Ok(())
}

#[test]
fn a_listener_in_use_is_one_clear_line() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let urls = ["--primary", "postgres://probe@127.0.0.1:1", "--standby", "postgres://probe@127.0.0.1:2"];
    let (code, _, errors) = ran(&[&["run", "--web.listen-address", &address], &urls[..]].concat())?;
    assert_eq!(code, 1);
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains(&format!("cannot listen on {address}: ")) && errors.contains("in use"), "{errors}");
    Ok(())
}

/// A name that no pair can have is told, never taken for another one's; and a link laid where the job locks is not followed.
#[test]
fn a_job_for_an_odd_name_writes_no_other_pairs_record() -> Result<()> {
    let lab = Lab::bare()?;
    let state = lab.dir().join("state");
    let directory = state.display().to_string();
    let job = |pair| {
        ran(&["rsync", "--pair", pair, "--state.directory", &directory, "--rsync.path", "/bin/true", "--", "a", "b"])
    };
    let (code, _, text) = job("shop/a")?;
    assert!(code == 0 && text.contains("no pair can be called \"shop/a\""), "{code}: {text}");
    assert!(state.join("rsync-shop%2Fa.json").exists() && !state.join("rsync-shop_a.json").exists());
    std::os::unix::fs::symlink(state.join("made"), state.join("rsync-shop_a.lock"))?;
    let (code, _, text) = job("shop_a")?;
    assert!(code == 0 && text.contains("no lock") && !text.contains("no pair"), "{code}: {text}");
    assert!(state.join("rsync-shop_a.json").exists() && !state.join("made").exists());
    Ok(())
}
