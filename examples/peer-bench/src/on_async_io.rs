//! A guard, and plain calls, on async-std or smol; and a bare connection of hyper over async-io that sends the same
//! bytes without any time limit.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use async_io::Async;
use bytes::Bytes;
use cycles_async_std::models::{Action, Amount, CommitRequest, ReservationCreateRequest, Subject};
use cycles_async_std::{CyclesClient, HttpOptions};
use futures::io::{AsyncRead as _, AsyncWrite as _};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;

#[cfg(feature = "async-std")]
use async_std::task::block_on;
#[cfg(not(feature = "async-std"))]
use smol::block_on;

use crate::in_turn::{self, Contender};
use crate::{Settings, recorded};

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
            life: &|| bare.life(),
        },
        Contender {
            name: "ours, plain calls",
            only: "async-io-plain",
            life: &|| plain_life(&client),
        },
        Contender {
            name: "ours, no journal",
            only: "async-io",
            life: &|| life(&client),
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

fn life(client: &CyclesClient) {
    block_on(async {
        let guard = client.reserve(reserve()).await.unwrap();
        assert!(guard.commit(commit()).await.unwrap().is_settled());
    });
}

fn plain_life(client: &CyclesClient) {
    block_on(async {
        let granted = client.create_reservation(&reserve()).await.unwrap();
        let id = granted.reservation_id.unwrap();
        let committed = client.commit_reservation(&id, &commit()).await.unwrap();
        assert_eq!(committed.charged.amount, 42);
    });
}

fn reserve() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant("acme-corp"))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::tokens(1000))
        .build()
}

fn commit() -> CommitRequest {
    CommitRequest::builder().actual(Amount::tokens(42)).build()
}

type Connection = (
    http1::SendRequest<Full<Bytes>>,
    http1::Connection<Socket, Full<Bytes>>,
);

/// Sends again what a life sent.
struct Bare {
    connection: Mutex<Connection>,
    requests: Vec<http::Request<Full<Bytes>>>,
}

impl Bare {
    fn new(url: &str) -> Self {
        let address = url.trim_start_matches("http://");
        let requests = recorded::requests("", |url| life(&client(url)));
        let requests = requests.into_iter().map(|mut request| {
            let host = address.parse().unwrap();
            request.headers_mut().insert(http::header::HOST, host);
            request.map(Full::new)
        });
        let connection = block_on(async {
            let address: SocketAddr = address.parse().unwrap();
            let stream = Async::<TcpStream>::connect(address).await.unwrap();
            stream.get_ref().set_nodelay(true).unwrap();
            http1::handshake(Socket(stream, [0; 4096])).await.unwrap()
        });
        Self {
            connection: Mutex::new(connection),
            requests: requests.collect(),
        }
    }

    fn life(&self) {
        let (sender, connection) = &mut *self.connection.lock().unwrap();
        block_on(async {
            for request in &self.requests {
                let mut call = pin!(async {
                    let response = sender.send_request(request.clone()).await.unwrap();
                    response.into_body().collect().await.unwrap().to_bytes()
                });
                let body = poll_fn(|cx| {
                    if let Poll::Ready(body) = call.as_mut().poll(cx) {
                        return Poll::Ready(body);
                    }
                    assert!(Pin::new(&mut *connection).poll(cx).is_pending());
                    call.as_mut().poll(cx)
                })
                .await;
                assert!(body.len() > 90);
            }
        });
    }
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
