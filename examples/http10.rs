//! HTTP/1.0 by hand, for the examples that move the bytes themselves. Servers answer HTTP/1.0 without chunks, and close
//! the connection at the end.

use bytes::Bytes;
use cycles_proto::Call;
use http::Response;

/// Encodes the request.
pub fn request(call: &Call) -> Vec<u8> {
    let uri = call.request.uri();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let server = uri.authority().map_or("", |server| server.as_str());
    let method = call.request.method();
    let mut message = format!("{method} {target} HTTP/1.0\r\nhost: {server}\r\n").into_bytes();
    for (name, value) in call.request.headers() {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(call.request.body());
    message
}

/// Parses everything that arrived before the server closed the connection. Returns `None` if the response is
/// incomplete.
pub fn response(answer: &[u8]) -> Option<Response<Bytes>> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&answer[..end]).ok()?, &answer[end + 4..]);
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?;
    let mut response = Response::builder().status(status);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        response = response.header(name, value);
    }
    let response = response.body(Bytes::copy_from_slice(body)).ok()?;
    let length = response.headers().get(http::header::CONTENT_LENGTH);
    let is_whole = length.is_none_or(|length| length.as_bytes() == body.len().to_string().as_bytes());
    is_whole.then_some(response)
}
