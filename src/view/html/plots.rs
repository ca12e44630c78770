//! The last day on the page: a plot of each channel; what changed.

use std::fmt::Write as _;

use super::level;
use super::markup::{Html, table};
use crate::level::Level;
use crate::names::Channel;
use crate::view::history::TransitionDocument;
use crate::view::plots::{PairDay, Plot};
use crate::view::wording::{UNKNOWN, bytes, seconds, words};

const PLOT: &str = include_str!("../assets/plot.html");
/// A step's width, and the height of what stands for a number; under it is the strip of levels.
const STEP: usize = 4;
const HEIGHT: f64 = 28.0;

/// Nothing before anybody has looked.
pub(super) fn day(day: Option<&PairDay>) -> Html {
    let Some(day) = day.filter(|day| !day.plots.is_empty()) else { return Html::default() };
    let plots: Vec<_> = day.plots.iter().map(plot).collect();
    Html::fill("<h3>How it was</h3>\n<div class=\"plots\">\n{{plots}}</div>\n", &[("plots", Html::joined(&plots))])
}

fn plot(plot: &Plot) -> Html {
    let number = number(plot);
    let worst = plot.steps.iter().filter_map(|slot| slot.level).max().unwrap_or(Level::Unknown);
    let span = format!("{} h", plot.span.as_secs() / 3600);
    let label = format!("{}, the last {span}: at worst {worst}; {number}", plot.channel);
    Html::fill(
        PLOT,
        &[
            ("channel", Html::text(plot.channel.as_str())),
            ("number", Html::text(&number)),
            ("label", Html::text(&label)),
            ("width", Html::text(&(plot.steps.len() * STEP).to_string())),
            ("levels", levels(plot)),
            ("line", Html::text(&line(plot))),
            ("span", Html::text(&span)),
        ],
    )
}

/// What the line is, with its worst value.
fn number(plot: &Plot) -> String {
    let known = || plot.numbers().flatten();
    let most = known().reduce(f64::max);
    let worst_of = |what: &str, most: Option<String>| match most {
        Some(most) => format!("{what} up to {most}"),
        None => format!("{what} {UNKNOWN}"),
    };
    match plot.channel {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes; it saturates")]
        Channel::Postgres => worst_of("lag", most.map(|most| bytes(Some(most as u64)))),
        Channel::Config => worst_of("age of the copy", most.map(|most| seconds(Some(most)))),
        Channel::Kvstore => worst_of("round trip", most.map(|most| seconds(Some(most)))),
        Channel::Search => match known().reduce(f64::min) {
            Some(least) => format!("active shards {least:.0} % or more"),
            None => format!("active shards {UNKNOWN}"),
        },
    }
}

/// One rectangle for each run of steps of the same level; a step in which nobody looked stays empty.
fn levels(plot: &Plot) -> Html {
    let all: Vec<_> = plot.steps.iter().map(|slot| slot.level).collect();
    let mut runs: Vec<(Option<Level>, usize, usize)> = Vec::new();
    for (at, level) in all.into_iter().enumerate() {
        match runs.last_mut() {
            Some((same, _, length)) if *same == level => *length += 1,
            _ => runs.push((level, at, 1)),
        }
    }
    let rectangle = |(level, at, length): (Option<Level>, usize, usize)| {
        let size = |steps: usize| Html::text(&(steps * STEP).to_string());
        Some(Html::fill(
            "<rect class=\"{{level}}\" x=\"{{x}}\" y=\"33\" width=\"{{width}}\" height=\"7\"/>\n",
            &[("level", Html::text(level?.as_str())), ("x", size(at)), ("width", size(length))],
        ))
    };
    Html::joined(&runs.into_iter().filter_map(rectangle).collect::<Vec<_>>())
}

/// A line in steps, broken wherever nothing was known: nothing is drawn between two numbers that were.
fn line(plot: &Plot) -> String {
    let top = match plot.channel {
        Channel::Search => 100.0,
        _ => plot.numbers().flatten().fold(0.0, f64::max),
    };
    let mut path = String::new();
    let mut drawing = false;
    for (at, number) in plot.numbers().enumerate() {
        let (left, right) = (at * STEP, (at + 1) * STEP);
        // Writing to a String cannot fail.
        let _ = match number.map(|number| 2.0 + HEIGHT - height(number, top)) {
            Some(y) if drawing => write!(path, "V{y:.1}H{right}"),
            Some(y) => write!(path, "M{left} {y:.1}H{right}"),
            None => Ok(()),
        };
        drawing = number.is_some();
    }
    path
}

fn height(number: f64, top: f64) -> f64 {
    if top > 0.0 { HEIGHT * (number / top).clamp(0.0, 1.0) } else { 0.0 }
}

/// The last changes of a level, those before a restart too.
pub(super) fn changes(day: Option<&PairDay>) -> Html {
    let row = |change: &TransitionDocument| {
        let was = change.was.map_or_else(|| Html::text("the agent's start"), level);
        let reason = change.reason.map_or_else(String::new, |reason| words(reason.as_str()));
        vec![
            Html::text(&change.time),
            Html::text(change.channel.as_str()),
            was,
            level(change.level),
            Html::text(&reason),
        ]
    };
    let rows: Vec<_> = day.iter().flat_map(|day| &day.changes).map(row).collect();
    table("Last changes", &["when", "channel", "from", "to", "reason"], &rows)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::day::Slot;

    fn of(channel: Channel, numbers: &[Option<f64>], levels: &[Option<Level>]) -> Plot {
        let slot = |(number, level): (&Option<f64>, &Option<Level>)| Slot { level: *level, numbers: [*number, None] };
        Plot { channel, span: Duration::from_hours(1), steps: numbers.iter().zip(levels).map(slot).collect() }
    }

    #[test]
    fn the_line_is_broken_where_nothing_is_known_and_never_falls_to_zero_there() {
        let levels = [Some(Level::Ok), Some(Level::Unknown), Some(Level::Unknown), Some(Level::Ok), None];
        let told = of(Channel::Postgres, &[Some(1024.0), None, None, Some(2048.0), None], &levels);
        assert_eq!(line(&told), "M0 16.0H4M12 2.0H16");
        let page = plot(&told).into_string();
        for wanted in [
            "<rect class=\"ok\" x=\"0\" y=\"33\" width=\"4\"",
            "<rect class=\"unknown\" x=\"4\" y=\"33\" width=\"8\"",
            "aria-label=\"postgres, the last 1 h: at worst unknown; lag up to 2 KiB\"",
        ] {
            assert!(page.contains(wanted), "{wanted} in\n{page}");
        }
        assert_eq!(page.matches("<rect").count(), 3, "nobody looked in the last step");
    }

    #[test]
    fn nothing_known_is_said_and_nothing_drawn() {
        let told = of(Channel::Kvstore, &[None, None], &[Some(Level::Unknown); 2]);
        assert_eq!((line(&told), number(&told)), (String::new(), "round trip unknown".to_owned()));
        let zero = of(Channel::Postgres, &[Some(0.0)], &[Some(Level::Ok)]);
        assert_eq!((line(&zero), number(&zero)), ("M0 30.0H4".to_owned(), "lag up to 0 B".to_owned()));
        let shards = of(Channel::Search, &[Some(50.0), Some(100.0)], &[Some(Level::Critical), Some(Level::Ok)]);
        assert_eq!(
            (line(&shards).as_str(), number(&shards).as_str()),
            ("M0 16.0H4V2.0H8", "active shards 50 % or more")
        );
    }
}
