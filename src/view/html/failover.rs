//! "Promote now?" on the page.

use super::markup::{Html, table};
use super::value;
use crate::view::failover::{FailoverDocument, to_replay, would_lose};
use crate::view::wording::{UNKNOWN, words};

/// The answer, why, and what to do; nothing where PostgreSQL is not watched.
pub(super) fn failover(told: Option<&FailoverDocument>) -> Html {
    let Some(told) = told else { return Html::default() };
    let standby = told.standby.as_ref().map_or(UNKNOWN, |standby| standby.as_str());
    let row = vec![
        Html::text(&words(told.verdict.as_str())),
        value(standby),
        value(&would_lose(&told.loss)),
        value(&to_replay(told)),
        Html::text(&[told.reasons.as_slice(), told.besides.as_slice()].concat().join("; ")),
    ];
    let head = ["answer", "standby", "would lose", "to replay", "why"];
    Html::joined(&[table("Promote now?", &head, &[row]), steps(&told.steps)])
}

fn steps(steps: &[String]) -> Html {
    if steps.is_empty() {
        return Html::default();
    }
    let item = |step: &String| Html::fill("<li>{{step}}</li>\n", &[("step", Html::text(step))]);
    let items: Vec<_> = steps.iter().map(item).collect();
    Html::fill("<ol aria-label=\"What to do, in this order\">\n{{steps}}</ol>\n", &[("steps", Html::joined(&items))])
}
