//! An observer of many pairs opens all its sessions in the same moment. They get in one after the other, also where servers of some
//! pairs take a connection and say nothing.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use standbywatch_lab::{Agent, AgentOptions, Lab, Need, PgPair, Result, wait_until};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::SOON;

const PROGRAM: &str = env!("CARGO_BIN_EXE_standbywatch");
const PAIRS: usize = 10;
/// Without optimisation a session takes a third of a second of work, and other tests run beside this one.
const LONG: Duration = Duration::from_secs(100);

/// Pairs of the laboratory's servers; before each fourth of them one whose servers take connections and say nothing.
fn config(pair: &PgPair, silent: [SocketAddr; 2]) -> String {
    let (user, password) = (pair.user(), pair.password_file().display());
    let node = |address: SocketAddr| {
        let (host, port) = (address.ip(), address.port());
        format!("{{ postgres: {{ host: {host}, port: {port}, user: {user}, password_file: {password} }} }}")
    };
    let one = |name: String, alpha: SocketAddr, beta: SocketAddr| {
        let (alpha, beta) = (node(alpha), node(beta));
        format!(
            "  - name: {name}\n    nodes:\n      alpha: {alpha}\n      beta: {beta}\n    postgres: {{ interval: 5s }}\n"
        )
    };
    (0..PAIRS).fold("pairs:\n".to_owned(), |text, number| {
        let hangs = if number % 4 == 0 { one(format!("silent-{number}"), silent[0], silent[1]) } else { String::new() };
        text + &hangs + &one(format!("p{number}"), pair.primary_address(), pair.standby_address())
    })
}

/// How many probes of pairs whose name begins so have got facts.
fn up(status: &Value, begin: &str) -> usize {
    let pairs = status["pairs"].as_array().into_iter().flatten();
    let named = pairs.filter(|pair| pair["pair"].as_str().is_some_and(|name| name.starts_with(begin)));
    named.flat_map(|pair| pair["probes"].as_array().into_iter().flatten()).filter(|probe| probe["up"] == true).count()
}

#[tokio::test]
async fn the_sessions_of_many_pairs_get_in_though_some_servers_hang() -> Result<()> {
    let Some(lab) = Lab::open(&[Need::Postgres])? else { return Ok(()) };
    let pair = PgPair::builder().setting("max_connections", "300").start(&lab).await?;
    pair.wait_caught_up(SOON).await?;
    // The system takes its connections, and nobody answers them.
    let silent = [TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?];
    let config = config(&pair, [silent[0].local_addr()?, silent[1].local_addr()?]);
    let options = AgentOptions { program: PROGRAM.into(), config: Some(config), ..AgentOptions::default() };
    let agent = Agent::start(&lab, AgentOptions { args: vec!["--observer".to_owned()], ..options }).await?;
    let begun = Instant::now();
    let mut last = 0;
    wait_until("all are in", LONG, async || {
        let status = agent.json("/api/v1/status").await?;
        assert_eq!(up(&status, "silent"), 0);
        let up = up(&status, "p");
        if up != last {
            println!("{:6.1} s: {up} of {} sessions are there", begun.elapsed().as_secs_f64(), 2 * PAIRS);
            last = up;
        }
        Ok((up == 2 * PAIRS).then_some(()))
    })
    .await
}
