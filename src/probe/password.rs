//! Reads a configured password at the moment it is needed, so that a changed one is found without a restart.

use crate::config::SecretSource;
use crate::facts::Failure;
use crate::names::FailureKind;
use crate::secret::Secret;

/// The password's text; `None` where none is configured.
///
/// # Errors
/// A file that cannot be read is `permission`, with its path and the cure. The caller sets the deadline.
pub async fn password_of(source: Option<&SecretSource>) -> Result<Option<Secret>, Failure> {
    let Some(source) = source.cloned() else { return Ok(None) };
    let read = tokio::task::spawn_blocking(move || source.read()).await;
    let failure = |message: String| Failure::new(FailureKind::Permission, message);
    match read {
        Ok(Ok(secret)) => Ok(Some(secret)),
        Ok(Err(error)) => Err(failure(error.to_string())),
        Err(gone) => Err(failure(format!("the password could not be read: {gone}"))),
    }
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
