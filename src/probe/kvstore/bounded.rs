//! A stream that gives up on a server which answers without end: the client library keeps an answer in memory until it is whole.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So many bytes may come between two requests. A canary and the answers to it are some hundred.
pub const MOST: usize = 1 << 20;

/// Set when a stream has given up.
pub type Exceeded = Arc<AtomicBool>;

/// Ends with an error after [`MOST`] bytes without a request of ours.
pub struct Bounded<S> {
    inner: S,
    left: usize,
    exceeded: Exceeded,
}

impl<S> Bounded<S> {
    /// Bounds `inner`; the flag tells that it was the bound that ended it.
    pub fn new(inner: S) -> (Self, Exceeded) {
        let exceeded = Exceeded::default();
        (Self { inner, left: MOST, exceeded: exceeded.clone() }, exceeded)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.exceeded.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other("the answer is too long")));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.left = MOST;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn it_ends_after_the_bound_and_a_request_lifts_it() {
        let (ours, mut theirs) = tokio::io::duplex(4 * MOST);
        let (mut bounded, exceeded) = Bounded::new(ours);
        theirs.write_all(&vec![b'a'; 3 * MOST]).await.unwrap();
        let mut half = vec![0; MOST / 2];
        for _ in 0..2 {
            bounded.read_exact(&mut half).await.unwrap();
        }
        bounded.write_all(b"PING").await.unwrap();
        bounded.read_exact(&mut half).await.unwrap();
        assert!(!exceeded.load(Ordering::Relaxed));
        let mut rest = Vec::new();
        bounded.read_to_end(&mut rest).await.unwrap_err();
        assert!(exceeded.load(Ordering::Relaxed) && rest.len() < 2 * MOST, "{}", rest.len());
    }
}
