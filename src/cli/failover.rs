//! `standbywatch failover`: "promote now?", as a checklist for a person at three in the morning.

use std::process::ExitCode;

use super::status::{self, StatusArgs};
use crate::names::FailoverVerdict;
use crate::view::api::{PairDocument, StatusDocument};
use crate::view::failover::checklist;

/// Exit code of everything that is not an answer, also of an agent that cannot be asked.
const NOT_TOLD: u8 = 3;

/// Flags of `failover`.
#[derive(Clone, Debug, clap::Args)]
pub struct FailoverArgs {
    /// The pair; all of them, if none is named.
    pair: Option<String>,
    #[command(flatten)]
    status: StatusArgs,
}

/// Prints the answer of each pair. Exit code by the worst: ready 0, `ready_with_loss` 1, `not_ready` 2, unknown, `primary_gone` and
/// every other trouble 3.
pub fn run(args: &FailoverArgs) -> ExitCode {
    let told = status::ask_or_look(&args.status).and_then(|status| {
        let pairs = chosen(status, args.pair.as_deref())?;
        let text = if args.status.json() { json(&pairs)? } else { text(&pairs) };
        Ok((text, pairs.iter().map(code).max().unwrap_or(NOT_TOLD)))
    });
    match told {
        Ok((text, code)) => {
            print!("{text}");
            ExitCode::from(code)
        }
        Err(error) => {
            println!("UNKNOWN {error}");
            ExitCode::from(NOT_TOLD)
        }
    }
}

fn chosen(status: StatusDocument, name: Option<&str>) -> Result<Vec<PairDocument>, String> {
    let Some(name) = name else { return Ok(status.pairs) };
    let watched: Vec<_> = status.pairs.iter().map(|pair| pair.pair.to_string()).collect();
    let pairs: Vec<_> = status.pairs.into_iter().filter(|pair| pair.pair.as_str() == name).collect();
    match pairs.is_empty() {
        true => Err(format!("there is no pair {name:?}; watched are: {}", watched.join(", "))),
        false => Ok(pairs),
    }
}

fn code(pair: &PairDocument) -> u8 {
    match pair.failover.as_ref().map(|told| told.verdict) {
        Some(FailoverVerdict::Ready) => 0,
        Some(FailoverVerdict::ReadyWithLoss) => 1,
        Some(FailoverVerdict::NotReady) => 2,
        Some(FailoverVerdict::Unknown | FailoverVerdict::PrimaryGone) | None => NOT_TOLD,
    }
}

fn text(pairs: &[PairDocument]) -> String {
    let each = pairs.iter().map(|pair| match &pair.failover {
        Some(told) => checklist(pair.pair.as_str(), told),
        None => format!("{}: PostgreSQL is not watched: what a promotion would lose is unknown\n", pair.pair),
    });
    each.collect::<Vec<_>>().join("\n")
}

fn json(pairs: &[PairDocument]) -> Result<String, String> {
    let each = pairs.iter().map(|pair| serde_json::json!({ "pair": pair.pair, "failover": pair.failover }));
    let text = serde_json::to_string_pretty(&each.collect::<Vec<_>>());
    text.map(|text| text + "\n").map_err(|error| error.to_string())
}
