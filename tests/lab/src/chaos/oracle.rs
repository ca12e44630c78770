//! What is certain: of each fault since when it is there, of each channel since when nothing is wrong with it, and of each number
//! between which bounds it is. Whatever an agent tells against that is wrong.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::fault::{Channel, Fault, Harm, PERIOD, Silences};
use super::positions::{Positions, WINDOW};
use super::sight::Look;

/// What a promotion may lose, by the configuration.
const RPO_BYTES: u64 = 1 << 20;
const RPO_AGE: Duration = Duration::from_secs(5);
/// After the machine was busy: what was late by then has been asked again.
const QUIET: Duration = Duration::from_secs(40);
/// A ring of positions has one each second.
const RESOLUTION: Duration = Duration::from_secs(2);
/// Two agents: what one reads the other has a round trip later.
const BETWEEN_AGENTS: Duration = Duration::from_secs(3);
/// A session of the agent is replaced so often, and the new one has a deadline.
const RECONNECT: Duration = Duration::from_secs(20 + 3 + 8 + 14);

/// A fault that is there.
#[derive(Clone, Copy, Debug)]
struct Active {
    fault: Fault,
    since: Instant,
    /// Nothing else is or was wrong.
    alone: bool,
}

/// A loss that was told of a primary that could not be asked: to be compared once it can.
#[derive(Clone, Copy, Debug)]
struct Foretold {
    bytes: f64,
    /// What the standby had for certain by then.
    had: u64,
}

/// What is known of the truth.
pub struct Oracle {
    silences: Silences,
    agents: usize,
    active: Vec<Active>,
    touched: HashMap<Channel, Instant>,
    burst: Option<Instant>,
    /// The machine did not get to us in time: nobody is to be blamed for a late word.
    pub disturbed: Option<Instant>,
    pub positions: Positions,
    foretold: Vec<Foretold>,
    /// Numbers that were held against a bound which is not 0.
    pub compared: usize,
}

/// Something told that is not so: of which kind, and in words.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub kind: String,
    pub words: String,
}

impl Oracle {
    pub fn new(silences: Silences, agents: usize) -> Self {
        let positions = Positions::default();
        let touched = Channel::ALL.map(|channel| (channel, Instant::now())).into();
        Self {
            silences,
            agents,
            active: Vec::new(),
            touched,
            burst: None,
            disturbed: None,
            positions,
            foretold: Vec::new(),
            compared: 0,
        }
    }

    pub fn is_active(&self, which: impl Fn(Fault) -> bool) -> bool {
        self.active.iter().any(|active| which(active.fault))
    }

    /// How long a channel may take to be told well again.
    pub fn settles(&self, channel: Channel) -> Duration {
        match channel {
            // Both servers give a dead connection up, connect anew, and are heard.
            Channel::Postgres => self.silences.message * 2 + Duration::from_secs(25),
            Channel::Config => PERIOD * 3 + Duration::from_secs(10),
            Channel::Kvstore => Duration::from_secs(40),
        }
    }

    /// Nothing has been wrong with it for as long as it may take to be told so.
    pub fn is_calm(&self, channel: Channel, at: Instant) -> bool {
        let long_ago = |moment: Option<Instant>, time| moment.is_none_or(|moment| moment + time <= at);
        long_ago(self.touched.get(&channel).copied(), self.settles(channel)) && long_ago(self.disturbed, QUIET)
    }

    pub fn is_all_calm(&self, at: Instant) -> bool {
        Channel::ALL.into_iter().all(|channel| self.is_calm(channel, at))
    }

    /// It is about to be done, or undone: from now on it may be seen.
    pub fn touch(&mut self, fault: Fault) {
        let now = Instant::now();
        self.active.iter_mut().filter(|_| !fault.is_benign()).for_each(|active| active.alone = false);
        self.touched.extend(fault.touches().iter().map(|channel| (*channel, now)));
        if fault.moves_back() {
            self.positions.moved_back = Some(now);
        }
        if fault == Fault::Burst {
            self.burst = Some(now);
        }
    }

    /// It is there; `alone`: all was calm before.
    pub fn begun(&mut self, fault: Fault, alone: bool) {
        self.touch(fault);
        let alone = alone && !self.is_active(|other| !other.is_benign());
        self.active.push(Active { fault, since: Instant::now(), alone });
        if fault == Fault::Promoted {
            self.positions.forget();
        }
    }

    /// It is no more.
    pub fn ended(&mut self, fault: Fault) {
        self.touch(fault);
        self.active.retain(|active| active.fault != fault);
        if !self.is_active(Fault::severs) {
            self.positions.cap = None;
        }
        if fault == Fault::Promoted {
            self.positions.forget();
        }
    }

    /// Called again and again: what is active touches its channels; an agent that was away knows nothing of what was wrong meanwhile, so
    /// whatever is wrong while it finds its way touches all.
    pub fn passes(&mut self) {
        let now = Instant::now();
        let touched: Vec<Channel> = self.active.iter().flat_map(|active| active.fault.touches()).copied().collect();
        self.touched.extend(touched.into_iter().map(|channel| (channel, now)));
        if self.is_active(Fault::moves_back) {
            self.positions.moved_back = Some(now);
        }
        // Who is the primary is told by PostgreSQL: without it the others may not know whose copy counts.
        let away = self.is_active(|fault| fault.silences_agent().is_some() || fault.touches().len() > 1);
        if away && self.active.iter().filter(|active| !active.fault.is_benign()).count() > 1 {
            self.touched.extend(Channel::ALL.map(|channel| (channel, now)));
        }
    }

    /// What is wrong with a look; the last sample was taken after it.
    pub fn judge(&mut self, look: &Look) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        self.harms(look, &mut wrong);
        self.alarms(look, &mut wrong);
        self.one_sided(look, &mut wrong);
        if !self.is_active(|fault| fault == Fault::Promoted) {
            self.numbers(look, &mut wrong);
            self.foretell(look);
        }
        self.readiness(look, &mut wrong);
        wrong
    }

    fn harms(&self, look: &Look, wrong: &mut Vec<Wrong>) {
        for active in &self.active {
            let Some((channel, harm)) = active.fault.harms() else { continue };
            let more = if self.agents > 1 { BETWEEN_AGENTS } else { Duration::ZERO };
            let bound = active.fault.bound(self.silences, active.alone) + more;
            let passed = look.begun.saturating_duration_since(active.since);
            if passed < bound {
                continue;
            }
            let told_well = match harm {
                Harm::Down => {
                    look.up(channel) != Some(0.0) || look.level(channel) != "unknown" || look.number(channel).is_some()
                }
                Harm::Trouble => look.level(channel) == "ok",
            };
            if told_well {
                let name = active.fault.name();
                let words = format!(
                    "{} is told {} {:.1} s after {name} (bound {bound:.1?})",
                    channel.name(),
                    look.level(channel),
                    passed.as_secs_f64()
                );
                wrong.push(Wrong { kind: format!("well in spite of {name}"), words });
            }
        }
    }

    fn alarms(&self, look: &Look, wrong: &mut Vec<Wrong>) {
        for channel in Channel::ALL {
            let well = look.level(channel) == "ok" && look.up(channel) == Some(1.0) && look.number(channel).is_some();
            if !well && self.is_calm(channel, look.begun) {
                let words = format!("{} is not well, and nothing is wrong with it", channel.name());
                wrong.push(Wrong { kind: format!("false alarm of {}", channel.name()), words });
            }
        }
        if !self.is_all_calm(look.begun) {
            return;
        }
        for (rule, state) in look.met() {
            if rule != "StandbyRolesChanged" && state == "firing" {
                wrong.push(Wrong {
                    kind: format!("false {rule}"),
                    words: format!("{rule} fires, and nothing is wrong"),
                });
            }
        }
        let busy = self.burst.is_some_and(|burst| burst + self.settles(Channel::Postgres) > look.begun);
        if look.verdict() != "ready" && !busy {
            let words = "a promotion is not told ready, and nothing is wrong".to_owned();
            wrong.push(Wrong { kind: "not ready without a cause".to_owned(), words });
        }
    }

    /// While one node cannot be asked, or replay alone stands, replication runs, and is told so.
    fn one_sided(&self, look: &Look, wrong: &mut Vec<Wrong>) {
        let runs = |fault: Fault| {
            fault.name().starts_with("WayTo")
                || matches!(
                    fault,
                    Fault::ReplayFrozen
                        | Fault::ReplayPaused
                        | Fault::LockConflict
                        | Fault::PostmasterOfStandbyFrozen
                        | Fault::LinkSlow
                )
        };
        let mut harmful = self.active.iter().filter(|active| !active.fault.is_benign());
        let (Some(only), None) = (harmful.next(), harmful.next()) else { return };
        let disturbed = self.disturbed.is_some_and(|moment| moment + QUIET > look.begun);
        if only.alone && runs(only.fault) && !disturbed && look.up(Channel::Postgres) != Some(1.0) {
            let name = only.fault.name();
            let words = format!("replication runs during {name}, and is told not to");
            wrong.push(Wrong { kind: format!("false alarm during {name}"), words });
        }
    }

    fn numbers(&mut self, look: &Look, wrong: &mut Vec<Wrong>) {
        let mut compared = 0;
        let mut outside = |what: &str, told: Option<f64>, least: Option<u64>, most: Option<u64>| {
            let Some(told) = told else { return };
            let (low, high) = (least.map_or(0.0, |least| least as f64), most.map_or(f64::INFINITY, |most| most as f64));
            compared += usize::from(low > 0.0 || high.is_finite());
            if told < low || told > high {
                let words = format!("{what} is told {told}, and is between {low} and {high}");
                wrong.push(Wrong { kind: format!("wrong {what}"), words });
            }
        };
        let at = look.begun;
        let lag = look.number(Channel::Postgres);
        outside("lag", lag, self.positions.at_least(at, |s| s.replayed), self.positions.at_most(at, |s| s.replayed));
        let (least, most) = (self.positions.at_least(at, |s| s.has), self.positions.at_most(at, |s| s.has));
        outside("gap", look.gap(), least, most);
        let loss = look.loss().filter(|(_, at_least)| !at_least).map(|(bytes, _)| bytes);
        outside("loss", loss, least, most);
        let seconds = self.positions.behind_for(at, |s| s.replayed).and_then(|time| time.checked_sub(RESOLUTION));
        outside("lag in whole seconds", look.lag_seconds().map(f64::ceil), seconds.map(|time| time.as_secs()), None);
        self.compared += compared;
    }

    /// What is told "at least" while the primary cannot be asked.
    fn foretell(&mut self, look: &Look) {
        let silent = self.is_active(Fault::silences_primary);
        if let (true, Some((bytes, true)), Some(had)) = (silent, look.loss(), self.positions.had(look.begun)) {
            self.foretold.push(Foretold { bytes, had });
        }
    }

    /// The primary can be asked again: it had not more than it has now.
    pub fn compare_foretold(&mut self) -> Vec<Wrong> {
        if self.is_active(Fault::silences_primary) || self.is_active(|fault| fault == Fault::Promoted) {
            return Vec::new();
        }
        let Some(end) = self.positions.last().and_then(|sample| sample.primary) else { return Vec::new() };
        let told = std::mem::take(&mut self.foretold);
        let beyond = told.into_iter().filter(|told| told.bytes > end.saturating_sub(told.had) as f64);
        let wrong = beyond.map(|told| Wrong {
            kind: "a loss of at least more than there was".to_owned(),
            words: format!("at least {} was told, and it was {} at most", told.bytes, end.saturating_sub(told.had)),
        });
        wrong.collect()
    }

    fn readiness(&self, look: &Look, wrong: &mut Vec<Wrong>) {
        if look.verdict() != "ready" && !look.strictly_ready {
            return;
        }
        let mut say = |kind: &str, words: String| wrong.push(Wrong { kind: format!("ready {kind}"), words });
        for active in &self.active {
            let bound = match active.fault {
                Fault::PostmasterOfStandbyFrozen => RECONNECT,
                Fault::Promoted => active.fault.bound(self.silences, active.alone),
                fault if fault.silences_standby() || fault.silences_primary() => WINDOW,
                _ => continue,
            } + if self.agents > 1 { BETWEEN_AGENTS } else { Duration::ZERO };
            let passed = look.begun.saturating_duration_since(active.since);
            if passed > bound {
                let name = active.fault.name();
                say(&format!("in spite of {name}"), format!("a promotion is told ready {passed:.1?} after {name}"));
            }
        }
        if self.is_active(|fault| fault == Fault::Promoted) {
            return;
        }
        if let Some(least) = self.positions.at_least(look.begun, |s| s.has).filter(|least| *least > RPO_BYTES) {
            say("with a loss", format!("a promotion is told ready, and loses {least} bytes or more"));
        }
        let late = self.positions.behind_for(look.begun, |s| s.has).filter(|time| *time > RPO_AGE + RESOLUTION);
        if let Some(late) = late {
            say("with old losses", format!("a promotion is told ready, and loses what is {late:.1?} old or older"));
        }
    }
}
