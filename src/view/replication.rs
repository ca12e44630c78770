//! `/monitor/replication`: compatible with the one documented key of the pages that people already read.
//!
//! A number, or the word `"unknown"`; a channel that is not configured has no key.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::clock::Moment;
use crate::evidence::SearchEvidence;
use crate::level::Level;
use crate::names::{Channel, Name, PostgresSource, Reason};
use crate::snapshot::View;
use crate::view::document::{age, config_age, seconds};

/// The page's JSON for one or more pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replication {
    #[serde(flatten)]
    worst: Numbers,
    /// Only with several pairs.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pairs: Vec<(Name, Numbers)>,
}

impl Replication {
    /// What is shown of these pairs at `now`.
    pub fn new(views: &[&View], now: Moment) -> Self {
        let each: Vec<_> = views.iter().map(|view| (view.pair.clone(), Numbers::new(view, now))).collect();
        let worst = each.iter().map(|(_, numbers)| numbers.clone()).reduce(Numbers::worse);
        // a default is right: it says unknown.
        Self { worst: worst.unwrap_or_default(), pairs: if each.len() > 1 { each } else { Vec::new() } }
    }

    /// The worst level.
    pub const fn level(&self) -> Level {
        self.worst.status
    }

    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        // Maps with text keys and finite numbers: nothing here can fail to serialize.
        match serde_json::to_string(self) {
            Ok(json) => json + "\n",
            Err(_) => "{\"status\":\"unknown\"}\n".to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Numbers {
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres_lag_bytes: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_sync_age_seconds: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kvstore_round_trip_seconds: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_active_shards_percent: Option<Shown>,
    status: Level,
    #[serde(serialize_with = "as_map")]
    channels: Vec<(Channel, ChannelStatus)>,
}

impl Default for Numbers {
    /// Of nothing, nothing is known.
    fn default() -> Self {
        Self {
            postgres_lag_bytes: None,
            config_sync_age_seconds: None,
            kvstore_round_trip_seconds: None,
            search_active_shards_percent: None,
            status: Level::Unknown,
            channels: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct ChannelStatus {
    status: Level,
    reason: Option<Reason>,
    age_seconds: Option<f64>,
    /// Only of PostgreSQL, and only where a vendor's page stands for the servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<PostgresSource>,
}

/// A number or the word.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Whole(u64),
    Fraction(f64),
    Unknown,
}

impl Shown {
    fn whole(value: Option<u64>) -> Self {
        value.map_or(Self::Unknown, Self::Whole)
    }

    fn fraction(value: Option<f64>) -> Self {
        value.filter(|value| value.is_finite()).map_or(Self::Unknown, Self::Fraction)
    }

    #[allow(clippy::cast_precision_loss, reason = "only compared")]
    const fn number(self) -> Option<f64> {
        match self {
            Self::Whole(value) => Some(value as f64),
            Self::Fraction(value) => Some(value),
            Self::Unknown => None,
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(value) => serializer.serialize_u64(*value),
            Self::Fraction(value) => serializer.serialize_f64(*value),
            Self::Unknown => serializer.serialize_str("unknown"),
        }
    }
}

impl Numbers {
    fn new(view: &View, now: Moment) -> Self {
        let evidence = &view.evidence;
        let percent = |search: &SearchEvidence| {
            let primary = search.nodes.iter().find(|node| Some(&node.node) == search.primary.as_ref());
            primary.and_then(|node| node.active_shards_percent)
        };
        let channels = view.channels.iter().map(|channel| {
            let source = evidence.postgres.as_ref().map(|postgres| postgres.source);
            let status = ChannelStatus {
                status: channel.level,
                reason: channel.reason,
                age_seconds: age(channel.as_of, now),
                source: source
                    .filter(|source| channel.channel == Channel::Postgres && *source == PostgresSource::StatusPage),
            };
            (channel.channel, status)
        });
        // What is configured is what has a view; evidence that is missing altogether is unknown too.
        let shown = |channel, number: Shown| view.channel(channel).map(|_| number);
        let lag = evidence.postgres.as_ref().and_then(|postgres| postgres.lag).map(|lag| lag.0);
        let age = evidence.config.as_ref().and_then(|config| config_age(config, now));
        let round_trip = evidence.kvstore.as_ref().and_then(|kvstore| kvstore.round_trip).map(seconds);
        let percent = evidence.search.as_ref().and_then(percent);
        Self {
            postgres_lag_bytes: shown(Channel::Postgres, Shown::whole(lag)),
            config_sync_age_seconds: shown(Channel::Config, Shown::fraction(age)),
            kvstore_round_trip_seconds: shown(Channel::Kvstore, Shown::fraction(round_trip)),
            search_active_shards_percent: shown(Channel::Search, Shown::fraction(percent)),
            status: view.level,
            channels: channels.collect(),
        }
    }

    /// The worse of two pairs, number by number: `unknown` if either is.
    fn worse(self, other: Self) -> Self {
        Self {
            postgres_lag_bytes: worse_number(self.postgres_lag_bytes, other.postgres_lag_bytes, f64::gt),
            config_sync_age_seconds: worse_number(self.config_sync_age_seconds, other.config_sync_age_seconds, f64::gt),
            kvstore_round_trip_seconds: worse_number(
                self.kvstore_round_trip_seconds,
                other.kvstore_round_trip_seconds,
                f64::gt,
            ),
            search_active_shards_percent: worse_number(
                self.search_active_shards_percent,
                other.search_active_shards_percent,
                f64::lt,
            ),
            status: self.status.max(other.status),
            channels: worse_channels(self.channels, &other.channels),
        }
    }
}

fn worse_number(one: Option<Shown>, other: Option<Shown>, worse: fn(&f64, &f64) -> bool) -> Option<Shown> {
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (only, None) | (None, only) => return only,
    };
    Some(match (one.number(), other.number()) {
        (Some(a), Some(b)) if worse(&b, &a) => other,
        (Some(_), Some(_)) => one,
        _ => Shown::Unknown,
    })
}

fn worse_channels(
    one: Vec<(Channel, ChannelStatus)>,
    other: &[(Channel, ChannelStatus)],
) -> Vec<(Channel, ChannelStatus)> {
    let find = |list: &[(Channel, ChannelStatus)], wanted: Channel| {
        list.iter().find(|(channel, _)| *channel == wanted).map(|(_, status)| *status)
    };
    let worse = |channel: &Channel| match (find(&one, *channel), find(other, *channel)) {
        (Some(one), Some(other)) => {
            let worse = if other.status > one.status { other } else { one };
            // One pair's number that is not proven makes the whole one that is not.
            Some((*channel, ChannelStatus { source: one.source.or(other.source), ..worse }))
        }
        (Some(status), _) | (None, Some(status)) => Some((*channel, status)),
        (None, None) => None,
    };
    Channel::ALL.iter().filter_map(worse).collect()
}

fn as_map<K: Serialize, V: Serialize, S: Serializer>(entries: &[(K, V)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(entries.len()))?;
    for (key, value) in entries {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture;

    fn json(views: &[&View]) -> String {
        Replication::new(views, fixture::now()).to_json()
    }

    #[test]
    fn one_pair_is_a_flat_object() {
        insta::assert_snapshot!(json(&[&fixture::ok()]));
    }

    #[test]
    fn several_pairs_show_the_worst_at_the_root() {
        insta::assert_snapshot!(json(&[&fixture::ok(), &fixture::warned()]));
        insta::assert_snapshot!(json(&[&fixture::ok(), &fixture::warned(), &fixture::unknown()]));
    }

    #[test]
    fn no_channel_no_key_and_nothing_watched_is_unknown() {
        let mut view = fixture::ok();
        view.evidence.kvstore = None;
        view.channels.retain(|channel| channel.channel != Channel::Kvstore);
        assert!(!json(&[&view]).contains("kvstore"));
        view.evidence.search = None;
        assert!(
            json(&[&view]).contains("\"search_active_shards_percent\":\"unknown\""),
            "configured, without evidence"
        );
        assert_eq!(json(&[]), "{\"status\":\"unknown\",\"channels\":{}}\n");
    }

    #[test]
    fn the_age_of_the_configuration_goes_on_between_readings() {
        let view = fixture::ok();
        let later = fixture::now() + std::time::Duration::from_secs(10);
        let number = |now| match Replication::new(&[&view], now).worst.config_sync_age_seconds {
            Some(Shown::Fraction(age)) => age,
            other => panic!("{other:?}"),
        };
        assert!((number(later) - number(fixture::now()) - 10.0).abs() < 1e-9);
    }
}
