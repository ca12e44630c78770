//! Files that hang, never end, or say nothing: passwords and roles.

use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use standbywatch_lab::{Lab, Result, wait_until};

use crate::impostor::{Impostor, healthy_engine};
use crate::watch::{self, SOON, memory, tells_ok, tells_unknown};

const NOBODY: &str = "host: 127.0.0.1, port: 1";

/// More threads would wait than there are, if each reading of a pipe took one with it.
#[tokio::test]
async fn password_files_that_hang_delay_nothing_else() -> Result<()> {
    let lab = Lab::bare()?;
    let pipe = lab.dir().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR)?;
    let engine = Impostor::start(healthy_engine).await?;
    let password = lab.write("password", "anything")?;
    let mut config = "pairs:\n".to_owned();
    for number in 0..10 {
        let port = 10 + number;
        let node = |port: u16| format!("host: 127.0.0.1, port: {port}, password_file: {}", pipe.display());
        config += &watch::postgres_servers(&format!("pipe-{number}"), &node(port), &node(port + 100));
    }
    config += &watch::postgres_servers(
        "dev-zero",
        &format!("{NOBODY}, password_file: /dev/zero"),
        "host: 127.0.0.1, port: 2",
    );
    let with_password = format!("url: http://{}, user: probe, password_file: {}", engine.address(), password.display());
    let beside = Impostor::start(healthy_engine).await?;
    config += &watch::engines("search", &with_password, &format!("url: http://{}", beside.address()));
    let agent = watch::agent(&lab, config).await?;
    for number in [0, 9] {
        let told = tells_unknown(&agent, &format!("pipe-{number}"), "postgres", &["permission"]).await?;
        assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("pipe")), "{told}");
    }
    tells_unknown(&agent, "dev-zero", "postgres", &["refused", "permission"]).await?;
    tells_ok(&agent, "search", "search").await?;
    // Its connection is closed, so that it reads its password again.
    let before = engine.connections();
    engine.change(|_| crate::impostor::Says::Last(Vec::new()));
    wait_until("it connects again", SOON, async || Ok((engine.connections() > before).then_some(()))).await?;
    engine.change(healthy_engine);
    tells_ok(&agent, "search", "search").await?;
    assert_eq!(agent.stop().await?.code(), Some(0));
    Ok(())
}

async fn role_file(path: &Path) -> Result<()> {
    let lab = Lab::bare()?;
    let engine = Impostor::start(healthy_engine).await?;
    let text = watch::engines("search", &format!("url: http://{}", engine.address()), "url: http://127.0.0.1:1");
    let text = text.replace("{ fixed: alpha }", &format!("{{ file: {} }}", path.display()));
    let agent = watch::agent(&lab, format!("pairs:\n{text}")).await?;
    wait_until("an engine has answered", SOON, async || Ok((engine.connections() > 0).then_some(()))).await?;
    wait_until("no role is known", SOON, async || {
        let told = watch::channel_of(&agent, "search", "search").await?;
        let ready = agent.get("/-/ready").await?.status == 200;
        Ok((ready && told["level"] == "unknown" && told["reason"] == "role_unknown").then_some(()))
    })
    .await?;
    let grown = memory(&agent, "VmHWM")?;
    assert!(grown < 60 << 20, "{grown} bytes at most");
    assert_eq!(agent.stop().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_role_file_that_is_none_names_nobody() -> Result<()> {
    let lab = Lab::bare()?;
    let pipe = lab.dir().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR)?;
    let stranger = lab.write("stranger", "gamma\n")?;
    let binary = lab.dir().join("binary");
    std::fs::write(&binary, [0xff, 0xfe, 0, 1])?;
    for path in [&pipe, &stranger, &binary, Path::new("/dev/zero"), Path::new("/"), Path::new("/nowhere/role")] {
        role_file(path).await?;
    }
    Ok(())
}
