//! YAML as a tree of nodes that know their places. It is walked by hand afterwards, since deserializing straight into
//! types would stop at the first mistake.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::problems::{Place, Problems};

/// A configuration of this size has a mistake of another kind.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// One node of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Empty,
    /// Text as it is written: `0123` keeps its zero, so that a password of digits stays what it is.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value. Keys may repeat here; the walk reports them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Node,
    pub(super) value: Node,
}

/// Reads `text` into a tree.
pub(super) fn read(text: &str, source_name: &str) -> Result<Node, Problems> {
    if text.len() > MAX_BYTES {
        let said = format!("the file is too long: at most {MAX_BYTES} bytes are read");
        return Err(Problems::whole(source_name, said, "is it the right file?"));
    }
    let raw = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options())
        .map_err(|error| not_yaml(&error, text, source_name))?;
    Ok(node(raw, text))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 32, max_nodes: 50_000 },
        // Repeated keys reach the walk, which reports each of them.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        strict_booleans: true,
        reject_non_finite_typeless_float: false,
        emit_comments: false,
        // A snippet could show a password.
        with_snippet: false,
    }
}

fn not_yaml(error: &serde_saphyr::Error, text: &str, source_name: &str) -> Problems {
    let place = error.location().map(place);
    if let Some(tab) =
        place.and_then(|place| tab_from(text, place)).filter(|_| error.to_string().contains("found a tab"))
    {
        return Problems::at(source_name, Some(tab), "not readable as YAML: a tab stands here", "indent with spaces");
    }
    let (said, cure) = match error.without_snippet() {
        serde_saphyr::Error::MultipleDocuments { .. } => {
            ("a second document begins here".to_owned(), "keep everything in one, without `---`")
        }
        other => (other.to_string(), "check indentation, colons, quotes and brackets there"),
    };
    // A bound that was hit behind an alias has lost its own kind of error.
    if said.starts_with("budget") {
        return Problems::at(source_name, place, "more here than any configuration has", "is it the right file?");
    }
    // The place is printed in front already.
    let said = said.find(" at line ").map_or(said.as_str(), |end| &said[..end]);
    Problems::at(source_name, place, format!("not readable as YAML: {said}"), cure)
}

/// The first tab that indents a line, from this place on: the parser names where the value before it begins.
fn tab_from(text: &str, place: Place) -> Option<Place> {
    let indent = |line: &str| line.find('\t').filter(|column| line[..*column].trim().is_empty());
    let lines = (1..).zip(text.lines()).skip(place.line.saturating_sub(1) as usize);
    let (line, column) = lines.filter_map(|(line, text)| Some((line, indent(text)?))).next()?;
    Some(Place { line, column: u32::try_from(column).ok()? + 1 })
}

fn place(location: Location) -> Place {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Place { line: number(location.line()), column: number(location.column()) }
}

/// As it comes from the deserializer: numbers and booleans have lost their text, which is then taken from the source.
enum Raw {
    Empty,
    /// A scalar whose type the deserializer guessed.
    Guessed(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, source: &str) -> Node {
    let value = match raw.value {
        Raw::Empty => Value::Empty,
        Raw::Text(text) => Value::Scalar(text),
        Raw::Guessed(fallback) => {
            let written = slice(source, raw.defined).map(str::trim).filter(|text| !text.is_empty());
            Value::Scalar(written.map_or(fallback, str::to_owned))
        }
        Raw::List(list) => Value::List(list.into_iter().map(|entry| node(entry, source)).collect()),
        Raw::Map(map) => Value::Map(
            map.into_iter().map(|(key, value)| Entry { key: node(key, source), value: node(value, source) }).collect(),
        ),
    };
    Node { place: place(raw.referenced), value }
}

fn slice(source: &str, location: Location) -> Option<&str> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    source.get(start..start.checked_add(length)?)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key, a value or a list")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
