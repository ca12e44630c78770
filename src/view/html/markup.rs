//! Text that is safe to put into a page, and the two ways to make more of it: filling a template, making a table.

use std::fmt::Write;

/// Markup. Text from outside becomes markup through [`Html::text`] only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Any text, escaped for content and for quoted attributes.
    pub(super) fn text(text: &str) -> Self {
        let mut out = String::with_capacity(text.len());
        for character in text.chars() {
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
        Self(out)
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
        Self(out)
    }

    /// Markup that is written in this program.
    pub(super) fn trusted(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    /// One after the other.
    pub(super) fn joined(parts: &[Self]) -> Self {
        Self(parts.iter().map(|part| part.0.as_str()).collect())
    }

    /// The template with each `{{key}}` replaced. What is put in is not searched for keys again.
    pub(super) fn fill(template: &'static str, values: &[(&str, Self)]) -> Self {
        let mut out = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            let (key, behind) = after.split_once("}}").unwrap_or((after, ""));
            let value = values.iter().find(|(name, _)| *name == key);
            debug_assert!(value.is_some(), "the template asks for {key:?}");
            if let Some((_, value)) = value {
                out.push_str(&value.0);
            }
            rest = behind;
        }
        out.push_str(rest);
        Self(out)
    }

    /// The markup as it goes out.
    pub(super) fn into_string(self) -> String {
        self.0
    }
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
            let _ = match index {
                0 => write!(out, "<th scope=\"row\" role=\"rowheader\">{}</th>", cell.0),
                _ => write!(out, "<td role=\"cell\" data-label=\"{label}\">{}</td>", cell.0),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    Html(out)
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
    fn a_name_stays_one_segment_of_a_path() {
        assert_eq!(Html::path("orders <eu>/ü?").into_string(), "orders%20%3Ceu%3E%2F%C3%BC%3F");
    }

    #[test]
    fn a_value_that_looks_like_a_key_stays_as_it_is() {
        let filled = Html::fill("<p>{{a}} {{b}}</p>", &[("a", Html::text("{{b}}")), ("b", Html::text("x"))]);
        assert_eq!(filled.into_string(), "<p>{{b}} x</p>");
    }
}
