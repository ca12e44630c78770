//! The tables, as Markdown that reads well as plain text.

use std::fmt::Write as _;
use std::time::Duration;

use super::backends::SessionCost;
use super::course::{Measured, PACES};
use super::phase::Cost;
use super::scraper::Timings;
use super::table::{as_f64, mib, millis, percent, ratio, seconds, section};

const HEAD: &str = "\
# How fast, how small

Measured by `make bench` on a pair of real servers under a light load: the agent as an observer of all its channels, at default
intervals (PostgreSQL each second, the others each 5 s), beside the exporters that are usually there. No figure is a limit.
";

/// The whole report.
pub(super) fn text(measured: &Measured) -> String {
    let mut text = format!("{HEAD}\nMachine: {}.\n", measured.machine.line());
    let _ = writeln!(text, "Its load at the end, over 1, 5 and 15 minutes: {}.", measured.load);
    if let Some(reason) = &measured.without_search {
        let _ = writeln!(text, "\nThe search channel is left out: {reason}.");
    }
    text.push_str(&agent(measured));
    text.push_str(&scrapes(measured));
    text.push_str(&sessions(&measured.sessions));
    text.push_str(&black_hole(measured));
    for (pace, costs) in PACES.iter().zip(&measured.phases) {
        text.push_str(&beside(*pace, measured.minutes / 2.0, costs));
    }
    text
}

fn agent(measured: &Measured) -> String {
    let [start, after, end] = measured.agent.map(|usage| usage);
    let drift = |cost: &Cost| match (cost.resident.first(), cost.resident.last()) {
        (Some(first), Some(last)) => format!("{:+} KiB", last.cast_signed() - first.cast_signed()),
        _ => "not measured".to_owned(),
    };
    let mut rows = vec![
        ["resident memory when all channels were ok".to_owned(), mib(start.resident)],
        [format!("resident memory after {} minutes", measured.minutes), mib(after.resident)],
        ["resident memory at most, up to the end of the bench".to_owned(), mib(end.peak)],
    ];
    for (pace, costs) in PACES.iter().zip(&measured.phases) {
        let Some(own) = costs.first() else { continue };
        let pace = pace.as_secs();
        rows.push([format!("change of resident memory in the phase scraped each {pace} s"), drift(own)]);
        rows.push([format!("processor in the phase scraped each {pace} s"), percent(own.processor)]);
    }
    section("The agent", ["what", "figure"], &rows)
}

fn scrapes(measured: &Measured) -> String {
    let names = [
        "/metrics, one connection",
        "/metrics, a connection each",
        "/-/healthy, one connection (the bare way there and back)",
    ];
    let rows: Vec<_> = names
        .iter()
        .zip(&measured.scrapes)
        .map(|(name, timings)| {
            [
                (*name).to_owned(),
                timings.count().to_string(),
                millis(timings, 0.5),
                millis(timings, 0.99),
                millis(timings, 1.0),
            ]
        })
        .collect();
    let title = "Scrapes, one after the other, seen by the client";
    section(title, ["what", "how many", "half within", "99 % within", "slowest"], &rows)
}

fn sessions(costs: &[SessionCost; 2]) -> String {
    let [own, _] = costs;
    let seconds = |took: Duration| took.as_secs_f64();
    let row = |cost: &SessionCost| {
        [
            cost.name.to_owned(),
            cost.looks.to_string(),
            cost.each().map_or_else(|| "not measured".to_owned(), |each| format!("{:.3} ms", seconds(each) * 1000.0)),
            ratio(cost.each().map(seconds), own.each().map(seconds)),
        ]
    };
    let title = "What it costs the primary: processor time of the sessions held there, each second a look and a scrape";
    section(
        title,
        ["sessions of", "looks or scrapes", "processor for each", "times the agent's"],
        &costs.each_ref().map(row),
    )
}

fn black_hole(measured: &Measured) -> String {
    let [(before, calm), (during, disturbed)] = &measured.cadences;
    let gaps = |gaps: &Timings| match (gaps.quantile(0.5), gaps.quantile(1.0)) {
        (Some(half), Some(longest)) => format!("{} / {}", seconds(half), seconds(longest)),
        _ => "none".to_owned(),
    };
    let mut rows: Vec<_> = before
        .iter()
        .map(|((channel, node), cadence)| {
            let later = during.get(&(channel.clone(), node.clone()));
            let later = later.map_or_else(|| "none".to_owned(), |later| gaps(&later.gaps));
            [format!("{channel} of {node}"), gaps(&cadence.gaps), later]
        })
        .collect();
    rows.push(["scrape, 99 % within".to_owned(), millis(calm, 0.99), millis(disturbed, 0.99)]);
    let title =
        "The standby's PostgreSQL (beta) in a black hole: time from one success to the next, half within / longest";
    section(title, ["probe", "before", "meanwhile"], &rows)
}

fn beside(pace: Duration, minutes: f64, costs: &[Cost]) -> String {
    let Some((own, others)) = costs.split_first() else { return String::new() };
    let row = |cost: &Cost| {
        let resident = cost.resident_at_end();
        [
            cost.name.clone(),
            percent(cost.processor),
            resident.map_or_else(|| "not measured".to_owned(), mib),
            ratio(Some(cost.processor), Some(own.processor)),
            ratio(resident.map(as_f64), own.resident_at_end().map(as_f64)),
            millis(&cost.scrapes, 0.5),
            millis(&cost.scrapes, 0.99),
        ]
    };
    let mut rows: Vec<_> = costs.iter().map(row).collect();
    rows.push(total("all exporters", own, others.iter()));
    let once = |cost: &&Cost| !cost.name.contains("(standby)");
    rows.push(total("one exporter of each kind", own, others.iter().filter(once)));
    let title = format!("Beside the exporters, everything scraped each {} s, for {minutes} minutes", pace.as_secs());
    let head = [
        "program",
        "processor",
        "memory",
        "processor, times the agent's",
        "memory, times the agent's",
        "scrape, half within",
        "99 % within",
    ];
    section(&title, head, &rows)
}

fn total<'a>(name: &str, own: &Cost, others: impl Iterator<Item = &'a Cost> + Clone) -> [String; 7] {
    let processor: f64 = others.clone().map(|cost| cost.processor).sum();
    let resident: Option<u64> = others.map(Cost::resident_at_end).sum();
    [
        name.to_owned(),
        percent(processor),
        resident.map_or_else(|| "not measured".to_owned(), mib),
        ratio(Some(processor), Some(own.processor)),
        ratio(resident.map(as_f64), own.resident_at_end().map(as_f64)),
        String::new(),
        String::new(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(name: &str, processor: f64, resident: u64) -> Cost {
        let mut scrapes = Timings::default();
        scrapes.push(Duration::from_micros(500));
        Cost { name: name.to_owned(), processor, resident: vec![1, resident], scrapes }
    }

    #[test]
    fn exporters_are_summed_and_divided_by_the_agent() {
        let costs = [cost("own", 0.01, 10_240), cost("a (primary)", 0.02, 20_480), cost("a (standby)", 0.01, 10_240)];
        let text = beside(Duration::from_secs(1), 5.0, &costs);
        let cells = |name: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.contains(name));
            line.into_iter().flat_map(|line| line.split('|')).map(|cell| cell.trim().to_owned()).collect()
        };
        assert_eq!(cells("all exporters")[2..6], ["3.00 % of a core", "30.0 MiB", "3.0", "3.0"]);
        assert_eq!(cells("one exporter of each")[2..6], ["2.00 % of a core", "20.0 MiB", "2.0", "2.0"]);
        assert_eq!(cells("own")[4..8], ["1.0", "1.0", "0.500 ms", "0.500 ms"]);
    }

    #[test]
    fn what_one_look_costs_the_primary_is_compared_with_one_scrape() {
        let cost = |name, looks, used| SessionCost { name, looks, used };
        let used = |millis| Some(Duration::from_millis(millis));
        let text = sessions(&[cost("own", 300, used(60)), cost("other", 100, used(200))]);
        assert!(text.contains("| own         | 300              | 0.200 ms           | 1.0               |"), "{text}");
        assert!(text.contains("| other       | 100              | 2.000 ms           | 10.0              |"), "{text}");
        let text = sessions(&[cost("own", 300, None), cost("other", 100, used(200))]);
        assert_eq!(text.matches("not measured").count(), 3, "{text}");
    }

    #[test]
    fn what_used_no_tick_has_no_ratio() {
        assert_eq!(ratio(Some(1.0), Some(0.0)), "not measured");
        assert_eq!(ratio(None, Some(1.0)), "not measured");
    }
}
