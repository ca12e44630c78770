//! `standbywatch runbook`: what to do about an alert, on the machine that one is logged in to.

use std::io::Write;
use std::process::ExitCode;

use crate::names::RuleName;
use crate::view::runbooks;

/// Arguments of `runbook`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunbookArgs {
    /// The alert's name, as its label `alertname` has it; without one, all of them and how they are meant.
    #[arg(value_name = "ALERT", value_parser = rule_named)]
    pub rule: Option<RuleName>,
}

fn rule_named(text: &str) -> Result<RuleName, String> {
    let whole = format!("Standby{text}");
    let fits = |rule: &&RuleName| [text, &whole].iter().any(|name| rule.as_str().eq_ignore_ascii_case(name));
    RuleName::ALL.iter().find(fits).copied().ok_or_else(|| {
        let names: Vec<_> = RuleName::ALL.iter().map(|rule| rule.as_str()).collect();
        format!("there is no such alert; known are: {}", names.join(", "))
    })
}

/// Prints the section, or the whole document (exit code 0; 1 if nobody takes it).
pub fn run(args: &RunbookArgs) -> ExitCode {
    let text = match args.rule {
        Some(rule) => runbooks::section(rule.as_str()).unwrap_or_default(),
        None => runbooks::ALL.trim_end(),
    };
    // A pager that is closed early is no error to shout about.
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_known_by_its_name_with_or_without_its_first_word() {
        for text in ["StandbySearchRed", "standbysearchred", "SearchRed"] {
            assert_eq!(rule_named(text), Ok(RuleName::SearchRed), "{text}");
        }
        let told = rule_named("SearchBlue").expect_err("no such alert");
        assert!(told.contains("StandbySearchRed") && told.contains("no such alert"), "{told}");
    }
}
