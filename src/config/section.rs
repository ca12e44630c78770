//! One section of the file, read key by key against the table of keys. A mistake is noted and reading goes on with the
//! default, so that one mistake does not bring others along.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::key::{Default, Key, Kind, SectionKeys};
use super::problems::{Found, Place};
use super::tree::{Entry, Node, Value};
use super::value::{self, Wrong};
use super::wording::{nearest, shown};
use crate::units::Bytes;

/// A section whose keys are known to exist and to stand once.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    keys: &'static SectionKeys,
    /// How messages call it.
    pub(super) label: String,
    pub(super) place: Place,
    entries: Vec<(&'static Key, &'a Entry)>,
    /// Something else stands there; its keys are not missed then.
    broken: bool,
    pub(super) found: &'a Found,
}

/// A section under a name that the operator chose.
pub(super) struct NamedSection<'a> {
    pub(super) name: String,
    /// Of the name.
    pub(super) place: Place,
    pub(super) section: Section<'a>,
}

impl<'a> Section<'a> {
    /// Reads the keys of `node`, noting unknown, repeated and unsupported ones.
    pub(super) fn open(node: &'a Node, path: &str, label: String, found: &'a Found) -> Self {
        let mut section = Self::absent(path, label, node.place, found);
        match &node.value {
            Value::Empty => {}
            Value::Map(entries) => entries.iter().for_each(|entry| section.take(entry)),
            Value::Scalar(_) | Value::List(_) => {
                section.broken = true;
                let what = described(&node.value);
                found.problem(node.place, format!("{}: {what} stands where keys are expected", section.label), {
                    format!("write keys below it: {}", section.known())
                });
            }
        }
        section
    }

    /// A section that is not written, where all defaults hold.
    pub(super) fn absent(path: &str, label: String, place: Place, found: &'a Found) -> Self {
        const NOTHING: SectionKeys = SectionKeys { path: "", keys: &[] };
        let keys = SectionKeys::of(path).unwrap_or(&NOTHING);
        Self { keys, label, place, entries: Vec::new(), broken: false, found }
    }

    fn take(&mut self, entry: &'a Entry) {
        let place = entry.key.place;
        let Value::Scalar(name) = &entry.key.value else {
            let said = format!("{}: a key must be a word, not {}", self.label, described(&entry.key.value));
            self.found.problem(place, said, "write `key: value`");
            return;
        };
        let Some(key) = self.keys.key(name) else {
            self.unknown(name, entry);
            return;
        };
        if let Some((_, first)) = self.entries.iter().find(|(other, _)| other.name == key.name) {
            let said = format!("{name}: stands twice in {}, first in line {}", self.label, first.key.place.line);
            self.found.problem(place, said, "keep one of them");
        } else {
            self.entries.push((key, entry));
        }
    }

    fn unknown(&self, name: &str, entry: &Entry) {
        let word = name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        let near = nearest(name, self.keys.keys.iter().map(|key| key.name));
        // `{ password:, hunter2 }` makes a key of the password.
        let hidden = near.is_none() && entry.value.value == Value::Empty && self.keys.key("password").is_some();
        let written = match (hidden, word) {
            (true, _) => "a word without a value".to_owned(),
            (false, true) => name.to_owned(),
            (false, false) => shown(name),
        };
        let cure = near.map_or_else(|| format!("known are: {}", self.known()), |near| format!("did you mean {near}?"));
        self.found.problem(entry.key.place, format!("{written}: no such key in {}", self.label), cure);
    }

    fn known(&self) -> String {
        let names: Vec<&str> = self.keys.keys.iter().map(|key| key.name).collect();
        names.join(", ")
    }

    fn entry(&self, name: &str) -> Option<(&'static Key, &'a Entry)> {
        self.entries.iter().find(|(key, _)| key.name == name).copied()
    }

    /// Whether the key is written.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Where the key is written, or else where its section is.
    pub(super) fn place_of(&self, name: &str) -> Place {
        self.entry(name).map_or(self.place, |(_, entry)| entry.key.place)
    }

    /// Notes a mistake at the key (or at the section where the key is missing).
    pub(super) fn problem(&self, name: &str, text: impl Into<String>, cure: impl Into<String>) {
        self.found.problem(self.place_of(name), text, cure);
    }

    /// The value that `parse` makes of the text at the key, or of its default.
    fn read<T>(&self, name: &str, parse: impl Fn(&Key, &str) -> Result<T, Wrong>) -> Option<T> {
        let Some((key, entry)) = self.entry(name) else {
            let key = self.keys.key(name)?;
            if key.default == Default::Required {
                self.missing(key);
            }
            return default_of(key, parse);
        };
        let text = match &entry.value.value {
            Value::Scalar(text) => text.as_str(),
            other => {
                let said = format!("{name}: {} stands where one value is expected", described(other));
                let cure = format!("write {}", key.kind.expected());
                self.found.problem(entry.value.place, said, cure);
                return default_of(key, parse);
            }
        };
        parse(key, text)
            .map_err(|wrong| self.found.problem(entry.value.place, format!("{name}: {}", wrong.text), wrong.cure))
            .ok()
            .or_else(|| default_of(key, parse))
    }

    /// Notes that a key is missing.
    pub(super) fn missing(&self, key: &Key) {
        if self.broken {
            return;
        }
        let example = key.example.replace("{n}", "1");
        let cure = match example.as_str() {
            "" => format!("add {}", key.name),
            example => format!("add for example `{}: {example}`", key.name),
        };
        self.found.problem(self.place, format!("{}: {} is missing", self.label, key.name), cure);
    }

    /// Notes that a key is missing which is not always needed.
    pub(super) fn missing_key(&self, name: &str) {
        if let Some(key) = self.keys.key(name) {
            self.missing(key);
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.read(name, |_, text| value::text(text))
    }

    pub(super) fn secret(&self, name: &str) -> Option<String> {
        self.read(name, |_, text| if text.is_empty() { value::text(text) } else { Ok(text.to_owned()) })
    }

    pub(super) fn name(&self, name: &str) -> Option<String> {
        self.read(name, |_, text| value::name(text))
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.read(name, |_, text| value::absolute_path(text))
    }

    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        self.read(name, |key, text| value::duration(text, key.kind))
    }

    pub(super) fn size(&self, name: &str) -> Option<Bytes> {
        self.read(name, |_, text| value::size(text))
    }

    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.read(name, |key, text| value::count(text, key.kind))
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.read(name, |_, text| value::flag(text))
    }

    pub(super) fn choice(&self, name: &str) -> Option<String> {
        self.read(name, |key, text| value::choice(text, key.kind))
    }

    pub(super) fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        self.read(name, |_, text| parse(text))
    }

    /// The texts of a list, each read by `parse`; repeated ones are noted. A single value counts as a list of one.
    pub(super) fn texts(&self, name: &str, parse: impl Fn(&str) -> Result<String, Wrong>) -> Vec<String> {
        self.words(name, false, parse)
    }

    /// As [`Section::texts`]; the words of a command may be repeated.
    pub(super) fn words(
        &self,
        name: &str,
        repeated: bool,
        parse: impl Fn(&str) -> Result<String, Wrong>,
    ) -> Vec<String> {
        let Some((key, entry)) = self.entry(name) else {
            if let Some(key) = self.keys.key(name).filter(|key| key.default == Default::Required) {
                self.missing(key);
            }
            return Vec::new();
        };
        let nodes = match &entry.value.value {
            Value::List(nodes) => nodes.as_slice(),
            Value::Scalar(_) => std::slice::from_ref(&entry.value),
            other => {
                let said = format!("{name}: {} stands where a list is expected", described(other));
                self.found.problem(entry.value.place, said, "write [one, two]");
                return Vec::new();
            }
        };
        if nodes.is_empty() && key.default == Default::Required {
            self.problem(name, format!("{name}: the list is empty"), format!("write {}", key.kind.expected()));
        }
        if let Kind::Texts { most } = key.kind
            && nodes.len() > most
        {
            let said = format!("{name}: {} entries, and at most {most} are taken", nodes.len());
            self.problem(name, said, "keep the most important ones");
        }
        let mut list: Vec<String> = Vec::new();
        for node in nodes {
            let Value::Scalar(text) = &node.value else {
                let said = format!("{name}: {} stands where a text is expected", described(&node.value));
                self.found.problem(node.place, said, "write [one, two]");
                continue;
            };
            match parse(text) {
                Ok(text) if !repeated && list.contains(&text) => {
                    self.found.problem(
                        node.place,
                        format!("{name}: {} stands twice", shown(&text)),
                        "keep one of them",
                    );
                }
                Ok(text) => list.push(text),
                Err(wrong) => self.found.problem(node.place, format!("{name}: {}", wrong.text), wrong.cure),
            }
        }
        list
    }

    /// The words of a command, in their order; a word may stand twice.
    pub(super) fn command(&self, name: &str) -> Option<Vec<String>> {
        let Some((_, entry)) = self.entry(name) else {
            if let Some(key) = self.keys.key(name).filter(|key| key.default == Default::Required) {
                self.missing(key);
            }
            return None;
        };
        let word = |node: &Node| match &node.value {
            Value::Scalar(text) if !text.contains('\0') => Some(text.clone()),
            _ => None,
        };
        let words: Option<Vec<_>> = match &entry.value.value {
            Value::List(nodes) if !nodes.is_empty() => nodes.iter().map(word).collect(),
            _ => None,
        };
        if words.is_none() {
            let said = format!("{name}: {} stands where a command is expected", described(&entry.value.value));
            self.found.problem(entry.value.place, said, "write [/path/of/program, argument]");
        }
        words
    }

    /// Names and texts, for labels.
    pub(super) fn labels(&self, name: &str) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for entry in self.map_at(name) {
            let (place, key) = (entry.key.place, value::label_name(&entry.key.value));
            let text = match &entry.value.value {
                Value::Scalar(text) => value::label_text(text),
                other => {
                    Err(Wrong::new(format!("{} stands where a text is expected", described(other)), "write a text"))
                }
            };
            match (key, text) {
                (Ok(key), Ok(_)) if labels.contains_key(&key) => {
                    self.found.problem(place, format!("{name}: {key} stands twice"), "keep one of them");
                }
                (Ok(key), Ok(text)) => drop(labels.insert(key, text)),
                (Err(wrong), _) | (_, Err(wrong)) => {
                    self.found.problem(place, format!("{name}: {}", wrong.text), wrong.cure);
                }
            }
        }
        labels
    }

    /// The section at the key; where it is not written, one in which all defaults hold.
    pub(super) fn child(&self, name: &str) -> Section<'a> {
        self.given(name).unwrap_or_else(|| Self::absent(&self.inner(name), name.to_owned(), self.place, self.found))
    }

    /// The section at the key, if it is written.
    pub(super) fn given(&self, name: &str) -> Option<Section<'a>> {
        let (_, entry) = self.entry(name)?;
        let mut section = Self::open(&entry.value, &self.inner(name), name.to_owned(), self.found);
        section.place = entry.key.place;
        Some(section)
    }

    /// The sections of the list at the key.
    pub(super) fn list(&self, name: &str, label: &str) -> Vec<Section<'a>> {
        let Some((_, entry)) = self.entry(name) else {
            if let Some(key) = self.keys.key(name) {
                self.missing(key);
            }
            return Vec::new();
        };
        match &entry.value.value {
            Value::List(nodes) if !nodes.is_empty() => {
                let path = self.inner(name);
                nodes.iter().map(|node| Self::open(node, &path, label.to_owned(), self.found)).collect()
            }
            other => {
                let what = described(other);
                let said = format!("{name}: {what} stands where at least one entry is expected");
                self.found.problem(entry.value.place, said, format!("begin each entry of {name} with `- `"));
                Vec::new()
            }
        }
    }

    /// The sections at the key by the names that the operator chose; repeated names are noted.
    pub(super) fn named(&self, name: &str, label: &str) -> Vec<NamedSection<'a>> {
        let path = self.inner(name);
        let mut sections: Vec<NamedSection<'a>> = Vec::new();
        for entry in self.map_at(name) {
            let place = entry.key.place;
            let Value::Scalar(word) = &entry.key.value else {
                let said = format!("{name}: {} stands where a name is expected", described(&entry.key.value));
                self.found.problem(place, said, "write `name: …`");
                continue;
            };
            if let Some(first) = sections.iter().find(|other| other.name == *word) {
                let said = format!("{name}: {} stands twice, first in line {}", shown(word), first.place.line);
                self.found.problem(place, said, "give each a name of its own");
                continue;
            }
            let mut section = Self::open(&entry.value, &path, format!("{label} {word}"), self.found);
            section.place = place;
            sections.push(NamedSection { name: word.clone(), place, section });
        }
        sections
    }

    fn map_at(&self, name: &str) -> &'a [Entry] {
        match self.entry(name).map(|(_, entry)| &entry.value) {
            None | Some(Node { value: Value::Empty, .. }) => &[],
            Some(Node { value: Value::Map(entries), .. }) => entries,
            Some(node) => {
                let said = format!("{name}: {} stands where names are expected", described(&node.value));
                self.found.problem(node.place, said, format!("write below {name} lines like `name: …`"));
                &[]
            }
        }
    }

    fn inner(&self, name: &str) -> String {
        self.keys.key(name).map(|key| self.keys.inner(key)).unwrap_or_default()
    }
}

fn default_of<T>(key: &Key, parse: impl Fn(&Key, &str) -> Result<T, Wrong>) -> Option<T> {
    match key.default {
        Default::Text(text) => parse(key, text).ok(),
        _ => None,
    }
}

/// A node in words. A list or a map is not shown, since it could hold anything.
fn described(value: &Value) -> String {
    match value {
        Value::Empty => "nothing".to_owned(),
        Value::Scalar(text) => shown(text),
        Value::List(list) if list.is_empty() => "an empty list".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a group of keys".to_owned(),
    }
}
