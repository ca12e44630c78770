//! What the commands print without asking any server, and the wrapper of rsync.

use standbywatch_lab::{Lab, Need, Result};

use crate::promtool::complaints;
use crate::site::{Site, standbywatch, text};

#[tokio::test]
async fn rules_for_this_and_for_an_older_prometheus() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Monitoring])? else { return Ok(()) };
    for args in [&["rules"][..], &["rules", "--prometheus=2.30"]] {
        let said = standbywatch(args, &[]).await?;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        assert!(said.out.contains("alert: StandbyReplicationUnknown"), "{args:?}");
        // What Prometheus learned in 2.42.
        assert_eq!(said.out.contains("keep_firing_for"), args.len() == 1, "{args:?}");
        let file = lab.write("rules.yml", &said.out)?;
        let complaint = complaints(&["check", "rules", text(&file)], "")?;
        // An older promtool refuses what only the newer Prometheus knows; this one is as new.
        assert_eq!(complaint, "", "{args:?}");
    }
    let said = standbywatch(&["rules", "--prometheus=old"], &[]).await?;
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--prometheus"), "{}", said.err);
    Ok(())
}

#[tokio::test]
async fn check_config_version_and_help() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let file = site.lab.write("good.yml", &site.config(""))?;
    let said = standbywatch(&["check-config", "--config.file", text(&file)], &[]).await?;
    assert_eq!(said.code, Some(0));
    for words in ["good.yml: ok", "pair catalog", "node alpha: postgres 127.0.0.1:", "channel postgres: every 1s"] {
        assert!(said.out.contains(words), "{words:?} in {}", said.out);
    }
    assert!(!said.out.contains(site.postgres.password()), "{}", said.out);
    let file = site.lab.write("wrong.yml", "pairs:\n  - name: catalog\n    nods: {}\n")?;
    let said = standbywatch(&["check-config", "--config.file", text(&file)], &[]).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("wrong.yml:3") && said.err.contains("nodes"), "{}", said.err);

    let said = standbywatch(&["--version"], &[]).await?;
    assert_eq!((said.code, said.out), (Some(0), format!("standbywatch {}\n", env!("CARGO_PKG_VERSION"))));
    let said = standbywatch(&["--help"], &[]).await?;
    assert_eq!(said.code, Some(0));
    for command in ["run", "check-config", "status", "failover", "rules", "runbook", "rsync"] {
        assert!(said.out.contains(&format!("\n  {command} ")), "{command} in {}", said.out);
        let help = standbywatch(&[command, "--help"], &[]).await?;
        assert!(help.code == Some(0) && help.out.contains("Usage: "), "{command}");
    }
    let said = standbywatch(&["--bogus"], &[]).await?;
    assert_eq!(said.code, Some(2));
    Ok(())
}

/// A cron line's command copies, and a look tells how long ago.
#[tokio::test]
async fn the_wrapper_of_rsync_leaves_what_a_look_needs() -> Result<()> {
    let Some(site) = Site::postgres().await? else { return Ok(()) };
    let Some(_) = Lab::open(&[Need::Rsync])? else { return Ok(()) };
    site.lab.write("tree/app.conf", "answer = 42\n")?;
    let (tree, copy, state) =
        (site.lab.dir().join("tree"), site.lab.dir().join("copy"), site.lab.dir().join("wrapped"));
    let source = format!("{}/", tree.display());
    let wrapper = ["rsync", "--pair", "catalog", "--state.directory", text(&state), "--"];
    let said = standbywatch(&[&wrapper[..], &["--archive", &source, text(&copy)]].concat(), &[]).await?;
    assert_eq!(said.code, Some(0));
    assert_eq!(std::fs::read_to_string(copy.join("app.conf"))?, "answer = 42\n");

    // The standby's lines come last among the nodes, so its tree and the channel can simply be added.
    let trees =
        format!("        config: {{ root: {} }}\n    config: {{ period: 1m, wrapper: true }}\n", copy.display());
    let alpha = format!("        config: {{ root: {source} }}\n      beta:\n");
    let config = site.config(&trees).replacen("      beta:\n", &alpha, 1);
    let file = site.lab.write("wrapped.yml", &config)?;
    let look = ["status", "--once", "--json", "--config.file", text(&file), "--state.directory", text(&state)];
    let said = standbywatch(&look, &[]).await?;
    let json: serde_json::Value = serde_json::from_str(&said.out)?;
    let told = &json["pairs"][0]["config"];
    assert!(said.code == Some(0) && told["age_seconds"].as_f64().is_some_and(|age| age < 60.0), "{json}");
    assert_eq!((&told["last_exit"], &told["consecutive_failures"]), (&0.into(), &0.into()), "{json}");

    let said = standbywatch(&[&wrapper[..], &["--archive", "/no/such/tree/", text(&copy)]].concat(), &[]).await?;
    assert_eq!(said.code, Some(23));
    assert!(said.err.contains("/no/such/tree"), "rsync's own words: {}", said.err);
    let said = standbywatch(&look, &[]).await?;
    let json: serde_json::Value = serde_json::from_str(&said.out)?;
    let told = &json["pairs"][0]["config"];
    assert_eq!((&told["last_exit"], &told["consecutive_failures"]), (&23.into(), &1.into()), "{json}");
    Ok(())
}
