//! Only a port: that it answers, and how fast. Nothing is sent, so that a closed protocol is not disturbed.

use std::io::ErrorKind;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::config::TcpStoreNode;
use crate::facts::Failure;
use crate::names::{FailureKind, Name};

/// One node's port.
pub struct TcpStore {
    node: Name,
    settings: TcpStoreNode,
}

impl TcpStore {
    /// Connects anew each time.
    pub const fn new(node: Name, settings: TcpStoreNode) -> Self {
        Self { node, settings }
    }

    /// Connects and hangs up.
    ///
    /// # Errors
    /// A closed kind.
    pub async fn connect(&self, deadline: Instant) -> Result<(), Failure> {
        let (node, address) = (&self.node, &self.settings.address);
        let connected = timeout_at(deadline, TcpStream::connect(address)).await;
        let Ok(connected) = connected else {
            let message = format!("the port of {node}'s store ({address}) does not answer; look at the link to it");
            return Err(Failure::new(FailureKind::Timeout, message));
        };
        connected.map(drop).map_err(|error| {
            let kind = match error.kind() {
                ErrorKind::ConnectionRefused => FailureKind::Refused,
                ErrorKind::TimedOut => FailureKind::Timeout,
                _ => FailureKind::Unreachable,
            };
            Failure::new(kind, format!("connecting to the port of {node}'s store ({address}): {error}"))
        })
    }

    /// Why nothing can be written or read.
    pub fn cannot(&self) -> Failure {
        Failure::new(FailureKind::Protocol, format!("the store of {} is only a port (tcp)", self.node))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(300)
    }

    #[tokio::test]
    async fn a_silent_server_is_reached_and_a_closed_port_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let store = TcpStore::new(Name::new("beta"), TcpStoreNode { address });
        store.connect(soon()).await.unwrap();
        drop(listener);
        assert_eq!(store.connect(soon()).await.unwrap_err().kind, FailureKind::Refused);
    }
}
