//! Byte streams with hyper's traits.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection, plain or encrypted.
pub(crate) type Stream = Box<dyn Duplex + Send>;

/// A stream that can be read and written.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A stream with hyper's traits.
pub(crate) struct Wire<S> {
    stream: S,
    /// How many reads in a row have returned bytes.
    reads: u32,
}

const LANDING: usize = 8 * 1024;

/// The number of reads after which the task yields: hyper reads for as long as there are bytes, and a server that never
/// stops sending would keep the task from noticing a timeout.
const READS_IN_A_ROW: u32 = 8;

impl<S> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, reads: 0 }
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
        if wire.reads == READS_IN_A_ROW {
            wire.reads = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // hyper's buffer may be uninitialized, so bytes are first read into this one. All connections use this part of
        // the stack, which is therefore in the processor's cache.
        let mut landing = [const { MaybeUninit::uninit() }; LANDING];
        let most = buf.remaining().min(LANDING);
        let mut landed = ReadBuf::uninit(landing.get_mut(..most).unwrap_or_default());
        let Poll::Ready(read) = Pin::new(&mut wire.stream).poll_read(cx, &mut landed) else {
            wire.reads = 0;
            return Poll::Pending;
        };
        wire.reads += 1;
        read?;
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
