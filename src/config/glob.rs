//! Patterns of paths in a tree, as in `.gitignore` and rsync: `*` and `?` within a name, `**` for any directories, `[a-z]` for one
//! character. A pattern without `/` is about names anywhere; one with `/` about the path from the root on.

use serde::{Serialize, Serializer};

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    anchored: bool,
    parts: Vec<String>,
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Glob {
    /// Longer ones are not taken.
    pub const LONGEST: usize = 256;

    /// A pattern, or what is wrong with it.
    ///
    /// # Errors
    /// In words: empty, too long, `..`, a bracket that is not closed.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let plain = text.trim_end_matches('/').trim_start_matches('/');
        let anchored = text.trim_end_matches('/').contains('/');
        let parts: Vec<String> = plain.split('/').map(str::to_owned).collect();
        if plain.is_empty() || parts.iter().any(String::is_empty) {
            return Err("names nothing");
        }
        if text.len() > Self::LONGEST {
            return Err("is too long");
        }
        if parts.iter().any(|part| part == "." || part == "..") {
            return Err("leads out of the tree");
        }
        if parts
            .iter()
            .any(|part| part.contains('[') && !part.split_once('[').is_some_and(|(_, set)| set.contains(']')))
        {
            return Err("has a bracket that is not closed");
        }
        Ok(Self { text: text.to_owned(), anchored, parts })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it means this path, relative to the root.
    pub fn matches(&self, path: &[u8]) -> bool {
        if self.anchored {
            let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
            return of_paths(&self.parts, &names);
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        self.parts.first().is_some_and(|part| part == "**" || of_names(part.as_bytes(), name))
    }
}

/// Going back to the last `**` only keeps the cost at pattern times path.
fn of_paths(parts: &[String], names: &[&[u8]]) -> bool {
    let (mut part, mut name, mut back) = (0, 0, None);
    loop {
        match parts.get(part) {
            Some(any) if any == "**" => {
                back = Some((part + 1, name));
                part += 1;
            }
            Some(wanted) if names.get(name).is_some_and(|given| of_names(wanted.as_bytes(), given)) => {
                part += 1;
                name += 1;
            }
            None if name == names.len() => return true,
            _ => match back {
                Some((after, from)) if from < names.len() => {
                    back = Some((after, from + 1));
                    (part, name) = (after, from + 1);
                }
                _ => return false,
            },
        }
    }
}

fn of_names(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut given, mut back) = (0, 0, None);
    loop {
        if pattern.get(at) == Some(&b'*') {
            back = Some((at + 1, given));
            at += 1;
            continue;
        }
        if at == pattern.len() && given == name.len() {
            return true;
        }
        if let Some(length) = name.get(given).and_then(|byte| one(&pattern[at..], *byte)) {
            at += length;
            given += 1;
            continue;
        }
        match back {
            Some((after, from)) if from < name.len() => {
                back = Some((after, from + 1));
                (at, given) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// How much of the pattern this byte matches.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let end = pattern.iter().skip(2).position(|c| *c == b']')? + 2;
            let (set, wanted) = match pattern.get(1) {
                Some(b'!' | b'^') => (&pattern[2..end], false),
                _ => (&pattern[1..end], true),
            };
            let in_range = |range: &[u8]| range.len() == 3 && range[1] == b'-' && (range[0]..=range[2]).contains(&byte);
            let found = set.contains(&byte) || set.windows(3).any(in_range);
            (found == wanted).then_some(end + 1)
        }
        plain => (*plain == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(pattern: &str, path: &str) -> bool {
        Glob::new(pattern).unwrap().matches(path.as_bytes())
    }

    #[test]
    fn names_are_meant_anywhere_and_paths_from_the_root_on() {
        assert!(means("*.pid", "app.pid") && means("*.pid", "run/app.pid") && !means("*.pid", "app.pid.old"));
        assert!(means("cache/", "sites/cache") && !means("cache", "sites/cached"));
        assert!(means("/cache", "cache") && !means("/cache", "sites/cache"));
        assert!(means("sites/*.conf", "sites/one.conf") && !means("sites/*.conf", "sites/more/one.conf"));
        assert!(means("sites/**/*.conf", "sites/one.conf") && means("sites/**/*.conf", "sites/a/b/one.conf"));
        assert!(means("**/tmp", "tmp") && means("**/tmp", "a/b/tmp") && !means("**/tmp", "a/tmp/b"));
        assert!(
            means("a?c[0-9]", "abc7") && !means("a?c[0-9]", "abcx") && means("[!a]*", "bc") && !means("[!a]*", "a")
        );
        assert!(means("*a*b*", "xxaxxbxx") && !means("*a*b*", "xxbxxa"));
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = "*a".repeat(100) + "b";
        assert!(!means(&pattern, &"a".repeat(255)));
        let pattern = "**/a/".repeat(40) + "b";
        assert!(!means(&pattern, &"a/".repeat(1000)));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for (text, wrong) in
            [("", "nothing"), ("/", "nothing"), ("a//b", "nothing"), ("../x", "out of"), ("[ab", "bracket")]
        {
            assert!(Glob::new(text).unwrap_err().contains(wrong), "{text}");
        }
        assert!(Glob::new(&"x".repeat(300)).is_err());
    }
}
