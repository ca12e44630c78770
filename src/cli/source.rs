//! Where the configuration of a command comes from: a file, or two URLs.

use std::path::PathBuf;

use crate::config::{self, Config, Environment, Problems};
use crate::judge::rules::doubts;

/// `--config.file`, or `--primary` and `--standby`.
#[derive(Clone, Debug, clap::Args)]
pub struct SourceArgs {
    /// The configuration file.
    #[arg(long = "config.file", value_name = "FILE", default_value = config::DEFAULT_PATH)]
    pub config_file: PathBuf,
    /// Watch this PostgreSQL server and its standby, without a configuration file:
    /// postgres://USER@HOST:PORT/DATABASE. Which of both is the primary is observed.
    #[arg(long, value_name = "URL", requires = "standby", conflicts_with = "config_file")]
    pub primary: Option<String>,
    /// The other server.
    #[arg(long, value_name = "URL", requires = "primary", conflicts_with = "config_file")]
    pub standby: Option<String>,
}

impl SourceArgs {
    /// Reads and checks it. Blocks on the file system.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self) -> Result<Config, Problems> {
        let environment = Environment::of_process();
        let mut config = match self.urls() {
            Some((primary, standby)) => config::from_urls(primary, standby, &environment),
            None => config::load(&self.config_file, &environment),
        }?;
        config.warnings.extend(doubts(&config));
        Ok(config)
    }

    /// Both URLs, if they are given.
    pub fn urls(&self) -> Option<(&str, &str)> {
        self.primary.as_deref().zip(self.standby.as_deref())
    }
}
