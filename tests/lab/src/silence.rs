//! What must stay silent: every rule of the product, held for less long, and an ear that hears all that is told meanwhile, in the
//! agents, in Prometheus and in Alertmanager.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::lab::stage;
use crate::{Alertmanager, Prometheus, http};

const LOOK: Duration = Duration::from_millis(250);
/// What ends by itself within this time, as a server's restart does, is nothing that the product's own hold times would tell.
const LEAST: Duration = Duration::from_secs(20);
const WATCHDOG: &str = "StandbyWatchdog";
/// Prometheus scrapes and judges each second; a restart of the agent takes some of them.
const SEEN: f64 = 0.5;

/// How long the lab holds what the product holds for so long: a tenth, at least 20 s. It is written here and nowhere else.
pub fn held(usual: Duration) -> Duration {
    usual.min((usual / 10).max(LEAST))
}

/// Every rule of the product, with its hold time in the lab.
#[derive(Clone, Debug)]
pub struct AllRules(BTreeMap<String, Duration>);

impl AllRules {
    /// Those that the program prints by default.
    pub fn of(program: &Path) -> Result<Self> {
        let printed = std::process::Command::new(program).arg("rules").output().context("print the rules")?;
        ensure!(printed.status.success(), "rules: {}", String::from_utf8_lossy(&printed.stderr));
        Self::read(&String::from_utf8(printed.stdout)?)
    }

    fn read(printed: &str) -> Result<Self> {
        let mut all: BTreeMap<String, Duration> = BTreeMap::new();
        let mut last = None;
        for line in printed.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("- alert: ") {
                all.entry(name.to_owned()).or_default();
                last = Some(name);
            } else if let (Some(name), Some(text)) = (last, line.strip_prefix("for: ")) {
                // A name may stand there twice, once for each severity; both are held alike.
                all.insert(name.to_owned(), held(humantime(text)?));
            }
        }
        ensure!(all.contains_key(WATCHDOG), "no rules were printed: {printed}");
        Ok(Self(all))
    }

    /// Lines for below `rules:`, without their indentation; those of `set` as they stand there.
    pub fn lines(&self, set: &str) -> Vec<String> {
        let is_set = |name: &str| set.lines().any(|line| line.split(':').next() == Some(name));
        let own = self.0.iter().filter(|(name, held)| !held.is_zero() && !is_set(name));
        let own = own.map(|(name, held)| format!("{name}: {{ for: {}s }}", held.as_secs()));
        own.chain(set.lines().map(str::to_owned)).collect()
    }

    /// Prometheus judges all of them, and holds none for longer than the lab does.
    async fn are_judged_by(&self, prometheus: &Prometheus) -> Result<()> {
        let json = http::get(&format!("{}/api/v1/rules", prometheus.url())).await?.ok()?.json()?;
        let groups = json["data"]["groups"].as_array().context("no groups of rules")?;
        let rules: Vec<&Value> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
        let judged: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["name"].as_str()).collect();
        let wanted: BTreeSet<&str> = self.0.keys().map(String::as_str).collect();
        ensure!(judged == wanted, "not the complete set of rules: {:?}", &wanted ^ &judged);
        for rule in rules {
            let name = rule["name"].as_str().unwrap_or_default();
            let longest = self.0.get(name).map_or(0.0, Duration::as_secs_f64);
            ensure!(rule["duration"].as_f64().is_some_and(|held| held <= longest), "held too long: {rule}");
            ensure!(rule["health"] == "ok", "cannot be judged: {rule}");
        }
        Ok(())
    }
}

/// `1m`, `30s`, `1h30m`.
fn humantime(text: &str) -> Result<Duration> {
    let (mut seconds, mut number) = (0, String::new());
    for letter in text.chars() {
        let unit = match letter {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            digit => {
                number.push(digit);
                continue;
            }
        };
        seconds += unit * std::mem::take(&mut number).parse::<u64>().with_context(|| format!("a time: {text}"))?;
    }
    ensure!(number.is_empty(), "a time: {text}");
    Ok(Duration::from_secs(seconds))
}

/// A rule that was met.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Met {
    rule: String,
    severity: String,
    state: String,
}

impl Met {
    /// Nothing may fire but the dead-man's switch; what would page may not even be met, but for what passes.
    fn is_loud(&self, passing: &[&str]) -> bool {
        self.rule != WATCHDOG
            && (self.state != "pending" || self.severity == "critical" && !passing.contains(&self.rule.as_str()))
    }
}

/// Listens to agents from its start on.
#[derive(Debug)]
pub struct Ear {
    heard: Arc<Mutex<Heard>>,
    rules: AllRules,
    begun: Instant,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Heard {
    /// What was met, with the number of looks that saw it.
    met: BTreeMap<Met, u64>,
    looks: u64,
    /// Looks that saw nothing: the agent was away.
    missed: u64,
}

impl Ear {
    /// Begins to listen to the agents at these addresses.
    pub fn listen(rules: AllRules, agents: Vec<SocketAddr>) -> Result<Self> {
        let heard = Arc::<Mutex<Heard>>::default();
        let task = stage()?.spawn(listen(agents, Arc::clone(&heard)));
        Ok(Self { heard, rules, begun: Instant::now(), task })
    }

    /// Nothing was told since it began to listen but the dead-man's switch; `passing` are rules that may be met for a while, since
    /// something was restarted. Says what was met without being told.
    ///
    /// # Errors
    /// What was told, and by whom; also when somebody was not there to tell.
    pub async fn heard_nothing(
        &self,
        prometheus: Option<&Prometheus>,
        alertmanager: &Alertmanager,
        passing: &[&str],
    ) -> Result<String> {
        let mut met = String::new();
        {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            ensure!(heard.looks > 4 && heard.missed < heard.looks, "{heard:?}: nobody listened");
            judge("the agent", &heard.met, passing, &mut met)?;
        }
        if let Some(prometheus) = prometheus {
            self.rules.are_judged_by(prometheus).await?;
            judge("Prometheus", &met_in(prometheus, self.begun.elapsed()).await?, passing, &mut met)?;
            let seen = prometheus.query("min(avg_over_time(up[1h]))").await?;
            let seen = seen.first().map(|sample| sample.value);
            ensure!(seen.is_some_and(|seen| seen > SEEN), "Prometheus has not seen the agent: {seen:?}");
        }
        let notices = alertmanager.receiver.notices();
        ensure!(notices.iter().any(|notice| is_watchdog(&notice.labels)), "the dead-man's switch was not heard");
        match notices.iter().find(|notice| !is_watchdog(&notice.labels)) {
            Some(notice) => bail!("notified: {:?} {:?}", notice.labels, notice.annotations),
            None => Ok(met),
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is_watchdog(labels: &BTreeMap<String, String>) -> bool {
    labels.get("alertname").is_some_and(|name| name == WATCHDOG)
}

fn judge(who: &str, all: &BTreeMap<Met, u64>, passing: &[&str], out: &mut String) -> Result<()> {
    for (met, times) in all {
        ensure!(!met.is_loud(passing), "told without a fault by {who}, seen {times} times: {met:?}");
        if met.rule != WATCHDOG {
            let _ = write!(out, "{} {} at {who} ({times} looks); ", met.rule, met.state);
        }
    }
    Ok(())
}

/// Whatever was pending or firing in Prometheus for so long. What was judged at the very beginning may have been scraped before it.
async fn met_in(prometheus: &Prometheus, time: Duration) -> Result<BTreeMap<Met, u64>> {
    let seconds = time.as_secs().saturating_sub(3).max(1);
    let all = format!("max by (alertname, severity, alertstate) (count_over_time(ALERTS[{seconds}s]))");
    let samples = prometheus.query(&all).await?;
    let met = samples.into_iter().map(|sample| {
        let label = |name: &str| sample.labels.get(name).cloned().unwrap_or_default();
        let met = Met { rule: label("alertname"), severity: label("severity"), state: label("alertstate") };
        (met, sample.value as u64)
    });
    let met: BTreeMap<_, _> = met.collect();
    ensure!(met.keys().any(|met| met.rule == WATCHDOG && met.state == "firing"), "it has judged nothing: {met:?}");
    Ok(met)
}

async fn listen(agents: Vec<SocketAddr>, heard: Arc<Mutex<Heard>>) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        for agent in &agents {
            let answer = http::get(&format!("http://{agent}/api/v1/status")).await;
            let status = answer.and_then(|answer| answer.ok()?.json());
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.looks += 1;
            match status {
                Ok(status) => findings(&status).for_each(|met| *heard.met.entry(met).or_default() += 1),
                Err(_) => heard.missed += 1,
            }
        }
    }
}

/// Everything that one agent finds, of its pairs and of itself.
fn findings(status: &Value) -> impl Iterator<Item = Met> {
    let of_pairs = status["pairs"].as_array().into_iter().flatten().filter_map(|pair| pair["findings"].as_array());
    let all = of_pairs.chain(status["agent_findings"].as_array()).flatten();
    all.map(|finding| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        Met { rule: text("rule"), severity: text("severity"), state: text("state") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "groups:
      - alert: StandbyA
        expr: 'a'
        for: 10m
      - alert: StandbyB
        expr: 'for: 1m'
      - alert: StandbyC
        for: 1m
      - alert: StandbyWatchdog
        expr: 'vector(1)'
";

    #[test]
    fn each_rule_is_held_for_a_tenth_but_not_shorter_than_a_restart_takes() -> Result<()> {
        let rules = AllRules::read(PRINTED)?;
        assert_eq!(rules.lines(""), ["StandbyA: { for: 60s }", "StandbyC: { for: 20s }"]);
        let set = "StandbyC: { for: 0s }";
        assert_eq!(rules.lines(set), ["StandbyA: { for: 60s }", set]);
        assert_eq!(held(Duration::from_secs(5)), Duration::from_secs(5), "nothing is held longer than by the product");
        assert_eq!(humantime("1h2m3s")?, Duration::from_secs(3723));
        assert!(humantime("1d").is_err() && humantime("15").is_err() && AllRules::read("groups:\n").is_err());
        Ok(())
    }

    #[test]
    fn what_fires_is_loud_and_what_would_page_is_so_before() {
        let met = |rule: &str, severity: &str, state: &str| Met {
            rule: rule.to_owned(),
            severity: severity.to_owned(),
            state: state.to_owned(),
        };
        assert!(met("StandbyA", "info", "firing").is_loud(&["StandbyA"]));
        assert!(met("StandbyA", "warning", "kept").is_loud(&[]));
        assert!(met("StandbyA", "critical", "pending").is_loud(&["StandbyB"]));
        assert!(!met("StandbyA", "critical", "pending").is_loud(&["StandbyA"]));
        assert!(!met("StandbyA", "warning", "pending").is_loud(&[]));
        assert!(!met(WATCHDOG, "none", "firing").is_loud(&[]));
    }

    #[test]
    fn findings_of_pairs_and_of_the_agent_are_heard() {
        let finding = |rule: &str| serde_json::json!({ "rule": rule, "severity": "critical", "state": "firing" });
        let status = serde_json::json!({
            "pairs": [{ "findings": [finding("A")] }, { "findings": [finding("B")] }], "agent_findings": [finding("C")],
        });
        let rules: Vec<_> = findings(&status).map(|met| met.rule).collect();
        assert_eq!(rules, ["A", "B", "C"]);
    }
}
