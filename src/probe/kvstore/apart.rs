//! Whether two stores that do not say who they are are two: what is written to one of them only must not be found in the other.

use std::time::Duration;

use tokio::time::Instant;

use super::canary::Canary;
use super::store::Store;

/// So many times in a row: stores that replicate by themselves, both ways, are now and then as quick as one.
const ENOUGH: u8 = 3;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Apart {
    /// So many times in a row what was written to one was found in the other.
    found: u8,
    next: Option<Instant>,
}

impl Apart {
    /// Writes `canary` to `one`, under a key of its own, and looks for it in the other; then again after `every`, and in the next cycle while
    /// it is found. What cannot be written or read leaves all as it was.
    pub(super) async fn look(
        &mut self,
        (one, other): (&mut Store, &mut Store),
        (key, canary, ttl): (&str, &Canary, Duration),
        every: Duration,
        deadline: Instant,
    ) {
        if one.says_who_it_is() && other.says_who_it_is() || self.next.is_some_and(|next| Instant::now() < next) {
            return;
        }
        let key = format!("{key}/one-side");
        if one.put(deadline, &key, &canary.to_string(), ttl).await.is_err() {
            return;
        }
        let found = other.mark(deadline, &key).await;
        // What cannot be taken away now expires, or is written over.
        let _ = one.delete(deadline, &key).await;
        let Ok(found) = found else { return };
        if found == Some(canary.mark) {
            self.found = self.found.saturating_add(1);
        } else {
            *self = Self { found: 0, next: Some(Instant::now() + every) };
        }
    }

    /// Nothing that is found on both sides proves anything until they are found to be two.
    pub(super) const fn is_doubted(&self) -> bool {
        self.found > 0
    }

    /// They are one, or each shows at once what the other has.
    pub(super) const fn are_one(&self) -> bool {
        self.found >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::{ExecStoreNode, KvstoreNode, RedisNode};
    use crate::names::{Lane, Name};
    use crate::probe::kvstore::canary::Writer;

    /// Stores of files, by commands: a directory each.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("standbywatch-apart-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn store(&self, name: &str) -> Store {
            let dir = self.0.join(name);
            std::fs::create_dir_all(&dir).unwrap();
            let command = |what: &str| {
                let script =
                    format!("cd '{}' && f=$(printf %s \"$STANDBYWATCH_KEY\" | tr / _) && {what}", dir.display());
                vec!["/bin/sh".to_owned(), "-c".to_owned(), script]
            };
            let node = ExecStoreNode {
                put: command("printf %s \"$STANDBYWATCH_VALUE\" > \"$f\""),
                get: command("if [ -e \"$f\" ]; then cat \"$f\"; fi"),
                delete: Some(command("rm -f \"$f\"")),
            };
            Store::new(&Name::new(name), &KvstoreNode::Exec(node))
        }

        fn is_empty(&self, name: &str) -> bool {
            std::fs::read_dir(self.0.join(name)).unwrap().next().is_none()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    async fn look(apart: &mut Apart, one: &mut Store, other: &mut Store, every: Duration) -> (bool, bool) {
        let writer = Writer::this_process();
        let (key, canary) = (writer.key("p", "shop", Lane::Fast), writer.canary(7));
        let deadline = Instant::now() + Duration::from_secs(20);
        apart.look((one, other), (&key, &canary, Duration::from_secs(60)), every, deadline).await;
        (apart.is_doubted(), apart.are_one())
    }

    #[tokio::test]
    async fn what_is_found_at_the_other_name_too_is_doubted_at_once_and_one_after_three_times() {
        let place = Place::new("one");
        let (mut one, mut other, mut apart) = (place.store("a"), place.store("a"), Apart::default());
        for expected in [(true, false), (true, false), (true, true), (true, true)] {
            assert_eq!(look(&mut apart, &mut one, &mut other, Duration::ZERO).await, expected);
        }
        assert!(place.is_empty("a"), "it is taken away again");
        // The second name leads elsewhere now; what cannot be asked tells nothing.
        let silent = ExecStoreNode { put: vec!["/bin/false".into()], get: vec!["/bin/false".into()], delete: None };
        let mut silent = Store::new(&Name::new("b"), &KvstoreNode::Exec(silent));
        assert_eq!(look(&mut apart, &mut one, &mut silent, Duration::ZERO).await, (true, true));
        assert_eq!(look(&mut apart, &mut silent, &mut one, Duration::ZERO).await, (true, true));
        assert_eq!(look(&mut apart, &mut one, &mut place.store("b"), Duration::ZERO).await, (false, false));
    }

    #[tokio::test]
    async fn two_are_two_and_are_looked_at_again_after_a_while_only() {
        let place = Place::new("two");
        let (mut one, mut other, mut apart) = (place.store("a"), place.store("b"), Apart::default());
        assert_eq!(look(&mut apart, &mut one, &mut other, Duration::from_hours(1)).await, (false, false));
        assert!(place.is_empty("a") && place.is_empty("b"));
        std::fs::remove_dir_all(place.0.join(Path::new("b"))).unwrap();
        assert_eq!(look(&mut apart, &mut one, &mut place.store("a"), Duration::from_hours(1)).await, (false, false));
        apart.next = None;
        assert_eq!(look(&mut apart, &mut one, &mut place.store("a"), Duration::from_hours(1)).await, (true, false));
    }

    #[tokio::test]
    async fn stores_that_say_who_they_are_are_not_written_to_for_it() {
        let redis = || {
            let address = "127.0.0.1:1".to_owned();
            let node = RedisNode { address, user: None, password: None, database: 0, tls: None };
            Store::new(&Name::new("a"), &KvstoreNode::Redis(node))
        };
        let mut apart = Apart::default();
        assert_eq!(look(&mut apart, &mut redis(), &mut redis(), Duration::ZERO).await, (false, false));
    }
}
