//! Reads a configured password at the moment it is needed, so that a changed one is found without a restart.

use crate::config::SecretSource;
use crate::facts::Failure;
use crate::names::FailureKind;
use crate::secret::Secret;

/// A password file is this long at most, in bytes; only its first line counts.
const MAX_BYTES: usize = 64 * 1024;

/// The password's text; `None` where none is configured.
///
/// # Errors
/// A file that cannot be read is `permission`, with its path and the cure. The caller sets the deadline.
pub async fn password_of(source: Option<&SecretSource>) -> Result<Option<Secret>, Failure> {
    let path = match source {
        None => return Ok(None),
        Some(SecretSource::Inline(secret)) => return Ok(Some(secret.clone())),
        Some(SecretSource::File(path)) => path.clone(),
    };
    let shown = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || first_line(&path)).await;
    let text = read.unwrap_or_else(|gone| Err(std::io::Error::other(gone))).map_err(|error| {
        let cure = "let the agent's user read it, or correct the path";
        Failure::new(FailureKind::Permission, format!("the password file {shown} cannot be read: {error}; {cure}"))
    })?;
    Ok(Some(Secret::new(text)))
}

fn first_line(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES as u64).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_line_of_the_file_as_it_is_now() {
        let path = std::env::temp_dir().join(format!("standbywatch-password-{}", std::process::id()));
        std::fs::write(&path, "first\nsecond\n").unwrap();
        let source = SecretSource::File(path.clone());
        assert_eq!(password_of(Some(&source)).await, Ok(Some(Secret::new("first"))));
        std::fs::write(&path, "changed").unwrap();
        assert_eq!(password_of(Some(&source)).await, Ok(Some(Secret::new("changed"))));
        std::fs::remove_file(&path).unwrap();
        let failure = password_of(Some(&source)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Permission);
        assert!(failure.message.contains("standbywatch-password-"), "{failure}");
        assert_eq!(password_of(None).await, Ok(None));
    }
}
