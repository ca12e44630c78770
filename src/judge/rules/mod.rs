//! The rule catalogue and its two evaluators: this agent, and Prometheus by the printed file.

mod alert;
mod book;
mod catalogue;
mod condition;
mod description;
mod doubts;
mod explains;
mod print;

pub use alert::{NO_REASON, alert_annotations, alert_labels, runbook, tells_reason};
pub use book::{BookedRule, RuleBook};
pub use catalogue::{RULES, Rule};
pub use condition::{About, Bound, Compare, Condition, Operator};
pub use description::Part;
pub use doubts::doubts;
pub use explains::{Alike, EXPLANATIONS, Explanation, explain, explained_by, inhibitions};
pub use print::{NotAVersion, PrometheusVersion, document, print, threshold_text};

#[cfg(test)]
mod tests;
