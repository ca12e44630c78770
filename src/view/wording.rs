//! What the page and the terminal say in the same words. Unknown is the word `unknown`, never an empty cell or a zero.

mod findings;

use std::cmp::Reverse;
use std::time::Duration;

use crate::level::Level;
use crate::names::{Channel, PostgresSource, ReplayState};
use crate::units::{Bytes, short_duration};
use crate::view::api::{CatchUp, ChannelDocument, PairDocument, PostgresDocument, StandbyDocument, StatusDocument};

pub use findings::told_findings;

/// What is written where nothing is known.
pub const UNKNOWN: &str = "unknown";

/// A sign for a level, so that it is not told by colour alone.
pub const fn symbol(level: Level) -> &'static str {
    match level {
        Level::Ok => "✓",
        Level::Warning => "!",
        Level::Critical => "✗",
        Level::Unknown => "?",
    }
}

/// A size for people.
pub fn bytes(value: Option<u64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| Bytes(value).to_string())
}

/// A duration for people; under 1 s in milliseconds.
pub fn seconds(value: Option<f64>) -> String {
    let Some(duration) = value.and_then(|value| Duration::try_from_secs_f64(value).ok()) else {
        return UNKNOWN.to_owned();
    };
    match duration.as_secs_f64() {
        0.0 => "0s".to_owned(),
        shorter if shorter < 0.000_1 => "under 0.1ms".to_owned(),
        short if short < 0.01 => format!("{:.1}ms", short * 1e3),
        short if short < 1.0 => format!("{:.0}ms", short * 1e3),
        _ => short_duration(duration),
    }
}

/// How old something is.
pub fn ago(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{} ago", seconds(Some(value))))
}

/// How long before `now` something was, with the time itself; both as RFC 3339.
pub fn at(time: Option<&str>, now: &str) -> String {
    let Some(time) = time else { return "never".to_owned() };
    let parsed = |text: &str| text.parse::<jiff::Timestamp>().ok();
    match parsed(now).zip(parsed(time)).map(|(now, then)| now.duration_since(then).as_secs_f64()) {
        Some(passed) if passed >= 0.0 => format!("{} ({time})", ago(Some(passed))),
        _ => time.to_owned(),
    }
}

/// How old the evidence is that the levels rest on: the oldest, and of what.
pub fn oldest_evidence(status: &StatusDocument) -> String {
    let channels: Vec<_> =
        status.pairs.iter().flat_map(|pair| pair.channels.iter().map(move |one| (pair, one))).collect();
    let aged = channels.iter().filter_map(|(pair, one)| one.age_seconds.map(|age| (age, pair, one.channel)));
    let oldest = aged.max_by(|(one, ..), (other, ..)| one.total_cmp(other)).map(|(age, pair, channel)| {
        let of_pair = if status.pairs.len() > 1 { format!(" of {}", pair.pair) } else { String::new() };
        format!("oldest evidence {} ({channel}{of_pair})", seconds(Some(age)))
    });
    match (oldest, channels.iter().filter(|(_, one)| one.age_seconds.is_none()).count()) {
        (None, _) => "no evidence".to_owned(),
        (Some(oldest), 0) => oldest,
        (Some(oldest), 1) => format!("no evidence of 1 channel; of the others: {oldest}"),
        (Some(oldest), without) => format!("no evidence of {without} channels; of the others: {oldest}"),
    }
}

/// What kind of standby it is.
pub fn kind(standby: &StandbyDocument) -> String {
    let kind = standby.kind.map_or_else(|| UNKNOWN.to_owned(), |kind| kind.to_string());
    let synchronous = if standby.synchronous == Some(true) { ", synchronous" } else { "" };
    let delayed = standby.apply_delay_seconds;
    let delayed = delayed.map_or_else(String::new, |delay| format!(", delayed by {}", seconds(Some(delay))));
    format!("{kind}{synchronous}{delayed}")
}

/// Lag of a standby in time: exact, an upper bound, a lower bound, or unknown.
pub fn lag_time(standby: &StandbyDocument) -> String {
    match (standby.lag_seconds, standby.lag_seconds_at_least) {
        (None, Some(least)) => format!("over {}", seconds(Some(least))),
        (Some(most), Some(_)) => format!("at most {}", seconds(Some(most))),
        (exact, _) => seconds(exact),
    }
}

/// When a standby will have caught up.
pub fn catch_up(value: Option<CatchUp>) -> String {
    match value {
        Some(CatchUp::Seconds(value)) => seconds(Some(value)),
        Some(CatchUp::Never(_)) => "never at this rate".to_owned(),
        None => UNKNOWN.to_owned(),
    }
}

/// The one number of a channel that `/monitor/replication` shows too.
pub fn main_number(pair: &PairDocument, channel: Channel) -> String {
    match channel {
        Channel::Postgres => {
            let postgres = pair.postgres.as_ref();
            let lag = bytes(postgres.and_then(|postgres| postgres.lag_bytes));
            match postgres.filter(|postgres| postgres.source == PostgresSource::StatusPage) {
                None => format!("lag {lag}"),
                Some(page) => match page.unchanged_seconds {
                    Some(same) => format!("lag {lag} by the vendor's page, the same for {}", seconds(Some(same))),
                    None => format!("lag {lag} by the vendor's page"),
                },
            }
        }
        Channel::Config => {
            let age = pair.config.as_ref().and_then(|config| config.age_seconds);
            format!("last good copy {}", ago(age).replace("unknown ago", UNKNOWN))
        }
        Channel::Kvstore => {
            let kvstore = pair.kvstore.as_ref();
            match kvstore.and_then(|kvstore| kvstore.link_up) {
                Some(true) => "the standby's port answers".to_owned(),
                Some(false) => "the standby's port does not answer".to_owned(),
                None => format!("round trip {}", seconds(kvstore.and_then(|kvstore| kvstore.round_trip_seconds))),
            }
        }
        Channel::Search => {
            let percent = pair.search.as_ref().and_then(|search| {
                let primary = search.nodes.iter().find(|node| Some(&node.node) == search.primary.as_ref());
                primary.and_then(|node| node.active_shards_percent)
            });
            format!("active shards {}", percent.map_or_else(|| UNKNOWN.to_owned(), |percent| format!("{percent:.0} %")))
        }
    }
}

/// The whole in one sentence: how many pairs, what the worst is and where.
pub fn headline(status: &StatusDocument) -> String {
    let Some(worst) = worst_first(status).first().copied() else {
        return "No pair is being watched.".to_owned();
    };
    if status.level == Level::Ok {
        return match status.pairs.as_slice() {
            [only] => format!("{}: {}", only.pair, pair_sentence(only)),
            pairs => format!("All {} pairs are ok.", pairs.len()),
        };
    }
    let others = match status.pairs.iter().filter(|pair| pair.level != Level::Ok).count() {
        0 | 1 => String::new(),
        2 => " One more pair is not ok.".to_owned(),
        more => format!(" {} more pairs are not ok.", more - 1),
    };
    format!("{}: {}{others}", worst.pair, pair_sentence(worst))
}

/// The pairs, the worst first, otherwise in the order of the configuration.
pub fn worst_first(status: &StatusDocument) -> Vec<&PairDocument> {
    let mut pairs: Vec<_> = status.pairs.iter().collect();
    pairs.sort_by_key(|pair| Reverse(pair.level));
    pairs
}

/// Which node is the primary, and how sure that is.
pub fn primary(pair: &PairDocument) -> String {
    let roles = &pair.roles;
    match (&roles.primary, roles.proven_seconds_ago) {
        _ if roles.contradicted => "contradicted, two nodes answer as primary".to_owned(),
        (None, _) => UNKNOWN.to_owned(),
        (Some(primary), Some(proven)) if pair.postgres.as_ref().is_some_and(|postgres| !postgres.primary_seen) => {
            format!("{primary} when it was proven last, {}; nobody sees it now", ago(Some(proven)))
        }
        (Some(primary), Some(proven)) => format!("{primary}, proven {}", ago(Some(proven))),
        // Servers prove it; where they do not, and no age is known, it is what was known before.
        (Some(primary), None) if pair.postgres.is_some() && !by_its_vendor(pair) => format!("{primary}, by memory"),
        (Some(primary), None) => format!("{primary}, by configuration"),
    }
}

/// What is wrong with a pair, shortly: its worst channels with their reasons, else its worst finding.
pub fn pair_sentence(pair: &PairDocument) -> String {
    if pair.level == Level::Ok {
        // What its configuration cannot prove does not count in the pair's level, but it is not called proven.
        return match phrase(pair, |channel| channel.level != Level::Ok) {
            None if by_its_vendor(pair) => {
                "every channel is ok now, postgres by the word of its vendor's page, which proves nothing here."
                    .to_owned()
            }
            None => "every channel is proven ok now.".to_owned(),
            Some((unproven, verb)) => {
                format!("every other channel is proven ok now; {unproven} {verb} not.")
            }
        };
    }
    let worst = phrase(pair, |channel| channel.level == pair.level);
    let finding = || pair.findings.iter().max_by_key(|finding| finding.severity).map(|finding| finding.summary.clone());
    match worst {
        Some((channels, verb)) => match findings::cause(pair) {
            Some(cause) => format!("{channels} {verb} {}. {cause}", pair.level),
            None => format!("{channels} {verb} {}.", pair.level),
        },
        None => finding().unwrap_or_else(|| format!("the pair is {}.", pair.level)),
    }
}

/// The standbys as people are told them: without the node that was the primary when that was proven last and of which nothing is known
/// now, since what it is nobody can say.
pub fn told_standbys<'a>(pair: &PairDocument, postgres: &'a PostgresDocument) -> Vec<&'a StandbyDocument> {
    let was_primary = |standby: &&StandbyDocument| {
        pair.roles.primary.as_ref() == Some(&standby.node) && standby.kind.is_none() && standby.replay_state.is_none()
    };
    postgres.standbys.iter().filter(|standby| !was_primary(standby)).collect()
}

/// What a standby's replay does. Of one that has replayed all that it received, nobody says that it has all of the primary's.
pub fn replay(standby: &StandbyDocument) -> String {
    match standby.replay_state {
        None => UNKNOWN.to_owned(),
        Some(ReplayState::CaughtUp) => "nothing to replay".to_owned(),
        Some(state) => words(state.as_str()),
    }
}

/// PostgreSQL's number is what a vendor's page says.
fn by_its_vendor(pair: &PairDocument) -> bool {
    pair.postgres.as_ref().is_some_and(|postgres| postgres.source == PostgresSource::StatusPage)
}

/// The channels that are so, as a list for a sentence, with the verb that goes with it.
fn phrase(pair: &PairDocument, is_so: impl Fn(&ChannelDocument) -> bool) -> Option<(String, &'static str)> {
    let phrases: Vec<_> = pair.channels.iter().filter(|channel| is_so(channel)).map(channel_phrase).collect();
    let (last, before) = phrases.split_last()?;
    Some(match before {
        [] => (last.clone(), "is"),
        before => (format!("{} and {last}", before.join(", ")), "are"),
    })
}

fn channel_phrase(channel: &ChannelDocument) -> String {
    match channel.reason {
        Some(reason) => format!("{} ({})", channel.channel, words(reason.as_str())),
        None => channel.channel.to_string(),
    }
}

/// A remedy that reads `1. … 2. …`, one step a line. A step begins where the one before has ended as a sentence.
pub fn steps(remedy: &str) -> String {
    let mut lines = remedy.to_owned();
    for number in 2_u32.. {
        let mark = format!(" {number}. ");
        let ends_a_sentence = |at: &usize| lines[..*at].ends_with(['.', '?', '!', ')', ':', ';', '`']);
        let Some(at) = lines.match_indices(&mark).map(|(at, _)| at).find(ends_a_sentence) else { break };
        lines.replace_range(at..=at, "\n");
    }
    lines
}

/// A word of a closed list as people write it.
pub fn words(closed: &str) -> String {
    closed.replace('_', " ")
}

/// A PostgreSQL version number (`150013`) as people write it (`15.13`).
pub fn postgres_version(number: u32, untested: Option<bool>) -> String {
    let version = format!("{}.{}", number / 10_000, number % 10_000);
    if untested == Some(true) { format!("{version} (untested version)") } else { version }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture;

    #[test]
    fn the_headline_names_the_worst() {
        let (ok, warned, unknown) = (fixture::ok(), fixture::warned(), fixture::unknown());
        let headline_of = |views: &[&crate::snapshot::View]| {
            let views = views.iter().map(|view| (*view, true));
            headline(&StatusDocument::new(views, fixture::now(), fixture::wall()))
        };
        assert_eq!(headline_of(&[&ok]), "catalog: every channel is proven ok now.");
        assert_eq!(headline_of(&[&ok, &ok]), "All 2 pairs are ok.");
        assert_eq!(headline_of(&[&ok, &warned]), "orders <eu> & \"more\": postgres (paused) is critical.");
        assert_eq!(
            headline_of(&[&warned, &unknown]),
            "far-away: postgres (timeout), config (timeout), kvstore (timeout) and search (timeout) are unknown. \
             One more pair is not ok."
        );
        assert_eq!(headline_of(&[]), "No pair is being watched.");
    }

    #[test]
    fn a_primary_that_nobody_sees_is_no_primary_and_no_standby() {
        let mut pair = PairDocument::new(&fixture::ok(), true, fixture::now());
        assert!(primary(&pair).starts_with("alpha, proven "), "{}", primary(&pair));
        let mut postgres = pair.postgres.take().expect("the channel is there");
        let was = StandbyDocument {
            node: crate::names::Name::new("alpha"),
            kind: None,
            replay_state: None,
            ..postgres.standbys[0].clone()
        };
        postgres.standbys.insert(0, was);
        postgres.primary_seen = false;
        let told: Vec<_> = told_standbys(&pair, &postgres).iter().map(|standby| standby.node.to_string()).collect();
        assert_eq!(told, ["beta"]);
        postgres.standbys[0].replay_state = Some(ReplayState::Paused);
        assert_eq!(told_standbys(&pair, &postgres).len(), 2, "it came back as a standby");
        pair.postgres = Some(postgres);
        assert!(primary(&pair).starts_with("alpha when it was proven last, "), "{}", primary(&pair));
        assert!(primary(&pair).ends_with("nobody sees it now"), "{}", primary(&pair));
    }

    #[test]
    fn what_cannot_be_proven_is_not_called_proven() {
        let mut view = fixture::ok();
        view.channels[2].level = Level::Unknown;
        view.channels[2].reason = Some(crate::names::Reason::NotObservable);
        assert_eq!(
            pair_sentence(&PairDocument::new(&view, true, fixture::now())),
            "every other channel is proven ok now; kvstore (not observable) is not."
        );
    }

    #[test]
    fn a_pair_whose_channels_are_ok_is_explained_by_its_findings() {
        let mut view = fixture::ok();
        view.level = Level::Warning;
        let explained = |view: &crate::snapshot::View| pair_sentence(&PairDocument::new(view, true, fixture::now()));
        assert_eq!(explained(&view), "the pair is warning.");
        view.findings = fixture::warned().findings;
        assert_eq!(explained(&view), "Replay on the standby is paused.");
    }

    #[test]
    fn steps_stand_one_a_line() {
        assert_eq!(steps("1. Look at port 2. of it. 2. Act."), "1. Look at port 2. of it.\n2. Act.");
        assert_eq!(steps("Do nothing."), "Do nothing.");
    }

    #[test]
    fn the_oldest_evidence_is_told_and_that_some_is_missing() {
        let (ok, unknown) = (fixture::ok(), fixture::unknown());
        let told = |views: &[&crate::snapshot::View]| {
            let views = views.iter().map(|view| (*view, true));
            oldest_evidence(&StatusDocument::new(views, fixture::now(), fixture::wall()))
        };
        assert_eq!(told(&[&ok]), "oldest evidence 3.0s (search)");
        assert_eq!(
            told(&[&ok, &unknown]),
            "no evidence of 4 channels; of the others: oldest evidence 3.0s (search of catalog)"
        );
        assert_eq!(told(&[&unknown]), "no evidence");
        assert_eq!(told(&[]), "no evidence");
    }

    #[test]
    fn a_time_is_told_with_its_age() {
        let now = "2026-03-01T03:00:10Z";
        assert_eq!(at(Some("2026-03-01T02:58:00Z"), now), "2m 10s ago (2026-03-01T02:58:00Z)");
        // A clock that was set back in between tells no age.
        assert_eq!(at(Some("2026-03-01T03:00:11Z"), now), "2026-03-01T03:00:11Z");
        assert_eq!(at(None, now), "never");
    }

    #[test]
    fn not_known_is_a_word() {
        assert_eq!([bytes(None), seconds(None), ago(None), catch_up(None)], ["unknown"; 4]);
        assert_eq!(seconds(Some(f64::NAN)), "unknown");
        assert_eq!(seconds(Some(f64::INFINITY)), "unknown");
        assert_eq!([seconds(Some(0.0)), seconds(Some(0.000_02))], ["0s", "under 0.1ms"]);
        assert_eq!([seconds(Some(0.0018)), seconds(Some(0.25)), seconds(Some(75.0))], ["1.8ms", "250ms", "1m 15s"]);
    }
}
