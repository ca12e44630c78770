//! What is wrong with a configuration: all of it at once, each with its place, the offending text and a cure.

use std::cell::RefCell;
use std::fmt;

/// A position in the file, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is; `None` if it concerns the whole file.
    pub place: Option<Place>,
    /// What is wrong, with the offending text, never with a secret.
    pub text: String,
    /// What would be right.
    pub cure: String,
}

/// Every mistake of one configuration. Prints one line for each: `FILE:LINE:COLUMN: text; cure`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// The file's name; empty for what came from the command line.
    pub source_name: String,
    /// At least one, in the order of the file.
    pub list: Vec<Problem>,
}

impl Problems {
    /// A single mistake without a place.
    pub fn whole(source_name: &str, text: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::at(source_name, None, text, cure)
    }

    /// A single mistake.
    pub(super) fn at(
        source_name: &str,
        place: Option<Place>,
        text: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        let problem = Problem { place, text: text.into(), cure: cure.into() };
        Self { source_name: source_name.to_owned(), list: vec![problem] }
    }

    /// A single mistake that begins in this line.
    pub(super) fn in_line(source_name: &str, line: usize, text: &str, cure: &str) -> Self {
        let place = Place { line: u32::try_from(line).unwrap_or(u32::MAX), column: 1 };
        Self::at(source_name, Some(place), text, cure)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if !self.source_name.is_empty() {
                write!(f, "{}:", self.source_name)?;
                if let Some(place) = problem.place {
                    write!(f, "{}:{}:", place.line, place.column)?;
                }
                f.write_str(" ")?;
            }
            write!(f, "{}; {}", problem.text, problem.cure)?;
        }
        Ok(())
    }
}

/// Gathers mistakes and warnings while a configuration is walked, so that reading goes on after each.
#[derive(Debug, Default)]
pub(super) struct Found {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<String>>,
}

impl Found {
    pub(super) fn problem(&self, place: Place, text: impl Into<String>, cure: impl Into<String>) {
        let problem = Problem { place: Some(place), text: text.into(), cure: cure.into() };
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn warning(&self, text: String) {
        self.warnings.borrow_mut().push(text);
    }

    pub(super) fn warnings(&self, texts: impl IntoIterator<Item = String>) {
        self.warnings.borrow_mut().extend(texts);
    }

    /// The warnings if nothing is wrong, else all that is wrong.
    pub(super) fn finish(self, source_name: &str) -> Result<Vec<String>, Problems> {
        let mut list = self.problems.into_inner();
        if list.is_empty() {
            return Ok(self.warnings.into_inner());
        }
        list.sort_by_key(|problem| problem.place);
        list.dedup();
        Err(Problems { source_name: source_name.to_owned(), list })
    }
}
