//! The sockets and timers of async-io, which async-std and smol share.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::Async;
use cycles_host::Clock;
use cycles_http::{Place, Reactor};
use futures::io::{AsyncRead as _, AsyncWrite as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::background::Tasks;
use crate::executor;
use crate::time::Sleep;

/// Makes calls on the background thread.
#[derive(Clone)]
pub(crate) struct AsyncIoReactor {
    clock: Clock,
    tasks: Arc<OnceLock<Tasks>>,
}

impl AsyncIoReactor {
    pub(crate) fn new(clock: Clock, tasks: Arc<OnceLock<Tasks>>) -> Self {
        Self { clock, tasks }
    }
}

impl Reactor for AsyncIoReactor {
    type Stream = Socket;
    type Sleep = Sleep;
    type RuntimeId = ();

    fn place(&self) -> Place<()> {
        Place::Own
    }

    fn spawn(&self, _: &Place<()>, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = self.tasks.get().and_then(Weak::upgrade) {
            tasks.spawn(task).detach();
        }
    }

    fn now(&self) -> Duration {
        self.clock.mono()
    }

    fn sleep(&self, time: Duration) -> Sleep {
        Sleep::lasting(time)
    }

    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let name = name.to_owned();
        executor::unblock(move || (name, port).to_socket_addrs().map(Vec::from_iter)).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Socket> {
        let stream = Async::<TcpStream>::connect(address).await?;
        // A request is written in one piece, so waiting for more data would only delay it.
        let _ = stream.get_ref().set_nodelay(true);
        Ok(Socket(stream))
    }
}

/// An async-io socket with tokio's traits for byte streams.
pub(crate) struct Socket(Async<TcpStream>);

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.get_mut().0).poll_read(cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.get_ref().shutdown(Shutdown::Write))
    }
}
