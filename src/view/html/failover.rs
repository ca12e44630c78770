//! "Promote now?" on the page.

use super::markup::Html;
use super::value;
use crate::names::FailoverVerdict;
use crate::view::failover::{FailoverDocument, answer, to_replay, would_lose};

const CARD: &str = include_str!("../assets/failover.html");

/// The answer, why, and what to do; nothing where PostgreSQL is not watched.
pub(super) fn failover(pair: &str, told: Option<&FailoverDocument>) -> Html {
    let Some(told) = told else { return Html::default() };
    let standby = told.standby.as_ref().map_or("no standby answers", |standby| standby.as_str());
    Html::fill(
        CARD,
        &[
            ("class", Html::text(colour(told.verdict))),
            ("standby", Html::text(standby)),
            ("answer", Html::text(answer(told.verdict))),
            ("reasons", items(&told.reasons)),
            ("lose", value(&would_lose(&told.loss))),
            ("replay", value(&to_replay(told))),
            ("besides", items(&told.besides)),
            ("steps", steps(&told.steps)),
            ("path", Html::path(pair)),
            ("pair", Html::text(pair)),
        ],
    )
}

/// The level that looks like it.
const fn colour(verdict: FailoverVerdict) -> &'static str {
    match verdict {
        FailoverVerdict::Ready => "ok",
        FailoverVerdict::ReadyWithLoss => "warning",
        FailoverVerdict::NotReady | FailoverVerdict::PrimaryGone => "critical",
        FailoverVerdict::Unknown => "unknown",
    }
}

fn items(texts: &[String]) -> Html {
    let item = |text: &String| Html::fill("<li>{{text}}</li>\n", &[("text", Html::text(text))]);
    Html::joined(&texts.iter().map(item).collect::<Vec<_>>())
}

fn steps(steps: &[String]) -> Html {
    if steps.is_empty() {
        return Html::default();
    }
    Html::fill("<ol aria-label=\"What to do, in this order\">\n{{steps}}</ol>\n", &[("steps", items(steps))])
}
