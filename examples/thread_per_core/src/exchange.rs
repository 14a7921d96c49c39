//! One call over one connection: hyper on a compio socket. Its futures are not `Send`.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use bytes::Bytes;
use compio::net::TcpStream;
use cycles_client::proto::{Call, Failure, FailureKind};
use cyper_core::HyperStream;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};

type Connection = SendRequest<Full<Bytes>>;

/// Idle connections.
#[derive(Default)]
pub(crate) struct Idle(RefCell<Vec<Connection>>);

impl Idle {
    fn take(&self, fresh: bool) -> Option<Connection> {
        let mut idle = self.0.borrow_mut();
        if fresh {
            idle.clear();
        }
        idle.retain(SendRequest::is_ready);
        idle.pop()
    }
}

/// Makes the call once, and keeps the connection if the answer was read to its end.
pub(crate) async fn exchange(idle: Rc<Idle>, call: Call) -> Result<Response<Bytes>, Failure> {
    let (mut head, body) = call.request.into_parts();
    let server = mem::take(&mut head.uri);
    let mut connection = match idle.take(call.fresh) {
        Some(connection) => connection,
        None => connect(&server).await?,
    };
    // hyper sends the target and `Host` unchanged.
    head.uri = server
        .path_and_query()
        .cloned()
        .map(Uri::from)
        .unwrap_or_default();
    let host = server
        .authority()
        .and_then(|host| HeaderValue::try_from(host.as_str()).ok());
    head.headers.extend(host.map(|host| (HOST, host)));
    let request = Request::from_parts(head, Full::new(body));

    let response = connection.send_request(request).await;
    let response = response.map_err(|error| Failure::caused_by(FailureKind::Lost, &error))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, call.max_response).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => Failure::new(FailureKind::TooLarge),
        false => Failure::caused_by(FailureKind::Lost, error.as_ref()),
    })?;
    idle.0.borrow_mut().push(connection);
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// Opens a connection, and spawns a task that drives it until it ends.
async fn connect(server: &Uri) -> Result<Connection, Failure> {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, server.port_u16().unwrap_or(80))).await;
    let stream = stream.map_err(|error| Failure::caused_by(FailureKind::Connect, &error))?;
    let made = handshake(HyperStream::new_plain(stream)).await;
    let (connection, bytes) = made.map_err(|error| Failure::caused_by(FailureKind::Connect, &error))?;
    compio::runtime::spawn(bytes).detach();
    println!("  connected to {host}");
    Ok(connection)
}
