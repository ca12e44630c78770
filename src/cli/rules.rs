//! `standbywatch rules`: the alert rules as a file for Prometheus.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Environment, Problems};
use crate::judge::rules::{PrometheusVersion, RuleBook, print};

/// Flags of `rules`.
#[derive(Clone, Debug, clap::Args)]
pub struct RulesArgs {
    /// Print the rules as this configuration sets them; without it, the defaults.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Leave out what this version of Prometheus does not know yet.
    #[arg(long, value_name = "VERSION", default_value_t = PrometheusVersion::COMPLETE)]
    pub prometheus: PrometheusVersion,
}

/// Prints the rules (exit code 0), or what is wrong with the configuration (2).
pub fn run(args: &RulesArgs) -> ExitCode {
    match printed(args, &Environment::of_process()) {
        Ok(rules) => {
            print!("{rules}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(2)
        }
    }
}

/// The rule file.
///
/// # Errors
/// Everything that is wrong with the configuration.
pub fn printed(args: &RulesArgs, environment: &Environment) -> Result<String, Problems> {
    let settings = match &args.config_file {
        Some(file) => config::load(file, environment)?.rules,
        None => BTreeMap::new(),
    };
    Ok(print(&RuleBook::new(&settings), args.prometheus))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: &str = "pairs:
  - name: catalog
    nodes:
      alpha: { postgres: { host: 127.0.0.1, user: standbywatch } }
      beta: { postgres: { host: 127.0.0.2, user: standbywatch } }
";

    fn printed_with(test: &str, rules: &str) -> Result<String, Problems> {
        let file = std::env::temp_dir().join(format!("standbywatch-rules-{test}-{}.yml", std::process::id()));
        std::fs::write(&file, format!("{PAIR}{rules}")).expect("a temporary file");
        let args = RulesArgs { config_file: Some(file.clone()), prometheus: PrometheusVersion::COMPLETE };
        let result = printed(&args, &Environment::of_process());
        let _ = std::fs::remove_file(&file);
        result
    }

    #[test]
    fn a_site_s_settings_are_in_the_printed_rules() {
        let rules = "rules:
  StandbyPostgresLagHigh: { for: 7s, threshold: 1MiB }
  StandbyReplicationUnknown: { for: 0s }
  StandbyWatchdog: { enabled: false }
";
        let printed = printed_with("set", rules).expect("a good configuration");
        let lag_high = "expr: 'max by (pair) (standby_replication_undelayed_lag_bytes) > 1048576'\n        for: 7s\n";
        assert!(printed.contains(lag_high), "{printed}");
        let unknown = "expr: 'max by (pair, channel) (standby_replication_up) == 0'\n        labels:\n";
        assert!(printed.contains(unknown), "{printed}");
        assert!(!printed.contains("StandbyWatchdog"), "{printed}");
    }

    #[test]
    fn a_rule_that_does_not_exist_is_refused() {
        let problems = printed_with("unknown", "rules: { StandbyPostgresLagHi: { for: 1m } }\n");
        let problems = problems.expect_err("no such rule").to_string();
        assert!(problems.contains("StandbyPostgresLagHigh"), "names the nearest one: {problems}");
    }
}
