//! Bytes to and from the server, with the traits that hyper asks for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection, plain or encrypted.
pub(crate) type Stream = Box<dyn Duplex + Send>;

/// Both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A connection as hyper wants to see it.
pub(crate) struct Wire<S> {
    stream: S,
    /// Where bytes land before hyper has them: its own buffer may hold none that were not written yet.
    landing: Box<[u8]>,
}

const LANDING: usize = 8 * 1024;

impl<S> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            landing: vec![0; LANDING].into(),
        }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: Duplex> hyper::rt::Read for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let most = buf.remaining().min(LANDING);
        let mut landed = ReadBuf::new(wire.landing.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut wire.stream).poll_read(cx, &mut landed))?;
        buf.put_slice(landed.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: Duplex> hyper::rt::Write for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
