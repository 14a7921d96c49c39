//! A guard and plain calls on async-std or smol, and a bare hyper connection over async-io that encodes and decodes the
//! same structs, without any timeout.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use async_io::Async;
use bytes::Bytes;
use cycles_async_std::{CyclesClient, HttpOptions};
use futures::io::{AsyncRead as _, AsyncWrite as _};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;

#[cfg(feature = "async-std")]
use async_std::task::block_on;
#[cfg(not(feature = "async-std"))]
use smol::block_on;

use crate::Settings;
use crate::by_hand::{ByHand, committed, granted};
use crate::in_turn::{self, Contender};
use crate::requests::{commit, reserve};

const EXECUTOR: &str = if cfg!(feature = "async-std") {
    "async-std"
} else {
    "smol"
};

pub fn repeat(only: &str, url: &str, settings: &Settings) -> bool {
    with_contenders(url, |contenders| in_turn::repeat(only, contenders, settings))
}

pub fn measure(url: &str, settings: &Settings) {
    with_contenders(url, |contenders| {
        in_turn::measure(EXECUTOR, contenders, settings);
    });
}

fn with_contenders<T>(url: &str, act: impl FnOnce(&[Contender<'_>]) -> T) -> T {
    let bare = Bare::new(url);
    let client = client(url);
    act(&[
        Contender {
            name: "bare hyper over async-io",
            only: "async-io-bare",
            reservation: &|| bare.calls(),
        },
        Contender {
            name: "ours, plain calls",
            only: "async-io-plain",
            reservation: &|| plain_calls(&client),
        },
        Contender {
            name: "ours, no journal",
            only: "async-io",
            reservation: &|| guarded(&client),
        },
    ])
}

fn client(url: &str) -> CyclesClient {
    CyclesClient::builder("cyc_live_0123456789abcdef", url)
        .tenant("acme-corp")
        .journal_enabled(false)
        .http(HttpOptions::new().no_proxy())
        .build()
}

fn guarded(client: &CyclesClient) {
    block_on(async {
        let guard = client.reserve(reserve()).await.unwrap();
        assert!(guard.commit(commit()).await.unwrap().is_settled());
    });
}

fn plain_calls(client: &CyclesClient) {
    block_on(async {
        let granted = client.create_reservation(&reserve()).await.unwrap();
        let id = granted.reservation_id.unwrap();
        let committed = client.commit_reservation(&id, &commit()).await.unwrap();
        assert_eq!(committed.charged.amount, 42);
    });
}

type Connection = (
    http1::SendRequest<Full<Bytes>>,
    http1::Connection<Socket, Full<Bytes>>,
);

/// A single connection, without a pool.
struct Bare {
    connection: Mutex<Connection>,
    by_hand: ByHand,
}

impl Bare {
    fn new(url: &str) -> Self {
        let address = url.trim_start_matches("http://");
        let connection = block_on(async {
            let address: SocketAddr = address.parse().unwrap();
            let stream = Async::<TcpStream>::connect(address).await.unwrap();
            stream.get_ref().set_nodelay(true).unwrap();
            http1::handshake(Socket(stream, [0; 4096])).await.unwrap()
        });
        Self {
            connection: Mutex::new(connection),
            by_hand: ByHand {
                base: String::new(),
                host: Some(address.parse().unwrap()),
                user_agent: "cycles-rust/0.1.0 (async-io)",
            },
        }
    }

    fn calls(&self) {
        let connection = &mut *self.connection.lock().unwrap();
        block_on(async {
            let reservation = granted(send(connection, self.by_hand.reserve()).await);
            committed(send(connection, self.by_hand.commit(&reservation)).await);
        });
    }
}

async fn send((sender, connection): &mut Connection, request: Request<Bytes>) -> Response<Bytes> {
    let mut call = pin!(async {
        let answer = sender.send_request(request.map(Full::new)).await.unwrap();
        let (head, body) = answer.into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    });
    poll_fn(|cx| {
        if let Poll::Ready(answer) = call.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        assert!(Pin::new(&mut *connection).poll(cx).is_pending());
        call.as_mut().poll(cx)
    })
    .await
}

struct Socket(Async<TcpStream>, [u8; 4096]);

impl hyper::rt::Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self(stream, landing) = self.get_mut();
        let read = ready!(Pin::new(stream).poll_read(cx, landing))?;
        buf.put_slice(&landing[..read]);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
