//! Text that is safe to put into a page, and the two ways to make more of it: filling a template, making a table.

use std::borrow::Cow;
use std::fmt::Write;

/// Markup. Text from outside becomes markup through [`Html::text`] only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(Cow<'static, str>);

impl Html {
    /// Any text, escaped for content and for quoted attributes.
    pub(super) fn text(text: &str) -> Self {
        // Most texts have nothing to escape, and a page has hundreds.
        let clean = text.bytes().position(may_need_escape).unwrap_or(text.len());
        let (before, rest) = text.split_at(clean);
        let mut out = String::with_capacity(text.len());
        out.push_str(before);
        for character in rest.chars() {
            match character {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                // Other control characters are no part of HTML.
                control if control.is_control() && control != '\n' && control != '\t' => out.push('\u{FFFD}'),
                other => out.push(other),
            }
        }
        Self(out.into())
    }

    /// Any text as one segment of a path.
    pub(super) fn path(text: &str) -> Self {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
                byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
                // Writing to a String cannot fail.
                other => drop(write!(out, "%{other:02X}")),
            }
        }
        Self(out.into())
    }

    /// Markup that is written in this program.
    pub(super) const fn trusted(markup: &'static str) -> Self {
        Self(Cow::Borrowed(markup))
    }

    /// One after the other.
    pub(super) fn joined(parts: &[Self]) -> Self {
        Self(Cow::Owned(parts.iter().map(|part| part.0.as_ref()).collect()))
    }

    /// The template with each `{{key}}` replaced. What is put in is not searched for keys again.
    pub(super) fn fill(template: &'static str, values: &[(&str, Self)]) -> Self {
        let inside: usize = values.iter().map(|(_, value)| value.0.len()).sum();
        let mut out = String::with_capacity(template.len() + inside);
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            let Some(after) = rest[at..].strip_prefix("{{") else {
                let (before, behind) = rest.split_at(at + 1);
                out.push_str(before);
                rest = behind;
                continue;
            };
            out.push_str(&rest[..at]);
            let (key, behind) = after.split_once("}}").unwrap_or((after, ""));
            let value = values.iter().find(|(name, _)| *name == key);
            debug_assert!(value.is_some(), "the template asks for {key:?}");
            if let Some((_, value)) = value {
                out.push_str(&value.0);
            }
            rest = behind;
        }
        out.push_str(rest);
        Self(out.into())
    }

    /// The markup as it goes out.
    pub(super) fn into_string(self) -> String {
        self.0.into_owned()
    }
}

/// Whether a character that is escaped may begin with this byte: markup, a control character, or U+0080 to U+00BF, which hold more of them.
const fn may_need_escape(byte: u8) -> bool {
    matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'' | 0x7F | 0xC2) || (byte < b' ' && byte != b'\n' && byte != b'\t')
}

/// A heading and a table under it; the first cell of each row is its header. Without rows: nothing.
///
/// The roles are written out because the style shows rows as blocks on a narrow screen, which hides the table from readers.
pub(super) fn table(title: &'static str, head: &[&'static str], rows: &[Vec<Html>]) -> Html {
    if rows.is_empty() {
        return Html::default();
    }
    let mut out = format!(
        "<h3>{title}</h3>\n<table role=\"table\" aria-label=\"{title}\">\n<thead role=\"rowgroup\"><tr role=\"row\">"
    );
    for label in head {
        let _ = write!(out, "<th scope=\"col\" role=\"columnheader\">{label}</th>");
    }
    out.push_str("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    for row in rows {
        out.push_str("<tr role=\"row\">");
        for (index, (cell, label)) in row.iter().zip(head).enumerate() {
            let parts = match index {
                0 => ["<th scope=\"row\" role=\"rowheader\">", "", "", &cell.0, "</th>"],
                _ => ["<td role=\"cell\" data-label=\"", label, "\">", &cell.0, "</td>"],
            };
            out.extend(parts);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    Html(out.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_leaves_its_place(text in ".{0,60}") {
            let safe = Html::text(&text).into_string();
            prop_assert!(!safe.contains(['<', '>', '"', '\'']), "{}", safe);
        }
    }

    #[test]
    fn each_control_character_is_shown_as_one_that_is_not_known() {
        for control in (0..=0x9F).map(char::from).filter(|character| character.is_control()) {
            let shown = if matches!(control, '\n' | '\t') { control } else { '\u{FFFD}' };
            assert_eq!(Html::text(&format!("a ü{control}<")).into_string(), format!("a ü{shown}&lt;"), "{control:?}");
        }
    }

    #[test]
    fn a_name_stays_one_segment_of_a_path() {
        assert_eq!(Html::path("orders <eu>/ü?").into_string(), "orders%20%3Ceu%3E%2F%C3%BC%3F");
    }

    #[test]
    fn a_value_that_looks_like_a_key_stays_as_it_is() {
        let filled = Html::fill("<p>{ {{a}} {{b}}</p>{", &[("a", Html::text("{{b}}")), ("b", Html::text("x"))]);
        assert_eq!(filled.into_string(), "<p>{ {{b}} x</p>{");
    }
}
