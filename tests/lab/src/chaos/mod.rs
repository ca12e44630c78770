//! A search for wrong answers that nobody wrote a row for: random courses of faults on a real pair, and an oracle that knows what is
//! certain beside the agents. A seed tells the same story again, as far as a machine does.

mod course;
mod fault;
mod oracle;
mod positions;
mod sight;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use course::{Episode, Planned};
use fault::{Channel, Fault, Silences};
use oracle::{Oracle, Wrong};
use sight::Look;
use world::World;

use crate::{Lab, Need};

const TICK: Duration = Duration::from_millis(300);
/// A tick that takes longer: the machine is busy with other things.
const BUSY: Duration = Duration::from_millis(1200);
/// An agent that runs and has not answered so many times running is wrong itself.
const SILENT: usize = 12;
/// On a machine that does not come to rest nothing can be said of false alarms; the course goes on.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first words of agents, and of a pair that was just started.
const WELL: Duration = Duration::from_secs(120);
/// When all is calm again it must stay so for a while.
const CALM: Duration = Duration::from_secs(4);

/// Which course, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The product's program.
    pub program: PathBuf,
    /// What is drawn.
    pub seed: u64,
    /// No new episode begins after this.
    pub length: Duration,
    /// An agent on each node, instead of an observer.
    pub two_agents: bool,
    /// PostgreSQL's timeouts as they are by default, instead of a tenth of them.
    pub usual_timeouts: bool,
    /// At most so many faults at a time.
    pub at_once: usize,
    /// Only these are drawn, by name; empty: all.
    pub only: Vec<String>,
}

impl Plan {
    fn faults(&self) -> Result<Vec<Fault>> {
        let all = Fault::ALL.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(" ");
        if let Some(unknown) = self.only.iter().find(|name| Fault::ALL.iter().all(|fault| fault.name() != *name)) {
            bail!("no such fault: {unknown}; there are: {all}");
        }
        let is_drawn = |fault: &Fault| {
            (self.two_agents || !fault.needs_two_agents())
                && (self.only.is_empty() || self.only.iter().any(|name| name == fault.name()))
        };
        Ok(Fault::ALL.iter().copied().filter(is_drawn).collect())
    }
}

/// Plays it; says what was done and seen. `None`: a server is missing here, which was said.
///
/// # Errors
/// What agents told that is not so, each kind once, with the course up to there; or that the laboratory broke down.
pub async fn run(plan: &Plan) -> Result<Option<String>> {
    let Some(lab) = Lab::open(&[Need::Postgres, Need::Redis, Need::Rsync])? else { return Ok(None) };
    let from = plan.faults()?;
    let silences = if plan.usual_timeouts { Silences::USUAL } else { Silences::TENTH };
    let world = World::start(&lab, plan.program.clone(), plan.two_agents, silences).await?;
    for agent in world.agents() {
        let name = agent.server.name().to_owned();
        agent
            .wait_for_json("/monitor/replication", "all is well", WELL, |page| page["status"] == "ok")
            .await
            .context(name)?;
    }
    let oracle = Oracle::new(silences, world.agents().len());
    let mut play = Play {
        world,
        oracle,
        begun: Instant::now(),
        looks: 0,
        steady: 0,
        silent: 0,
        done: Vec::new(),
        wrong: BTreeMap::new(),
    };
    play.note(format!("seed {}", plan.seed));
    let mut dice = fastrand::Rng::with_seed(plan.seed);
    let (mut episodes, mut faults) = (0, 0);
    while play.begun.elapsed() < plan.length {
        let episode = Episode::draw(&mut dice, &from, plan.at_once);
        episodes += 1;
        faults += episode.faults.len();
        play.episode(&episode).await.with_context(|| play.story())?;
    }
    play.until_calm().await.with_context(|| play.story())?;
    let seconds = play.begun.elapsed().as_secs_f64();
    let text = format!(
        "chaos: seed {}, {seconds:.0} s, {episodes} episodes, {faults} faults, {} looks, {} of them steady, {} numbers compared\n",
        plan.seed, play.looks, play.steady, play.oracle.compared
    );
    if play.steady * 4 < play.looks {
        bail!("too few looks were steady: {text}");
    }
    if play.wrong.is_empty() {
        return Ok(Some(text));
    }
    let mut told = text;
    for (kind, (times, words)) in &play.wrong {
        let _ = writeln!(told, "WRONG, {times} times: {kind}\n{words}");
    }
    bail!("{told}{}", play.story())
}

/// A course that is being played.
struct Play {
    world: World,
    oracle: Oracle,
    begun: Instant,
    looks: usize,
    steady: usize,
    silent: usize,
    done: Vec<String>,
    wrong: BTreeMap<String, (usize, String)>,
}

impl Play {
    fn note(&mut self, what: String) {
        let line = format!("{:7.1} s  {what}", self.begun.elapsed().as_secs_f64());
        println!("{line}");
        self.done.push(line);
    }

    fn story(&self) -> String {
        format!("what was done:\n{}", self.done.join("\n"))
    }

    async fn episode(&mut self, episode: &Episode) -> Result<()> {
        let begun = Instant::now();
        let mut ahead: Vec<Planned> = episode.faults.clone();
        let mut present: Vec<(Fault, Instant)> = Vec::new();
        // So that what is alone is so for certain.
        let calm = self.oracle.is_all_calm(begun);
        while !ahead.is_empty() || !present.is_empty() {
            while let Some(at) = ahead.iter().position(|planned| planned.after <= begun.elapsed()) {
                let planned = ahead.remove(at);
                if self.begin(planned.fault, calm).await? {
                    present.push((planned.fault, Instant::now() + planned.lasts));
                }
            }
            while let Some(at) = present.iter().position(|(_, until)| *until <= Instant::now()) {
                let (fault, _) = present.remove(at);
                self.end(fault).await?;
            }
            self.tick().await?;
        }
        match episode.rest {
            Some(rest) => {
                let until = Instant::now() + rest;
                while Instant::now() < until {
                    self.tick().await?;
                }
            }
            None => self.until_calm().await?,
        }
        Ok(())
    }

    /// False: it could not be done as things were, or has no end.
    async fn begin(&mut self, fault: Fault, calm: bool) -> Result<bool> {
        if fault.needs_primary() && self.oracle.is_active(Fault::silences_primary) {
            return Ok(false);
        }
        self.oracle.touch(fault);
        match self.world.begin(fault).await {
            Ok(()) => {}
            Err(error) => {
                self.note(format!("not done: {} ({error:#})", fault.name()));
                // Half of it may have been.
                let _undone = self.world.end(fault).await;
                self.oracle.touch(fault);
                return Ok(false);
            }
        }
        if fault.is_an_act() {
            self.oracle.touch(fault);
            self.note(format!("did    {}", fault.name()));
            return Ok(false);
        }
        self.oracle.begun(fault, calm);
        self.note(format!("began  {}", fault.name()));
        if fault.severs() {
            self.sample().await;
            let now = self.oracle.positions.last().and_then(|sample| sample.primary);
            self.oracle.positions.cap = self.oracle.positions.cap.or(now);
        }
        Ok(true)
    }

    async fn end(&mut self, fault: Fault) -> Result<()> {
        self.world.end(fault).await.with_context(|| format!("end {}", fault.name()))?;
        self.oracle.ended(fault);
        self.note(format!("ended  {}", fault.name()));
        Ok(())
    }

    async fn until_calm(&mut self) -> Result<()> {
        let mut since = None;
        let settles = Channel::ALL.map(|channel| self.oracle.settles(channel)).into_iter().max();
        let patience = settles.unwrap_or_default() + PATIENCE;
        let begun = Instant::now();
        loop {
            self.tick().await?;
            if begun.elapsed() > patience {
                self.note("the machine is too busy to wait until all is calm".to_owned());
                return Ok(());
            }
            let calm = self.oracle.is_all_calm(Instant::now());
            since = calm.then(|| since.unwrap_or_else(Instant::now));
            if since.is_some_and(|since| since.elapsed() >= CALM) {
                return Ok(());
            }
        }
    }

    async fn sample(&mut self) {
        let primary = Some(&self.world.pair.primary).filter(|_| !self.oracle.is_active(Fault::silences_primary));
        let standby = Some(&self.world.pair.standby).filter(|_| !self.oracle.is_active(Fault::silences_standby));
        let promoted = self.oracle.is_active(|fault| fault == Fault::Promoted);
        self.oracle.positions.take(primary, standby.filter(|_| !promoted)).await;
    }

    /// Looks at every agent that can answer, and judges.
    async fn tick(&mut self) -> Result<()> {
        let begun = Instant::now();
        self.oracle.passes();
        let mut looks = Vec::new();
        for (number, agent) in self.world.agents().into_iter().enumerate() {
            if self.oracle.is_active(|fault| fault.silences_agent() == Some(number)) {
                continue;
            }
            match Look::at(agent).await {
                Ok(look) => looks.push(look),
                // The tick has taken long by now: a busy machine, or else it goes on.
                Err(error) => {
                    self.silent += 1;
                    if self.silent >= SILENT {
                        bail!("{error:#}\n{}", agent.server.log_tail());
                    }
                }
            }
        }
        if !looks.is_empty() {
            self.silent = 0;
        }
        self.sample().await;
        if begun.elapsed() > BUSY {
            self.oracle.disturbed = Some(Instant::now());
        }
        let mut found: Vec<(Wrong, String)> = Vec::new();
        found.extend(self.oracle.compare_foretold().into_iter().map(|wrong| (wrong, String::new())));
        for mut look in looks {
            self.looks += 1;
            self.steady += usize::from(look.steady);
            found.extend(self.oracle.judge(&look).into_iter().map(|wrong| (wrong, look.told())));
            // A snapshot may come and go between two requests: what views contradict must be seen three times running.
            let mut contradictions = look.contradictions();
            for _ in 0..2 {
                if contradictions.is_empty() {
                    break;
                }
                let again = self.world.agents().into_iter().find(|agent| agent.server.name() == look.agent);
                match Look::at(again.context("it is still there")?).await {
                    Ok(again) => look = again,
                    Err(_late) => {
                        contradictions.clear();
                        break;
                    }
                }
                contradictions = look.contradictions();
            }
            let wrongs =
                contradictions.into_iter().map(|words| Wrong { kind: "views contradict each other".to_owned(), words });
            found.extend(wrongs.map(|wrong| (wrong, look.told())));
        }
        for (Wrong { kind, words }, told) in found {
            let seen = self.wrong.contains_key(&kind);
            if !seen {
                self.note(format!("WRONG  {words}\n           {told}"));
                let logs: Vec<String> = self.world.agents().iter().map(|agent| agent.server.log_tail()).collect();
                println!("{}", logs.join("\n"));
            }
            let at = self.begun.elapsed().as_secs_f64();
            let entry = self.wrong.entry(kind).or_insert_with(|| (0, format!("  at {at:.1} s: {words}\n  {told}")));
            entry.0 += 1;
        }
        tokio::time::sleep(TICK).await;
        Ok(())
    }
}
