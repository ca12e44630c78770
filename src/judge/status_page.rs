//! PostgreSQL's replication by a vendor's own word: up while its page tells a number, unknown whenever it does not.
//!
//! Nothing of it is proven here. Neither the servers' roles nor a heartbeat between them can be seen, and a page that goes on
//! telling one number for hours looks the same whether the pair is idle or whatever makes the page is dead. So the evidence is
//! marked with its source everywhere, and tells for how long the number has been the same.

use crate::clock::Moment;
use crate::config::{PostgresChannel, StatusPage};
use crate::evidence::{PostgresEvidence, Verdict};
use crate::facts::{Latest, StatusPageFacts};
use crate::history::postgres::GROWING_HELD;
use crate::history::status_page::StatusPageHistory;
use crate::judge::postgres::is_large_and_growing;
use crate::names::{PostgresSource, Reason};
use crate::units::{Bytes, short_duration};

/// The channel's evidence at `now`, and the next moment at which it changes without a new answer.
pub fn evidence(
    channel: &PostgresChannel,
    page: &StatusPage,
    latest: &Latest<StatusPageFacts>,
    history: &StatusPageHistory,
    now: Moment,
) -> (PostgresEvidence, Option<Moment>) {
    let told = told(channel, page, latest, now);
    let lag = told.as_ref().ok().map(|(lag, _)| *lag);
    let (growing, held_until) = growing(channel, history, lag, now);
    let same = history.same.filter(|(same, _)| lag == Some(*same));
    let changes = [told.as_ref().ok().map(|(_, as_of)| *as_of + channel.schedule.stale_after), held_until];
    let evidence = PostgresEvidence {
        source: PostgresSource::StatusPage,
        verdict: match told {
            Ok((_, as_of)) => Verdict::proven(as_of),
            Err((reason, detail, as_of)) => Verdict::unproven(reason, detail, as_of),
        },
        unchanged_for: same.map(|(_, since)| now.since(since)),
        growing,
        // A page tells nothing of a first copy that might excuse a growing lag: the rule that needs this must not stay mute.
        established: true,
        lag,
        lag_undelayed: lag,
        ..PostgresEvidence::nothing_of(PostgresSource::StatusPage)
    };
    (evidence, changes.into_iter().flatten().filter(|change| *change > now).min())
}

type Told = Result<(Bytes, Moment), (Reason, String, Option<Moment>)>;

/// The number, and the moment that its age counts from: when the page says that it was made, if that is earlier than our asking.
fn told(channel: &PostgresChannel, page: &StatusPage, latest: &Latest<StatusPageFacts>, now: Moment) -> Told {
    let shown = &page.shown;
    let (facts, asked) = latest.fresh(now, channel.schedule.stale_after).map_err(|reason| {
        let detail = match (latest.failure(), reason) {
            (Some(failure), _) => failure.message.clone(),
            (None, Reason::NotSeenYet) => format!("{shown} has not been asked yet"),
            (None, _) => format!("{shown} has not answered lately"),
        };
        (reason, detail, None)
    })?;
    let as_of = facts.age.map_or(asked, |age| asked.back(age));
    let Some(lag) = facts.lag else {
        let detail = format!(
            "{shown} says \"unknown\": by the vendor's own word replication is not running; look at the standby there"
        );
        return Err((Reason::ReportedUnknown, detail, Some(as_of)));
    };
    let age = now.since(as_of);
    if age >= channel.schedule.stale_after {
        let detail = format!(
            "{shown} answers with what is {} old by its own head (Age, Last-Modified): ask past the cache, or give \
             stale_after the time in which the vendor renews it",
            short_duration(age)
        );
        return Err((Reason::Stale, detail, Some(as_of)));
    }
    Ok((lag, as_of))
}

/// Large and growing, by the newest number; without one, by the last for at most a minute.
fn growing(
    channel: &PostgresChannel,
    history: &StatusPageHistory,
    lag: Option<Bytes>,
    now: Moment,
) -> (bool, Option<Moment>) {
    match (lag, history.growing) {
        (Some(lag), _) => (is_large_and_growing(channel, Some(lag), history.trend.slope(now)), None),
        (None, Some((verdict, told))) if now.since(told) < GROWING_HELD => (verdict, Some(told + GROWING_HELD)),
        (None, _) => (false, None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::Environment;
    use crate::facts::{Failure, Reading};
    use crate::names::FailureKind;

    const CONFIG: &str = "pairs:
  - name: catalog
    nodes: { alpha: {}, beta: {} }
    postgres: { status_url: 'https://vendor/monitor/replication?token=hunter2', trend_window: 60s }
";

    fn at(seconds: f64) -> Moment {
        Moment::after_boot(Duration::from_secs(10_000) + Duration::from_secs_f64(seconds))
    }

    /// A page being watched: answers go in at moments, evidence comes out.
    struct Watch {
        channel: PostgresChannel,
        history: StatusPageHistory,
        latest: Latest<StatusPageFacts>,
    }

    impl Watch {
        fn new() -> Self {
            let config = crate::config::parse(CONFIG, "test", &Environment::default()).unwrap();
            let channel = config.pairs[0].postgres.clone().unwrap();
            let history = StatusPageHistory::new(channel.trend_window);
            Self { channel, history, latest: Latest::NeverAsked }
        }

        fn says(&mut self, seconds: f64, result: Result<StatusPageFacts, Failure>) -> PostgresEvidence {
            let reading = Reading { asked: at(seconds), answered: at(seconds + 0.01), result };
            self.history.record(&reading);
            self.latest = Latest::Have(Arc::new(reading));
            self.look(seconds + 0.02)
        }

        fn look(&mut self, seconds: f64) -> PostgresEvidence {
            let page = self.channel.status_page.clone().unwrap();
            let (evidence, next) = evidence(&self.channel, &page, &self.latest, &self.history, at(seconds));
            assert!(next.is_none_or(|next| next > at(seconds)));
            assert!(evidence.lag.is_none() || evidence.verdict.up, "a number without a word that it runs");
            assert_eq!(evidence.source, PostgresSource::StatusPage);
            let detail = format!("{:?}", evidence.verdict.detail);
            assert!(!detail.contains("hunter2"), "{detail}");
            self.history.note(&evidence, at(seconds));
            evidence
        }
    }

    fn number(lag: u64) -> Result<StatusPageFacts, Failure> {
        Ok(StatusPageFacts { lag: Some(Bytes(lag)), age: None })
    }

    fn aged(seconds: u64) -> Result<StatusPageFacts, Failure> {
        Ok(StatusPageFacts { lag: Some(Bytes(0)), age: Some(Duration::from_secs(seconds)) })
    }

    fn told(evidence: &PostgresEvidence) -> (bool, Option<Reason>, Option<u64>) {
        (evidence.verdict.up, evidence.verdict.reason, evidence.lag.map(|lag| lag.0))
    }

    #[test]
    fn a_number_is_up_and_all_else_is_unknown_at_once() {
        let mut watch = Watch::new();
        assert_eq!(told(&watch.look(0.0)), (false, Some(Reason::NotSeenYet), None));
        assert_eq!(told(&watch.says(1.0, number(4096))), (true, None, Some(4096)));
        let unknown = Ok(StatusPageFacts::default());
        assert_eq!(told(&watch.says(2.0, unknown)), (false, Some(Reason::ReportedUnknown), None));
        assert_eq!(told(&watch.says(3.0, number(0))), (true, None, Some(0)));
        let gone = Err(Failure::new(FailureKind::Refused, "connecting to vendor"));
        let evidence = watch.says(4.0, gone);
        assert_eq!(told(&evidence), (false, Some(Reason::Refused), None));
        assert_eq!(evidence.verdict.detail.as_deref(), Some("connecting to vendor"));
        assert_eq!(told(&watch.says(5.0, number(7))), (true, None, Some(7)));
        assert_eq!(told(&watch.look(10.9)), (true, None, Some(7)));
        assert_eq!(told(&watch.look(11.0)), (false, Some(Reason::Stale), None), "6 s after it was asked");
    }

    #[test]
    fn what_a_page_cannot_tell_is_not_told() {
        let mut watch = Watch::new();
        let evidence = watch.says(1.0, number(5));
        assert_eq!((evidence.primary, evidence.primary_seen), (None, false));
        assert!(evidence.nodes.is_empty() && evidence.standbys.is_empty());
        assert_eq!((evidence.lag_seconds, evidence.wal_rate, evidence.commits_blocked), (None, None, None));
    }

    #[test]
    fn an_answer_that_was_made_long_ago_is_stale_however_fast_it_comes() {
        let mut watch = Watch::new();
        assert_eq!(told(&watch.says(1.0, aged(2))), (true, None, Some(0)));
        assert_eq!(told(&watch.look(4.9)), (true, None, Some(0)));
        assert_eq!(told(&watch.look(5.0)), (false, Some(Reason::Stale), None), "2 s of its age had passed before");
        let evidence = watch.says(6.0, aged(3600));
        assert_eq!(told(&evidence), (false, Some(Reason::Stale), None));
        assert!(evidence.verdict.detail.unwrap().contains("Last-Modified"));
    }

    #[test]
    fn for_how_long_the_number_is_the_same_is_told_while_it_is_told() {
        let mut watch = Watch::new();
        watch.says(1.0, number(64));
        for second in 2..100 {
            watch.says(f64::from(second), number(64));
        }
        assert_eq!(watch.look(99.5).unchanged_for.map(|time| time.as_secs()), Some(98));
        assert_eq!(watch.says(100.0, number(65)).unchanged_for.map(|time| time.as_secs()), Some(0));
        assert_eq!(watch.says(101.0, Ok(StatusPageFacts::default())).unchanged_for, None);
    }

    #[test]
    fn a_large_number_that_rises_is_growing_and_outlives_a_silence_by_a_minute() {
        let mut watch = Watch::new();
        let mut last = false;
        for second in 0..90_u32 {
            let evidence = watch.says(f64::from(second), number((100 << 20) + u64::from(second) * (1 << 20)));
            last = evidence.growing;
            assert!(evidence.established, "nothing may mute the rule of a growing lag");
        }
        assert!(last);
        let gone = || Err(Failure::new(FailureKind::Timeout, "gone"));
        assert!(watch.says(91.0, gone()).growing);
        assert!(watch.look(148.0).growing);
        assert!(!watch.look(150.0).growing);
    }
}
