//! The example configuration and the reference, printed from the table of keys.

use std::fmt::Write as _;

use super::key::{Default, Key, Kind, SectionKeys};
use super::keys::SECTIONS;

const EXAMPLE_HEAD: &str = "\
# An example configuration of standbywatch, printed by `standbywatch check-config --print example`.
# A key behind `#` shows its default, or what it takes. Secrets belong into files.
# Durations are written 1m30s or 250ms, sizes 64MiB. Check the result with `standbywatch check-config`.

";

/// A commented configuration that shows every key and passes the check as it stands.
pub fn example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    Example { text: &mut text, number: 1, with_words: true }.section("", "", "");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Which node the example speaks of, and whether it explains.
struct Example<'a> {
    text: &'a mut String,
    number: u8,
    with_words: bool,
}

impl Example<'_> {
    /// Prints the keys of a section. `hash` is `#` inside a section that is commented out as a whole.
    fn section(&mut self, path: &str, indent: &str, hash: &str) {
        let Some(section) = SectionKeys::of(path) else { return };
        for key in section.keys {
            let inside = section.inner(key);
            let shown = hash.is_empty() && is_shown(key, &inside);
            if !shown && !self.with_words {
                continue;
            }
            self.words(key, indent, hash);
            // Inside a section that is commented out, single keys need no mark of their own.
            let mark = if shown || !hash.is_empty() { "" } else { "#" };
            let start = format!("{indent}{hash}{mark}");
            match key.kind {
                Kind::Section => {
                    let _ = writeln!(self.text, "{start}{}:", key.name);
                    self.below(&inside, indent, hash, mark);
                }
                Kind::List => {
                    let _ = writeln!(self.text, "{start}{}:", key.name);
                    let before = self.text.len();
                    self.section(&inside, &format!("{indent}    "), hash);
                    self.begin_entry(before, indent);
                }
                Kind::Named => self.named(key, &inside, indent, mark),
                _ => {
                    let _ = writeln!(self.text, "{start}{}: {}", key.name, self.sample(key));
                }
            }
            if indent.len() <= 4 && hash.is_empty() && self.with_words && !self.text.ends_with("\n\n") {
                self.text.push('\n');
            }
        }
    }

    fn below(&mut self, path: &str, indent: &str, hash: &str, mark: &str) {
        match mark {
            "" if hash.is_empty() => self.section(path, &format!("{indent}  "), ""),
            "" => self.section(path, indent, &format!("{hash}  ")),
            _ => self.section(path, indent, "#  "),
        }
    }

    fn named(&mut self, key: &Key, path: &str, indent: &str, mark: &str) {
        let _ = writeln!(self.text, "{indent}{mark}{}:", key.name);
        if mark == "#" {
            let _ = writeln!(self.text, "{indent}#  StandbyPostgresLagHigh:");
            self.section(path, indent, "#    ");
            return;
        }
        for (number, name) in [(1, "alpha"), (2, "beta")] {
            let _ = writeln!(self.text, "{indent}  {name}:");
            let with_words = number == 1;
            Example { text: self.text, number, with_words }.section(path, &format!("{indent}    "), "");
        }
    }

    /// Puts the dash in front of the first key of a list's entry.
    fn begin_entry(&mut self, from: usize, indent: &str) {
        let entry = self.text.split_off(from);
        let entry = entry.replacen(&format!("{indent}    # "), &format!("{indent}  # "), 1);
        self.text.push_str(&entry.replacen(&format!("{indent}    name:"), &format!("{indent}  - name:"), 1));
    }

    fn words(&mut self, key: &Key, indent: &str, hash: &str) {
        if !self.with_words {
            return;
        }
        let words = match key.kind {
            Kind::OneOf(choices) => format!("{} One of {}.", key.doc, choices.join(", ")),
            _ => key.doc.to_owned(),
        };
        for line in wrapped(&words, 100) {
            let _ = writeln!(self.text, "{indent}{hash}# {line}");
        }
    }

    fn sample(&self, key: &Key) -> String {
        match (key.example, key.default) {
            ("", Default::Text(text)) => text.to_owned(),
            ("", Default::Described(words)) => format!("<{words}>"),
            ("", _) => format!("<{}>", key.kind.expected()),
            (example, _) => example.replace("{n}", &self.number.to_string()),
        }
    }
}

/// Whether the example has the key, or a key below it, without a comment sign.
fn is_shown(key: &Key, inside: &str) -> bool {
    match key.kind {
        Kind::Section | Kind::Named | Kind::List => {
            // Alerts are pushed only where no Prometheus evaluates the rules; peers there are only where nodes name agents.
            let seldom = ["alerting", "peer"].contains(&inside);
            let below = SECTIONS.iter().filter(|section| section.path.starts_with(inside) && !seldom);
            below.flat_map(|section| section.keys).any(|key| !key.example.is_empty())
        }
        _ => !key.example.is_empty(),
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

const REFERENCE_HEAD: &str = "\
# Configuration

Printed by `standbywatch check-config --print reference`; a test keeps it so. An example with every key is
`deploy/standbywatch.example.yml`.

One YAML file, `/etc/standbywatch/standbywatch.yml` unless `--config.file` names another. `standbywatch check-config`
tells everything that is wrong with it at once, each with its line and what would be right, and exits with 2.

- In a path, `[]` is any entry of a list and `*` is a name that you choose.
- Durations are written `1m30s`, `250ms`, `4h`; a number without a unit is refused.
- Sizes are written `64MiB`, `4GiB`, `1GB`; a number without a unit is bytes.
- A channel is watched when the nodes of a pair say how to reach it; then every node must.
- A secret is given in one way only: in a file, in an environment variable, or (last choice) in the configuration.
- A key that stands twice or is not known is an error, so that no setting is lost in silence.
";

/// `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = REFERENCE_HEAD.to_owned();
    for section in SECTIONS {
        let title = if section.path.is_empty() { "At the top".to_owned() } else { format!("`{}`", section.path) };
        let _ = write!(text, "\n## {title}\n\n| key | takes | default | meaning |\n|---|---|---|---|\n");
        for key in section.keys {
            let _ = writeln!(text, "| `{}` | {} | {} | {} |", key.name, key.kind.expected(), default(key), key.doc);
        }
    }
    text
}

fn default(key: &Key) -> String {
    match key.default {
        Default::Required => "required".to_owned(),
        Default::None => String::new(),
        Default::Text(text) => format!("`{text}`"),
        Default::Described(words) => words.to_owned(),
    }
}
