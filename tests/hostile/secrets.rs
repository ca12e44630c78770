//! Every secret has a value that is easily found, and is found nowhere.

use std::path::Path;

use standbywatch_lab::{Agent, AgentOptions, Lab, Need, Persistence, PgPair, RedisPair, Result};

use crate::impostor::{Impostor, Says, http, postgres_refusal};
use crate::watch::{self, PROGRAM, ended, ended_with, tells_ok, tells_unknown};

/// Part of every secret of these tests.
const MARK: &str = "hush7Kq2";
/// The same inside basic authentication, at each of the three offsets that base64 has.
const MARK_IN_BASE64: [&str; 3] = ["aHVzaDdLcT", "h1c2g3S3Ey", "odXNoN0txM"];

/// Fails if the text has any part of a secret, without repeating it.
fn hold_no_secret(place: &str, text: &str) {
    for mark in std::iter::once(MARK).chain(MARK_IN_BASE64) {
        if let Some(at) = text.find(mark) {
            let before: String = text[..at].chars().rev().take(160).collect::<Vec<_>>().into_iter().rev().collect();
            panic!("{place} shows a secret after: {before}");
        }
    }
}

/// Everything that a running agent says or writes.
async fn no_output_of_the_agent_holds_a_secret(agent: &Agent, pairs: &[&str]) -> Result<()> {
    let mut paths = [
        "/",
        "/metrics",
        "/monitor/replication",
        "/api/v1/status",
        "/-/healthy",
        "/-/ready",
        "/nothing",
        "/config",
        "/probes",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend(pairs.iter().map(|pair| format!("/api/v1/pairs/{pair}")));
    for path in paths {
        hold_no_secret(&path, &agent.get(&path).await?.text);
    }
    let url = agent.url("")?;
    for args in [vec!["status", "--url", &url], vec!["status", "--json", "--url", &url]] {
        let end = ended(&args).await?;
        hold_no_secret("status", &(end.stdout + &end.stderr));
    }
    hold_no_secret("the log", &agent.server.log());
    assert!(!agent.server.log().is_empty());
    no_file_holds_a_secret(&agent.dir().join("state"))
}

fn no_file_holds_a_secret(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        hold_no_secret(&path.display().to_string(), &text);
    }
    Ok(())
}

/// All channels, with secrets in every place that takes one.
fn with_secrets(postgres: [&str; 2], stores: [&str; 2], engine: &str) -> String {
    let [alpha, beta] = postgres;
    let [store, other_store] = stores;
    format!(
        "pairs:\n  - name: catalog\n    nodes:\n      alpha:\n        postgres: {{ {alpha} }}\n        kvstore: {{ redis: {{ {store} }} }}\n        \
         search: {{ {engine} }}\n      beta:\n        postgres: {{ {beta} }}\n        kvstore: {{ redis: {{ {other_store} }} }}\n        \
         search: {{ {engine} }}\n    kvstore: {{ interval: 1s, timeout: 1s }}\n    search: {{ interval: 1s, timeout: 1s }}\n"
    )
}

#[tokio::test]
async fn secrets_that_are_right_and_then_wrong() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres, Need::Redis])? else { return Ok(()) };
    let pair = PgPair::builder().tenth_timeouts().start(&lab).await?;
    let both = RedisPair::start(&lab, Persistence::Nothing).await?;
    let secret = |of: &str| format!("{MARK}-{of}");
    pair.primary.change_password(&secret("postgres")).await?;
    for store in [&both.primary, &both.standby] {
        let _: String = store.command(&["CONFIG", "SET", "requirepass", &secret("redis")]).await?;
    }
    // It repeats what it was told, as a debugging proxy does.
    let engine = Impostor::start(|heard| {
        Says::This(http("200 OK", "text/plain", "", &String::from_utf8_lossy(heard).replace("\r\n", " ")))
    })
    .await?;
    let (pg_file, kv_file) = (lab.write("pg", &secret("postgres"))?, lab.write("kv", &secret("redis"))?);
    let (alpha, beta) = (pair.primary_address(), pair.standby_address());
    let config = with_secrets(
        [
            &format!(
                "host: {}, port: {}, user: {}, password: {}",
                alpha.ip(),
                alpha.port(),
                pair.user(),
                secret("postgres")
            ),
            &format!(
                "host: {}, port: {}, user: {}, password_file: {}",
                beta.ip(),
                beta.port(),
                pair.user(),
                pg_file.display()
            ),
        ],
        [
            &format!("address: {}, password: {}", both.primary_address(), secret("redis")),
            &format!("address: {}, user: default, password_file: {}", both.standby_address(), kv_file.display()),
        ],
        &format!("url: http://{}, user: probe, password_env: SEARCH_PASSWORD", engine.address()),
    );
    let env = vec![("SEARCH_PASSWORD".to_owned(), secret("search")), ("PGPASSWORD".to_owned(), secret("environment"))];
    let file = format!("--config.file={}", lab.write("checked.yml", &config)?.display());
    for args in [vec!["check-config", &file], vec!["rules", &file], vec!["status", "--once", "--json", &file]] {
        let end = ended_with(&args, &env).await?;
        assert!(end.code == Some(0) || args[0] == "status", "{args:?}: {}", end.stderr);
        hold_no_secret(args[0], &(end.stdout + &end.stderr));
    }
    let options = AgentOptions {
        program: PROGRAM.into(),
        config: Some(config.clone()),
        args: vec!["--log.level=debug".to_owned()],
        env,
        ..AgentOptions::default()
    };
    let agent = Agent::start(&lab, options).await?;
    tells_ok(&agent, "catalog", "postgres").await?;
    tells_ok(&agent, "catalog", "kvstore").await?;
    let told = tells_unknown(&agent, "catalog", "search", &["protocol"]).await?;
    hold_no_secret("the search channel's detail", &told.to_string());
    no_output_of_the_agent_holds_a_secret(&agent, &["catalog"]).await?;

    // Then wrong, so that every error speaks: in the configuration after a reload, and in the files.
    let wrong_stores = config.replace("-redis", "-redis-is-wrong");
    lab.write("kv", &secret("redis-file-is-wrong"))?;
    agent.write_config(&wrong_stores)?;
    agent.hang_up()?;
    tells_unknown(&agent, "catalog", "kvstore", &["authentication"]).await?;
    no_output_of_the_agent_holds_a_secret(&agent, &["catalog"]).await?;
    lab.write("pg", &secret("postgres-file-is-wrong"))?;
    agent.write_config(&wrong_stores.replace("-postgres", "-postgres-is-wrong"))?;
    agent.hang_up()?;
    tells_unknown(&agent, "catalog", "postgres", &["authentication"]).await?;
    no_output_of_the_agent_holds_a_secret(&agent, &["catalog"]).await?;
    agent.stop().await?;
    hold_no_secret("the log", &agent.server.log());
    no_file_holds_a_secret(&agent.dir().join("state"))
}

/// A server that repeats what it was told does so to us only.
#[tokio::test]
async fn servers_that_repeat_what_they_were_told() -> Result<()> {
    let lab = Lab::bare()?;
    let store = Impostor::start(|heard| {
        let heard = String::from_utf8_lossy(heard).replace("\r\n", " ");
        Says::This(format!("-ERR unknown command, with args beginning with: {heard}\r\n").into_bytes())
    })
    .await?;
    let engine = Impostor::start(|heard| {
        let heard = String::from_utf8_lossy(heard);
        let line = heard.lines().find(|line| line.starts_with("authorization")).unwrap_or_default();
        let plain = format!("{line} {MARK}-search");
        Says::This(http("500 Internal Server Error", "text/plain", "", &plain))
    })
    .await?;
    let address = format!("address: {}, user: probe, password: {MARK}-redis", store.address());
    // It asks for the password in clear text, and complains about it.
    let server = Impostor::start(|heard| match heard {
        [0, 0, 0, 8, ..] => Says::This(b"N".to_vec()),
        [b'p', _, _, _, _, password @ ..] => {
            let password = String::from_utf8_lossy(password).replace('\0', "");
            postgres_refusal("28P01", &format!("{password} is wrong"))(&[])
        }
        _ => Says::This(b"R\0\0\0\x08\0\0\0\x03".to_vec()),
    })
    .await?;
    let node = format!("host: 127.0.0.1, port: {}, password: {MARK}-postgres", server.address().port());
    let url = format!("url: http://{}, user: probe, password: {MARK}-search", engine.address());
    let nobody = ["address: 127.0.0.1:1", "url: http://127.0.0.1:1", "host: 127.0.0.1, port: 1"];
    let config = [
        "pairs:\n".to_owned(),
        watch::stores("shop", &address, nobody[0]),
        watch::engines("search", &url, nobody[1]),
        watch::postgres_servers("catalog", &node, nobody[2]),
    ]
    .concat();
    let agent = watch::agent_with(&lab, config, &["--log.level=debug"]).await?;
    tells_unknown(&agent, "shop", "kvstore", &["refused", "protocol", "authentication"]).await?;
    tells_unknown(&agent, "search", "search", &["protocol"]).await?;
    let told = tells_unknown(&agent, "catalog", "postgres", &["authentication"]).await?;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("*** is wrong")), "it does repeat it");
    no_output_of_the_agent_holds_a_secret(&agent, &["shop", "search", "catalog"]).await
}

/// Mistakes right where the secret stands.
#[tokio::test]
async fn complaints_about_a_configuration() -> Result<()> {
    let lab = Lab::bare()?;
    let node = |part: &str| {
        format!(
            "pairs:\n  - name: catalog\n    nodes:\n      alpha: {{ {part} }}\n      beta: {{ postgres: {{ host: b }} }}\n"
        )
    };
    let secret = format!("{MARK}-inline");
    let long = |part: &str| node(&part.replace("SECRET", &secret));
    let mut configs = vec![
        long("postgres: { host: a, password: SECRET, password_file: /x }"),
        long("postgres: { host: a, password: [SECRET] }"),
        long("postgres: { host: a, password: { is: SECRET } }"),
        long("postgres: { host: a, pasword: SECRET }"),
        long("postgres: { host: a, password: SECRET, password: SECRET2 }"),
        long("postgres: { host: a, password: \"SECRET }"),
        long("postgres: { host: a, password: SECRET: x: y }"),
        long("postgres: { host: a, password: *SECRET }"),
        long("postgres: { host: a, password: @SECRET }"),
        long("postgres: { host: a, password: `SECRET }"),
        long("postgres: { host: \"u:SECRET@a\" }"),
        long("postgres: { host: \"postgres://u:SECRET@a/db\" }"),
        long("postgres: { url: \"postgres://u:SECRET@a:99999/db\" }"),
        long("postgres: { url: \"postgres://u:SEC/RET@a/db\" }").replace("SEC/RET", &format!("x/{secret}")),
        long("postgres: { url: \"postgres://u:SECRET@a/db?sslmode=loud\" }"),
        long("postgres: { url: \"postgres://a/db?pasword=SECRET\" }"),
        long("postgres: { url: \"mysql://u:SECRET@a/db\" }"),
        long("postgres: { url: \"host=a password=SECRET\" }"),
        long("postgres: { host: a }, search: { url: \"http://u:SECRET@a:9200\" }"),
        long("postgres: { host: a }, search: { url: \"http://u:x/SECRET@a:9200\" }"),
        long("postgres: { host: a }, search: { url: \"http://a:9200?apikey=SECRET\" }"),
        long("postgres: { host: a }, search: { url: \"ftp://u:SECRET@a:9200\" }"),
        long("postgres: { host: a }, kvstore: { redis: { address: \"redis://:SECRET@a:6379\" } }"),
        long("postgres: { host: a }, kvstore: { redis: { address: \":SECRET@a:6379\" } }"),
        long("postgres: { host: a }, kvstore: { redis: { adress: a:1, password: SECRET } }"),
        format!(
            "{}alerting: {{ alertmanagers: [\"http://u:{secret}@10.0.0.9:9093\"] }}\n",
            long("postgres: { host: a }")
        ),
        format!("{}alerting: {{ alertmanagers: [\"u:{secret}@10.0.0.9:9093\"] }}\n", long("postgres: { host: a }")),
        format!("postgres://u:{secret}@a/db\n"),
        format!("password: {secret}\n"),
        format!("- {secret}\n"),
        format!("{secret}"),
        long("postgres: { host: a, password: SECRET").replace(" }\n      beta", "\n      beta"),
    ];
    // A tab where YAML wants none, and a byte that is no text, on the secret's own line.
    configs.push(format!("pairs:\n\t- password: {secret}\n"));
    for (number, config) in configs.iter().enumerate() {
        let path = lab.write(&format!("{number}.yml"), config)?;
        let file = format!("--config.file={}", path.display());
        let state = format!("--state.directory={}", lab.dir().join("state").display());
        for args in [
            vec!["check-config", &file],
            vec!["rules", &file],
            vec!["status", "--once", &file],
            vec!["run", &file, &state],
        ] {
            let end = ended(&args).await?;
            assert!(matches!(end.code, Some(2 | 3)), "{args:?} takes it: {config}");
            hold_no_secret(&format!("{} of {config}", args[0]).replace(MARK, "***"), &(end.stdout + &end.stderr));
        }
    }
    Ok(())
}

#[tokio::test]
async fn secrets_on_the_command_line() -> Result<()> {
    let lab = Lab::bare()?;
    let good = format!("postgres://u:{MARK}-url@127.0.0.1:1/postgres");
    let other = format!("postgres://u:{MARK}-url@127.0.0.1:2/postgres");
    let wrong = [
        format!("postgres://u:{MARK}@127.0.0.1:99999/x"),
        format!("postgres://u:x/{MARK}@127.0.0.1/x"),
        format!("postgres://u:x#{MARK}@127.0.0.1/x"),
        format!("http://u:{MARK}@127.0.0.1/x"),
        format!("host=a password={MARK}"),
        format!("postgres://a/b?password={MARK}&what=1"),
        good.clone(),
    ];
    let state = format!("--state.directory={}", lab.dir().join("state").display());
    for url in &wrong {
        for args in [
            vec!["run", &state, "--primary", url, "--standby", &good],
            vec!["status", "--once", "--primary", &good, "--standby", url],
            vec!["status", "--url", url],
            vec!["run", "--primary", url],
            vec!["run", url],
            vec!["status", url],
            vec!["--primry", url],
            vec![url],
        ] {
            let end = ended(&args).await?;
            assert_ne!(end.code, Some(0), "{args:?}");
            hold_no_secret(&format!("{args:?}").replace(MARK, "***"), &(end.stdout + &end.stderr));
        }
    }
    let look = ended(&["status", "--primary", &good, "--standby", &other, "--json", "--wait", "2s"]).await?;
    assert_eq!(look.code, Some(3), "{}", look.stderr);
    assert!(look.stderr.contains("others on this machine can read the password"), "{}", look.stderr);
    hold_no_secret("status", &(look.stdout + &look.stderr));

    let args = ["--primary", &good, "--standby", &other, "--log.level=debug"].map(str::to_owned).to_vec();
    let options = AgentOptions { program: PROGRAM.into(), args, ..AgentOptions::default() };
    let agent = Agent::start(&lab, options).await?;
    tells_unknown(&agent, "pair", "postgres", &["refused"]).await?;
    no_output_of_the_agent_holds_a_secret(&agent, &["pair"]).await
}

#[test]
fn the_mark_is_found_in_base64_wherever_it_stands() {
    // Written down once, checked here: `printf 'xhush7Kq2' | base64` and so on.
    let encoded = ["aHVzaDdLcTI=", "eGh1c2g3S3Ey", "eHhodXNoN0txMg=="];
    for (mark, encoded) in MARK_IN_BASE64.iter().zip(encoded) {
        assert!(encoded.contains(mark), "{mark} in {encoded}");
    }
}
