//! Delivers responses whole, cut short or byte by byte, and ends connections with a reset.

use std::fmt;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

/// The connection ends without a (whole) response.
#[derive(Debug)]
pub(crate) struct NoResponse;

impl fmt::Display for NoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ends here")
    }
}

impl std::error::Error for NoResponse {}

/// A response body. Its size hint, and so `Content-Length`, is that of the whole body, unless it has no end.
pub(crate) struct Delivery {
    rest: Bytes,
    manner: Manner,
}

enum Manner {
    Whole,
    /// What arrives, until the other end is dropped.
    Stream(mpsc::Receiver<Bytes>),
    /// Ends the connection when this many bytes are left, after flushing the others.
    Cut {
        left: usize,
        sent: bool,
    },
    Drip {
        gap: Duration,
        wait: Option<Pin<Box<Sleep>>>,
    },
}

impl Delivery {
    pub(crate) fn whole(body: Bytes) -> Self {
        Self {
            rest: body,
            manner: Manner::Whole,
        }
    }

    pub(crate) fn cut(body: Bytes) -> Self {
        let left = body.len().div_ceil(2);
        Self {
            rest: body,
            manner: Manner::Cut { left, sent: false },
        }
    }

    pub(crate) fn drip(body: Bytes, gap: Duration) -> Self {
        Self {
            rest: body,
            manner: Manner::Drip { gap, wait: None },
        }
    }

    /// A body that has no end until the other end of `chunks` is dropped.
    pub(crate) const fn stream(chunks: mpsc::Receiver<Bytes>) -> Self {
        Self {
            rest: Bytes::new(),
            manner: Manner::Stream(chunks),
        }
    }

    /// The next `count` bytes.
    fn take(&mut self, count: usize) -> Poll<Option<Result<Frame<Bytes>, NoResponse>>> {
        let count = count.min(self.rest.len());
        Poll::Ready((count > 0).then(|| Ok(Frame::data(self.rest.split_to(count)))))
    }
}

impl Body for Delivery {
    type Data = Bytes;
    type Error = NoResponse;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NoResponse>>> {
        let length = self.rest.len();
        match &mut self.manner {
            Manner::Whole => self.take(length),
            Manner::Stream(chunks) => chunks.poll_recv(cx).map(|chunk| Some(Ok(Frame::data(chunk?)))),
            Manner::Cut { left, .. } if length > *left => {
                let count = length - *left;
                self.take(count)
            }
            // An error discards unflushed bytes, and hyper flushes only when the body is pending.
            Manner::Cut { sent, .. } if !*sent => {
                *sent = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Manner::Cut { .. } => Poll::Ready(Some(Err(NoResponse))),
            Manner::Drip { gap, wait } => {
                if length > 0 {
                    ready!(
                        wait.get_or_insert_with(|| Box::pin(sleep(*gap)))
                            .as_mut()
                            .poll(cx)
                    );
                    *wait = None;
                }
                self.take(1)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !matches!(self.manner, Manner::Cut { .. } | Manner::Stream(_))
    }

    fn size_hint(&self) -> SizeHint {
        match self.manner {
            Manner::Stream(_) => SizeHint::default(),
            Manner::Whole | Manner::Cut { .. } | Manner::Drip { .. } => {
                SizeHint::with_exact(self.rest.len() as u64)
            }
        }
    }
}

/// Decides whether a connection ends with a reset instead of an orderly close.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    pub(crate) fn turn_on(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A socket that, if its switch is on, resets the connection when dropped.
pub(crate) struct Resettable {
    stream: TcpStream,
    reset: ResetSwitch,
}

impl Resettable {
    pub(crate) fn new(stream: TcpStream, reset: ResetSwitch) -> Self {
        Self { stream, reset }
    }

    fn is_on(&self) -> bool {
        self.reset.0.load(Ordering::Acquire)
    }
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.is_on() {
            // If this fails, the connection is closed instead of reset.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // After an orderly shutdown the client would not see the reset.
        if self.is_on() {
            Poll::Ready(Ok(()))
        } else {
            Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bytes)
    }
}
