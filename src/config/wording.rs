//! Words of a message: the nearest known name, and a shortened form of what was written that shows no secret.

/// The one of `known` that was probably meant, if any is near enough to be worth naming.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = written.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(80).collect();
    let to: Vec<char> = to.chars().take(80).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

const SECRET_WORDS: [&str; 5] = ["pass", "secret", "token", "auth", "key="];

/// Text in quotes for a message: one line, at most 60 characters, and nothing that could be a secret: the password of a
/// URL is replaced, and so is all that follows a word like `password` inside a longer text.
pub fn shown(text: &str) -> String {
    let masked = without_url_password(text);
    let lower = masked.to_ascii_lowercase();
    let secret_word = SECRET_WORDS.iter().filter_map(|word| lower.find(word)).min();
    let cut = secret_word.and_then(|start| {
        let rest = &masked[start..];
        rest.find(|c: char| c.is_whitespace() || c == '=' || c == ':').map(|end| start + end)
    });
    let (kept, more) = match cut {
        Some(end) if end < masked.len() => (&masked[..end], "…"),
        _ => (masked.as_str(), ""),
    };
    let mut short: String = kept.chars().take(60).collect();
    short.push_str(if kept.chars().count() > 60 { "…" } else { more });
    format!("{short:?}")
}

/// Replaces what is, or could be, the password of a URL.
pub(super) fn without_url_password(text: &str) -> String {
    // Without a scheme, too, USER:PASSWORD@HOST may have been meant.
    let start = text.find("://").map_or(0, |found| found + 3);
    if start == 0 && !text.contains('@') {
        return text.to_owned();
    }
    let rest = &text[start..];
    let Some(colon) = rest.find(':') else { return text.to_owned() };
    match rest.rfind('@') {
        Some(at) if colon < at => format!("{}:***{}", &text[..start + colon], &rest[at..]),
        Some(_) => text.to_owned(),
        // A port is shown; anything else behind the colon could be a password whose @ is missing.
        None => {
            let port = rest[colon + 1..].split(['/', '?', '#']).next().unwrap_or_default();
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.to_owned() } else { format!("{}:***", &text[..start + colon]) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_or_none() {
        let known = ["interval", "timeout", "stale_after"];
        assert_eq!(nearest("intervall", known), Some("interval"));
        assert_eq!(nearest("Timeuot", known), Some("timeout"));
        assert_eq!(nearest("stale-after", known), Some("stale_after"));
        assert_eq!(nearest("frequency", known), None);
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        for text in [
            "postgres://me:hunter2@host/db",
            "postgres://me:hun:ter2@hunter2@host/db",
            "http://me:hunter2host/",
            "host=10.0.0.1 password=hunter2",
            "password hunter2",
            "redis-cli --pass hunter2",
            "me:hunter2@host",
            ":hunter2@host:6379",
            "http://host:9200?apikey=hunter2",
        ] {
            assert!(!shown(text).contains("hunter2"), "{}", shown(text));
        }
        assert_eq!(shown("5"), "\"5\"");
        assert_eq!(shown("/etc/standbywatch/password"), "\"/etc/standbywatch/password\"");
    }

    proptest::proptest! {
        #[test]
        fn no_text_crashes_the_wording(text in ".{0,80}", other in "\\PC{0,40}") {
            let _ = (shown(&text), nearest(&text, [other.as_str()]));
        }
    }
}
