//! What cannot start says so in words that help, with the exit code that scripts expect.

use standbywatch_lab::{Lab, Result};
use tokio::net::TcpListener;

use crate::watch::{self, ended};

const GOOD: &str = "pairs:\n  - name: catalog\n    nodes:\n      alpha: { postgres: { host: 127.0.0.1, port: 1 } }\n      \
                    beta: { postgres: { host: 127.0.0.1, port: 2 } }\n";
/// Three mistakes in three places.
const BAD: &str = "pairs:\n  - name: catalog\n    nodes:\n      alpha: { postgres: { host: 127.0.0.1, prot: 1 } }\n      \
                   beta: { postgres: { host: 127.0.0.1, port: 99999 } }\n    postgres: { interval: 5 parsecs }\n";

#[tokio::test]
async fn a_listener_in_use_is_one_clear_line() -> Result<()> {
    let lab = Lab::bare()?;
    let file = format!("--config.file={}", lab.write("good.yml", GOOD)?.display());
    let state = format!("--state.directory={}", lab.dir().join("state").display());
    let other = TcpListener::bind("127.0.0.1:0").await?;
    let taken = other.local_addr()?;
    let listen = format!("--web.listen-address={taken}");
    for level in ["--log.level=info", "--log.level=debug"] {
        let end = ended(&["run", &file, &state, &listen, level]).await?;
        assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{}", end.stderr);
        assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
        for word in [&taken.to_string(), "another process listens there", "--web.listen-address"] {
            assert!(end.stderr.contains(word), "{word}: {}", end.stderr);
        }
    }
    for (address, word) in
        [("127.0.0.1", "ADDRESS:PORT"), ("nonsense", "ADDRESS:PORT"), ("192.0.2.1:80", "of this machine")]
    {
        let end = ended(&["run", &file, &state, &format!("--web.listen-address={address}")]).await?;
        assert_eq!(end.code, Some(1), "{address}: {}", end.stderr);
        assert!(end.stderr.contains(word) && end.stderr.lines().count() == 1, "{address}: {}", end.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_configuration_tells_all_its_mistakes_at_once() -> Result<()> {
    let lab = Lab::bare()?;
    let path = lab.write("bad.yml", BAD)?.display().to_string();
    let file = format!("--config.file={path}");
    for (command, code) in
        [(vec!["run"], 2), (vec![], 2), (vec!["check-config"], 2), (vec!["rules"], 2), (vec!["status", "--once"], 3)]
    {
        let mut args = command.clone();
        args.push(&file);
        let end = ended(&args).await?;
        assert_eq!(end.code, Some(code), "{args:?}: {}{}", end.stdout, end.stderr);
        let told = end.stdout + &end.stderr;
        for word in ["bad.yml:4", "prot", "did you mean port?", "bad.yml:5", "99999", "bad.yml:6", "parsecs"] {
            assert!(told.contains(word), "{args:?}: {word} is missing in {told}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_file_names_the_cure() -> Result<()> {
    for command in [vec!["run"], vec![], vec!["check-config"], vec!["status", "--once"]] {
        let mut args = command.clone();
        args.push("--config.file=/nowhere/standbywatch.yml");
        let end = ended(&args).await?;
        assert_eq!(end.code, Some(if command.contains(&"status") { 3 } else { 2 }), "{args:?}");
        let told = end.stdout + &end.stderr;
        for word in ["/nowhere/standbywatch.yml", "--config.file", "--primary URL --standby URL"] {
            assert!(told.contains(word), "{args:?}: {word} is missing in {told}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_file_is_told_at_once() -> Result<()> {
    for (path, word) in [
        ("/dev/zero", "at most"),
        ("/dev/null", "empty"),
        ("/", "cannot be read"),
        ("/proc/self/mem", "cannot be read"),
    ] {
        let end = ended(&["check-config", "--config.file", path]).await?;
        assert_eq!((end.code, end.stderr.contains(word)), (Some(2), true), "{path}: {}", end.stderr);
        assert!(end.stderr.len() < 500, "{path}: {}", end.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn wrong_flags_end_with_the_code_of_their_command() -> Result<()> {
    let lab = Lab::bare()?;
    let file = lab.write("good.yml", GOOD)?.display().to_string();
    let primary = "postgres://standbywatch@127.0.0.1:1/postgres";
    let wrong: [(&[&str], i32, &str); 12] = [
        (&["run", "--no-such-flag"], 2, "--no-such-flag"),
        (&["--no-such-flag"], 2, "--no-such-flag"),
        (&["no-such-command"], 2, "no-such-command"),
        (&["check-config", "--no-such-flag"], 2, "--no-such-flag"),
        (&["rules", "--no-such-flag"], 2, "--no-such-flag"),
        (&["run", "--log.level=loud"], 2, "loud"),
        (&["run", "--web.telemetry-path=metrics"], 2, "begins with /"),
        (&["run", "--primary", primary], 2, "--standby"),
        (&["run", "--config.file", &file, "--primary", primary, "--standby", primary], 2, "cannot be used with"),
        (&["run", "--primary", primary, "--standby", primary], 2, "own server"),
        (&["status", "--no-such-flag"], 3, "--no-such-flag"),
        (&["status", "--wait", "soon"], 3, "soon"),
    ];
    for (args, code, word) in wrong {
        let end = ended(args).await?;
        assert_eq!(end.code, Some(code), "{args:?}: {}{}", end.stdout, end.stderr);
        assert!((end.stdout + &end.stderr).contains(word), "{args:?}");
    }
    let end = ended(&["--version"]).await?;
    assert_eq!((end.code, end.stdout.trim()), (Some(0), concat!("standbywatch ", env!("CARGO_PKG_VERSION"))));
    Ok(())
}

#[tokio::test]
async fn status_without_an_agent_knows_nothing() -> Result<()> {
    let end = ended(&["status", "--url", "http://127.0.0.1:1"]).await?;
    assert_eq!(end.code, Some(3));
    assert!(end.stdout.starts_with("UNKNOWN ") && end.stdout.contains("is it running?"), "{}", end.stdout);
    let page = crate::impostor::http("200 OK", "text/html", "", crate::impostor::WEB_PAGE);
    let impostor = crate::impostor::Impostor::that_says(crate::impostor::Says::Last(page)).await?;
    let end = ended(&["status", "--url", &format!("http://{}", impostor.address())]).await?;
    assert_eq!(end.code, Some(3), "{}", end.stdout);
    assert!(end.stdout.contains("does not answer as an agent does"), "{}", end.stdout);
    let silent = crate::impostor::Impostor::that_says(crate::impostor::Says::Nothing).await?;
    let end = ended(&["status", "--url", &format!("http://{}", silent.address())]).await?;
    assert_eq!(end.code, Some(3), "{}", end.stdout);
    Ok(())
}

/// An agent that was told of no server that is there: it starts, serves, and ends when told.
#[tokio::test]
async fn it_runs_where_nothing_else_does() -> Result<()> {
    let lab = Lab::bare()?;
    let agent = watch::agent(&lab, GOOD.to_owned()).await?;
    watch::tells_unknown(&agent, "catalog", "postgres", &["refused"]).await?;
    assert_eq!(agent.get("/-/ready").await?.status, 200);
    assert_eq!(agent.stop().await?.code(), Some(0));
    Ok(())
}
