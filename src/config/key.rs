//! What a key of the configuration is.

use super::keys::SECTIONS;

/// The keys that stand directly in one section.
#[derive(Clone, Copy, Debug)]
pub(super) struct SectionKeys {
    /// `pairs[].nodes.*.postgres`; empty for the top.
    pub(super) path: &'static str,
    pub(super) keys: &'static [Key],
}

impl SectionKeys {
    /// The table of the section with this path; `None` only for a path that is not in [`SECTIONS`].
    pub(super) fn of(path: &str) -> Option<&'static Self> {
        SECTIONS.iter().find(|section| section.path == path)
    }

    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// How a section below `key` is written in a path.
    pub(super) fn inner(&self, key: &Key) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        let below = match key.kind {
            Kind::List => "[]",
            Kind::Named => ".*",
            _ => "",
        };
        format!("{}{dot}{}{below}", self.path, key.name)
    }
}

/// One key: what it is called, what it takes, and what it means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Default,
    /// What the example configuration says; empty where it leaves the key out or shows the default as a comment.
    pub(super) example: &'static str,
    pub(super) doc: &'static str,
}

/// What holds where the key is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Default {
    /// The key must be given.
    Required,
    /// Nothing.
    None,
    /// This, as it would be written.
    Text(&'static str),
    /// What follows from something else, in words.
    Described(&'static str),
}

/// What stands at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Keys of the table.
    Section,
    /// Sections by names that the operator chooses.
    Named,
    /// A list of sections.
    List,
    /// A name for labels.
    Name,
    Text,
    /// At most so many texts.
    Texts {
        most: usize,
    },
    /// Label names and values.
    Labels,
    /// An absolute path.
    Path,
    Url,
    Secret,
    /// An absolute path, or one in systemd's directory of credentials.
    SecretFile,
    Duration {
        min: &'static str,
        max: &'static str,
    },
    Size,
    Count {
        min: u64,
        max: u64,
    },
    /// A rule's limit, in the unit of that rule.
    Threshold,
    Flag,
    OneOf(&'static [&'static str]),
}

impl Key {
    pub(super) const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, default: Default::None, example: "", doc }
    }

    pub(super) const fn required(mut self) -> Self {
        self.default = Default::Required;
        self
    }

    pub(super) const fn default(mut self, text: &'static str) -> Self {
        self.default = Default::Text(text);
        self
    }

    pub(super) const fn described_default(mut self, words: &'static str) -> Self {
        self.default = Default::Described(words);
        self
    }

    pub(super) const fn example(mut self, text: &'static str) -> Self {
        self.example = text;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_section_is_the_inside_of_a_key_and_every_such_key_has_its_section() {
        let declared: BTreeSet<String> = SECTIONS.iter().map(|section| section.path.to_owned()).collect();
        assert_eq!(declared.len(), SECTIONS.len(), "a section stands twice");
        let mut inside = BTreeSet::from([String::new()]);
        for section in SECTIONS {
            let opens = |key: &&Key| matches!(key.kind, Kind::Section | Kind::Named | Kind::List);
            inside.extend(section.keys.iter().filter(opens).map(|key| section.inner(key)));
        }
        assert_eq!(declared, inside);
    }

    #[test]
    fn every_key_stands_once_and_says_what_it_means() {
        for section in SECTIONS {
            let names: BTreeSet<&str> = section.keys.iter().map(|key| key.name).collect();
            assert_eq!(names.len(), section.keys.len(), "a key of {:?} stands twice", section.path);
            for key in section.keys {
                assert!(key.doc.ends_with('.'), "{}.{}", section.path, key.name);
            }
        }
    }
}
