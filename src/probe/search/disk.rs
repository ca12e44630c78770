//! How full an engine's disks are, and where its watermarks lie.
//!
//! A watermark is a share that may be used (`90%`, `0.9`) or an amount that must stay free (`20gb`). Elasticsearch 8 bounds what a
//! share demands by `max_headroom`. With `threshold_enabled: false` the engine heeds none of them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::answers::{Loose, json};
use crate::facts::{Failure, SearchDisk};
use crate::http_client::Response;

/// Where the engine is asked for its watermarks, those that nobody has set included. (A filter takes each dot for a step downwards,
/// and flat names have dots: hence the asterisks.)
pub const WATERMARKS: &str = "/_cluster/settings?include_defaults=true&flat_settings=true\
                              &filter_path=*.cluster*disk*";
/// Where it is asked for the fill of its nodes' disks.
pub const DISKS: &str =
    "/_nodes/stats/fs?filter_path=nodes.*.fs.total.total_in_bytes,nodes.*.fs.total.available_in_bytes";

const PREFIX: &str = "cluster.routing.allocation.disk.";

/// One watermark.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mark {
    /// So much of the disk may be used.
    Used(f64),
    /// So many bytes must stay free.
    Free(f64),
}

/// What the engine heeds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Watermarks {
    high: Option<(Mark, Option<f64>)>,
    flood: Option<(Mark, Option<f64>)>,
}

/// The answer to [`WATERMARKS`].
///
/// # Errors
/// By status and content.
pub fn watermarks(response: &Response) -> Result<Watermarks, Failure> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Settings {
        transient: BTreeMap<String, Loose>,
        persistent: BTreeMap<String, Loose>,
        defaults: BTreeMap<String, Loose>,
    }
    let settings: Settings = json(response)?;
    let get = |name: &str| {
        let key = format!("{PREFIX}{name}");
        [&settings.transient, &settings.persistent, &settings.defaults].into_iter().find_map(|map| map.get(&key))
    };
    // Not told whether it heeds them: then nothing is known of them.
    if !get("threshold_enabled").is_some_and(Loose::is_true) {
        return Ok(Watermarks::default());
    }
    let mark = |name: &str| {
        let headroom = get(&format!("{name}.max_headroom")).and_then(text_of).and_then(|text| bytes(&text));
        Some((mark(&text_of(get(name)?)?)?, headroom))
    };
    Ok(Watermarks { high: mark("watermark.high"), flood: mark("watermark.flood_stage") })
}

/// The answer to [`DISKS`]: the disk that is nearest to the high watermark (without one, the fullest).
///
/// # Errors
/// By status and content.
pub fn fullest(response: &Response, marks: Watermarks) -> Result<Option<SearchDisk>, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        nodes: BTreeMap<String, Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        fs: Option<Fs>,
    }
    #[derive(Deserialize)]
    struct Fs {
        total: Option<Total>,
    }
    #[derive(Deserialize)]
    struct Total {
        total_in_bytes: Option<Loose>,
        available_in_bytes: Option<Loose>,
    }
    let answer: Answer = json(response)?;
    let disk = |node: Node| {
        let total = node.fs?.total?;
        let (size, free) = (total.total_in_bytes?.number()?, total.available_in_bytes?.number()?);
        let share = |mark: Option<(Mark, Option<f64>)>| mark.map(|(mark, headroom)| mark.share_of(size, headroom));
        let used = (1.0 - free / size).clamp(0.0, 1.0);
        (size > 0.0).then(|| SearchDisk { used, high: share(marks.high), flood: share(marks.flood) })
    };
    // One of them not known, and the fullest is not known either.
    let disks: Option<Vec<_>> = answer.nodes.into_values().map(disk).collect();
    let room = |disk: &SearchDisk| disk.high.unwrap_or(1.0) - disk.used;
    Ok(disks.and_then(|disks| disks.into_iter().min_by(|a, b| room(a).total_cmp(&room(b)))))
}

impl Mark {
    /// As a share of a disk of this size that may be used.
    fn share_of(self, size: f64, headroom: Option<f64>) -> f64 {
        let free = match self {
            Self::Free(bytes) => bytes,
            Self::Used(share) => {
                let free = (1.0 - share) * size;
                headroom.map_or(free, |headroom| free.min(headroom))
            }
        };
        (1.0 - free / size).clamp(0.0, 1.0)
    }
}

fn text_of(value: &Loose) -> Option<String> {
    match value {
        Loose::Text(text) => Some(text.clone()),
        Loose::Number(number) => Some(number.to_string()),
        Loose::Other(_) => None,
    }
}

fn mark(text: &str) -> Option<Mark> {
    let text = text.trim();
    if let Some(percent) = text.strip_suffix('%') {
        return percent
            .trim()
            .parse()
            .ok()
            .filter(|share| (0.0..=100.0).contains(share))
            .map(|s: f64| Mark::Used(s / 100.0));
    }
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Some(Mark::Used(share)),
        Ok(_) => None,
        Err(_) => bytes(text).map(Mark::Free),
    }
}

/// `150gb` as the engines write it (powers of 1024). `-1` stands for none.
fn bytes(text: &str) -> Option<f64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let exponent = match text.get(digits.len()..)? {
        "" | "b" => 0,
        "k" | "kb" => 1,
        "m" | "mb" => 2,
        "g" | "gb" => 3,
        "t" | "tb" => 4,
        "p" | "pb" => 5,
        _ => return None,
    };
    let number: f64 = digits.trim().parse().ok()?;
    (number >= 0.0).then(|| number * 1024_f64.powi(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(body: &str) -> Response {
        Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() }
    }

    fn marks(settings: &str) -> Watermarks {
        watermarks(&ok(&format!("{{\"defaults\":{{{settings}}}}}"))).unwrap()
    }

    /// One node with a disk of 1000 bytes.
    fn disk(marks: Watermarks, free: &str) -> Option<SearchDisk> {
        let body = format!(
            r#"{{"nodes":{{"a":{{"fs":{{"total":{{"total_in_bytes":1000,"available_in_bytes":{free}}}}}}}}}}}"#
        );
        fullest(&ok(&body), marks).unwrap()
    }

    const ON: &str = r#""cluster.routing.allocation.disk.threshold_enabled":"true","#;

    #[test]
    fn a_share_an_amount_and_a_bounded_share() {
        let close = |disk: Option<SearchDisk>, used: f64, high: f64| {
            let disk = disk.unwrap();
            assert!((disk.used - used).abs() < 1e-9 && (disk.high.unwrap() - high).abs() < 1e-9, "{disk:?}");
        };
        let high = |value: &str| marks(&format!("{ON}\"cluster.routing.allocation.disk.watermark.high\":\"{value}\""));
        close(disk(high("90%"), "\"50\""), 0.95, 0.9);
        close(disk(high("0.85"), "500"), 0.5, 0.85);
        close(disk(high("200b"), "500"), 0.5, 0.8);
        close(disk(high("20gb"), "500"), 0.5, 0.0);
        let bounded = marks(&format!(
            "{ON}\"cluster.routing.allocation.disk.watermark.high\":\"90%\",\
             \"cluster.routing.allocation.disk.watermark.high.max_headroom\":\"20b\""
        ));
        close(disk(bounded, "500"), 0.5, 0.98);
        let unbounded = marks(&format!(
            "{ON}\"cluster.routing.allocation.disk.watermark.high\":\"90%\",\
             \"cluster.routing.allocation.disk.watermark.high.max_headroom\":\"-1\""
        ));
        close(disk(unbounded, "500"), 0.5, 0.9);
    }

    #[test]
    fn what_is_not_told_or_not_heeded_is_no_watermark() {
        let off = r#""cluster.routing.allocation.disk.threshold_enabled":"false","cluster.routing.allocation.disk.watermark.high":"1%""#;
        assert_eq!(disk(marks(off), "1").unwrap().high, None);
        assert_eq!(disk(marks(""), "1").unwrap().high, None);
        assert_eq!(
            disk(marks(&format!("{ON}\"cluster.routing.allocation.disk.watermark.high\":\"much\"")), "1").unwrap().high,
            None
        );
        assert_eq!(disk(Watermarks::default(), "null"), None);
        assert_eq!(fullest(&ok("{}"), Watermarks::default()), Ok(None));
        assert!(watermarks(&Response { status: 403, ..Response::default() }).is_err());
    }

    #[test]
    fn what_an_operator_has_set_counts_before_the_default() {
        let both = ok(r#"{"transient":{"cluster.routing.allocation.disk.watermark.high":"50%"},
            "persistent":{"cluster.routing.allocation.disk.watermark.high":"60%"},
            "defaults":{"cluster.routing.allocation.disk.threshold_enabled":"true"}}"#);
        assert_eq!(watermarks(&both).unwrap().high, Some((Mark::Used(0.5), None)));
    }
}
