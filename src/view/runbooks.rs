//! The runbooks, as they are in `docs/runbooks.md`: whoever is paged need not have the repository at hand.

/// All of them, in Markdown.
pub const ALL: &str = include_str!("../../docs/runbooks.md");

/// The section of one rule, from its heading to the next one; `None`: there is no such rule.
pub fn section(rule: &str) -> Option<&'static str> {
    let heading = |line: &str| line.strip_prefix("## ").is_some_and(|name| name == rule);
    let start = lines_with_places(ALL).find(|(_, line)| heading(line)).map(|(place, _)| place)?;
    let rest = &ALL[start..];
    let end = lines_with_places(rest).skip(1).find(|(_, line)| line.starts_with("## ")).map(|(place, _)| place);
    Some(rest[..end.unwrap_or(rest.len())].trim_end())
}

fn lines_with_places(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |place, line| {
        let at = *place;
        *place += line.len();
        Some((at, line.trim_end()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RuleName;

    #[test]
    fn each_rule_has_its_section_and_no_other_s() {
        for rule in RuleName::ALL {
            let section = section(rule.as_str()).unwrap_or_else(|| panic!("no section of {rule}"));
            assert!(section.starts_with(&format!("## {rule}\n")), "{section}");
            assert_eq!(section.matches("\n## ").count(), 0, "{section}");
            assert!(section.contains("**Means.**") && section.contains("**Ignore when.**"), "{section}");
        }
        assert_eq!(section("StandbyNoSuchRule"), None);
        assert_eq!(section(""), None);
    }
}
