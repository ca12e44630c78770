//! A pair under changing load with no fault: nothing is told, nothing grows, nothing is logged.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::demo::{Watched, product_program};
use crate::postgres::Load;
use crate::{Agent, AgentOptions, AllRules, Ear, Monitoring, MonitoringOptions};

/// What is written, one after another, each for this long.
const LOADS: [Load; 5] = [Load::Idle, Load::Light, Load::Tps(200), Load::Heavy, Load::Light];
const PACE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_secs(5);
const SETTLED: Duration = Duration::from_secs(240);
/// The first part warms caches up and is left out of the comparison.
const WARM_UP: f64 = 0.25;
/// The pair's own section of the configuration channel, and the same with stores that may take their time.
const PAIR_CONFIG: &str = "\n    config: {";
const PATIENT: &str = "\n    kvstore: { sla: 2s }\n    config: {";
/// More than this between the middle and the end is growth.
const MEMORY: f64 = 2.0 * 1024.0 * 1024.0;
const DESCRIPTORS: f64 = 3.0;

/// What was seen in a look.
struct Look {
    memory: f64,
    descriptors: f64,
}

/// Watches for so long; says what was seen.
///
/// # Errors
/// An alert other than the dead-man's switch, growth, or a line in the log that somebody would have to read.
pub async fn run(length: Duration) -> Result<String> {
    let program = product_program()?;
    let lab = Watched::open_lab()?;
    let watched = Watched::start(&lab).await?;
    // Held for a tenth, what takes the product ten minutes to tell would be told here.
    let all_rules = AllRules::of(&program)?;
    // How long a store takes on a machine that is busy with other things is not what is looked for here.
    let patient = watched.configuration(&all_rules.lines(""), None).replacen(PAIR_CONFIG, PATIENT, 1);
    let config = Some(patient);
    let agent =
        Agent::start(&lab, AgentOptions { program: program.clone(), config, ..AgentOptions::default() }).await?;
    let printed = tokio::process::Command::new(&program)
        .args(["rules", "--config.file"])
        .arg(agent.dir().join("standbywatch.yml"))
        .output()
        .await?;
    let rules = vec![String::from_utf8(printed.stdout)?];
    let options = MonitoringOptions { targets: vec![agent.address()?], rules, ..MonitoringOptions::default() };
    let monitoring = Monitoring::start(&lab, &options).await?;
    agent.wait_for_json("/monitor/replication", "all is well", SETTLED, |page| page["status"] == "ok").await?;
    monitoring.alertmanager.wait_for_alert("StandbyWatchdog", &[], SETTLED).await?;
    let quiet_from = agent.server.log().len();
    let ear = Ear::listen(all_rules, vec![agent.address()?])?;

    let (begun, mut looks) = (Instant::now(), Vec::new());
    'all: for load in LOADS.into_iter().cycle() {
        let writer = watched.postgres.writer(load).await?;
        let until = Instant::now() + PACE;
        while Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
            looks.push(look(&agent).await?);
            let heard = ear.heard_nothing(Some(&monitoring.prometheus), &monitoring.alertmanager, &[]);
            heard.await.context("an alert without a fault")?;
            if begun.elapsed() >= length {
                break 'all;
            }
        }
        writer.stop().await;
    }
    let log = agent.server.log();
    let loud = loud(&log[quiet_from..]);
    if !loud.is_empty() {
        bail!("the log was not quiet:\n{}", loud.join("\n"));
    }
    judged(&looks, begun.elapsed(), log[quiet_from..].lines().count())
}

async fn look(agent: &Agent) -> Result<Look> {
    let metrics = agent.metrics().await?;
    let value = |name: &str| metrics.value(name, &[])?.with_context(|| format!("{name} is not there"));
    Ok(Look { memory: value("process_resident_memory_bytes")?, descriptors: value("process_open_fds")? })
}

/// What somebody would have to read.
fn loud(log: &str) -> Vec<&str> {
    log.lines().filter(|line| !line.contains("level=info") && !line.contains("level=debug")).collect()
}

/// The middle against the end.
fn judged(looks: &[Look], length: Duration, lines: usize) -> Result<String> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a small number")]
    let warm = (looks.len() as f64 * WARM_UP) as usize;
    let rest = &looks[warm.min(looks.len())..];
    let (middle, end) = rest.split_at(rest.len() / 2);
    let most = |part: &[Look], of: fn(&Look) -> f64| part.iter().map(of).fold(0.0, f64::max);
    let mut text =
        format!("soak: {:.1} minutes, {} looks, {lines} lines in the log\n", length.as_secs_f64() / 60.0, looks.len());
    for (what, of, bound) in [
        ("memory", (|look: &Look| look.memory) as fn(&Look) -> f64, MEMORY),
        ("descriptors", |look: &Look| look.descriptors, DESCRIPTORS),
    ] {
        let (before, after) = (most(middle, of), most(end, of));
        let _ = writeln!(text, "{what}: at most {before:.0} in the middle, {after:.0} at the end");
        if after > before + bound {
            bail!("{what} grows: {before:.0}, then {after:.0}\n{text}");
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(memory: impl Fn(usize) -> f64, descriptors: impl Fn(usize) -> f64) -> Vec<Look> {
        (0..40).map(|at| Look { memory: memory(at), descriptors: descriptors(at) }).collect()
    }

    #[test]
    fn a_leak_is_told_from_a_warm_up() {
        let (minute, still) = (Duration::from_secs(60), |_| 20.0);
        assert!(judged(&looks(|at| if at < 8 { at as f64 * 1e6 } else { 1e7 }, still), minute, 0).is_ok());
        let leak = judged(&looks(|at| 1e7 + at as f64 * 4e5, still), minute, 0).expect_err("it grows");
        assert!(leak.to_string().contains("memory grows"), "{leak}");
        let leak = judged(&looks(|_| 1e7, |at| 20.0 + (at / 2) as f64), minute, 0).expect_err("it grows");
        assert!(leak.to_string().contains("descriptors grows"), "{leak}");
    }

    #[test]
    fn warnings_and_what_is_no_line_of_the_log_are_loud() {
        let quiet = "ts=1 level=info msg=\"pair is ok\"\nts=2 level=debug msg=x\n";
        assert!(loud(quiet).is_empty());
        for line in ["ts=3 level=warn msg=x", "ts=3 level=error msg=x", "thread 'main' panicked at src/x.rs"] {
            assert_eq!(loud(&format!("{quiet}{line}\n")), [line]);
        }
    }
}
