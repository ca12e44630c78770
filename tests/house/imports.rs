//! Reads the paths into the crate out of Rust source: a scanner of words, no parser, so that it also sees into macros.

/// The top module of each path into the crate, with its line: `crate::judge::x`, `use crate::{clock, probe::Probe}`,
/// and `super` where it leads to the crate's root.
pub fn imports(file: &str, source: &str) -> Vec<(usize, String)> {
    let code = code_only(source);
    let words = words(&code);
    let mut modules: Vec<&str> =
        file.trim_end_matches(".rs").split('/').filter(|name| !["mod", "lib", "main"].contains(name)).collect();
    let mut blocks = Vec::new();
    let mut found = Vec::new();
    let word = |at: usize| words.get(at).map_or("", |(_, word)| *word);
    for at in 0..words.len() {
        match word(at) {
            "{" => {
                let module = at >= 2 && word(at - 2) == "mod";
                if module {
                    modules.push(word(at - 1));
                }
                blocks.push(module);
            }
            "}" if blocks.pop() == Some(true) => {
                modules.pop();
            }
            "crate" => heads(&words, at + 1, &[], &mut found),
            "super" if at < 2 || word(at - 1) != "::" || word(at - 2) == "self" => {
                let above = modules.len().saturating_sub(1);
                heads(&words, at + 1, &modules[..above], &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Adds the top module of what follows `::` at `at`, a name or a group of names, all of them seen from module `base`.
fn heads(words: &[(usize, &str)], at: usize, base: &[&str], found: &mut Vec<(usize, String)>) {
    let word = |at: usize| words.get(at).map_or("", |(_, word)| *word);
    if word(at) != "::" {
        return;
    }
    match word(at + 1) {
        "self" => {}
        "super" => heads(words, at + 2, &base[..base.len().saturating_sub(1)], found),
        "{" => {
            let mut depth = 0;
            for next in at + 1..words.len() {
                match word(next) {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                // Behind the brace and behind each comma of this group begins a name.
                if depth == 1 && ["{", ","].contains(&word(next)) && word(next + 1) != "}" {
                    name(words, next + 1, base, found);
                }
            }
        }
        _ => name(words, at + 1, base, found),
    }
}

/// Adds the top module of the one name at `at`, seen from module `base`.
fn name(words: &[(usize, &str)], at: usize, base: &[&str], found: &mut Vec<(usize, String)>) {
    let (line, word) = words.get(at).copied().unwrap_or((0, "self"));
    match word {
        "self" => {}
        "super" => heads(words, at + 1, &base[..base.len().saturating_sub(1)], found),
        _ => found.push((line, (*base.first().unwrap_or(&word)).to_owned())),
    }
}

/// Identifiers, `::` and single signs, each with its line.
fn words(code: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if rest.starts_with("::") {
                2
            } else {
                rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_')
                    .filter(|length| *length > 0)
                    .unwrap_or(if first.is_alphanumeric() || first == '_' { rest.len() } else { first.len_utf8() })
            };
            words.push((number + 1, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    words
}

/// The source with comments, texts and characters blanked out; lines stay where they were.
pub fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest, code.chars().last());
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..length].chars().filter(|sign| *sign == '\n'));
            rest = &rest[length..];
        }
    }
    code
}

/// How many bytes of comment, text or character literal `rest` begins with.
fn skipped(rest: &str, before: Option<char>) -> usize {
    let to = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return to("*/", 2);
    }
    if rest.starts_with('"') {
        return escaped(rest, '"');
    }
    let in_a_name = before.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
    let raw = rest.strip_prefix("br").or(rest.strip_prefix('r')).filter(|_| !in_a_name);
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            return to(&end, rest.len() - raw.len() + hashes + 1);
        }
    }
    // 'a' and '\n' are characters, 'a is a lifetime.
    let mut signs = rest.chars();
    match (signs.next(), signs.next(), signs.next()) {
        (Some('\''), Some('\\'), _) => escaped(rest, '\''),
        (Some('\''), Some(sign), Some('\'')) => 2 + sign.len_utf8(),
        _ => 0,
    }
}

/// The length of a literal that ends with the first `end` behind which no backslash stands.
fn escaped(rest: &str, end: char) -> usize {
    let mut signs = rest.char_indices().skip(1);
    while let Some((at, sign)) = signs.next() {
        if sign == '\\' {
            signs.next();
        } else if sign == end {
            return at + sign.len_utf8();
        }
    }
    rest.len()
}
