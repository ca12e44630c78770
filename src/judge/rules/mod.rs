//! The rule catalogue and its two evaluators: this agent, and Prometheus by the printed file.

mod alert;
mod book;
mod catalogue;
mod condition;
mod description;
mod print;

pub use alert::{alert_annotations, alert_labels, runbook};
pub use book::{BookedRule, RuleBook};
pub use catalogue::{RULES, Rule};
pub use condition::{About, Bound, Compare, Condition, Operator};
pub use print::{NotAVersion, PrometheusVersion, document, print};

#[cfg(test)]
mod tests;
