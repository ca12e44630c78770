//! What somebody calls a thing, as the name of a file.

use std::fmt::Write;

/// `name` as a file's: letters, digits, `-`, `_` and `.` stand for themselves, whatever else could mean something in a path is written
/// as `%` and the code of each of its bytes. So two names never share a file. None begins with `.` or `_`, which are the agent's own.
pub fn file_name(name: &str) -> String {
    name.bytes().enumerate().fold(String::new(), |mut text, (at, byte)| {
        if byte.is_ascii_alphanumeric() || byte == b'-' || (b"._".contains(&byte) && at > 0) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_cannot_leave_the_directory() {
        assert_eq!(file_name("catalog-2_x.y"), "catalog-2_x.y");
        assert_eq!(file_name("../x y"), "%2E.%2Fx%20y");
        assert_eq!(file_name(".."), "%2E.");
        assert_eq!(file_name("_agent"), "%5Fagent", "the agent's own");
    }

    #[test]
    fn names_that_differ_in_odd_letters_only_share_no_file() {
        let names = ["a/b", "a_b", "a b", "a%2Fb", "a\u{20AC}", "a AC", "a%20AC", "\u{e9}", "e\u{301}", ""];
        let files: BTreeSet<_> = names.into_iter().map(file_name).collect();
        assert_eq!(files.len(), names.len(), "{files:?}");
    }

    proptest! {
        #[test]
        fn every_name_can_be_read_back(name in any::<String>()) {
            let file = file_name(&name);
            prop_assert!(file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.%".contains(&byte)), "{file}");
            let mut bytes = Vec::new();
            let mut rest = file.as_str();
            while let Some(first) = rest.chars().next() {
                let long = if first == '%' { 3 } else { 1 };
                let (one, after) = rest.split_at(long);
                bytes.push(one.strip_prefix('%').map_or_else(|| one.as_bytes()[0], |code| u8::from_str_radix(code, 16).unwrap()));
                rest = after;
            }
            prop_assert_eq!(bytes, name.into_bytes());
        }
    }
}
