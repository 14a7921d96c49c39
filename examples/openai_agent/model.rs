//! A stub of OpenAI's chat completions, which runs as long as this program. It always gives the same answer, in one
//! piece or word by word, with the usage at the end.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// Starts the stub on a port of this machine and returns its address.
pub(crate) fn start() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // An error means that the client left in the middle of an answer.
            thread::spawn(move || answer(stream));
        }
    });
    Ok(format!("http://{address}/v1"))
}

const ANSWER: &str = "To say no before the money is gone, and to know afterwards where it went.";
const CACHED: usize = 8;

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let request = read(&stream)?;
    let head = |kind| format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {kind}\r\n");
    if request["stream"] != json!(true) {
        let body = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": request["model"],
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": ANSWER, "refusal": null},
                "finish_reason": "stop",
                "logprobs": null,
            }],
            "usage": usage(&request),
        });
        let body = body.to_string();
        let head = head("application/json");
        return write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
    }
    write!(stream, "{}\r\n", head("text/event-stream"))?;
    let mut send = |choices: Value, usage: Value| {
        let piece = json!({
            "id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 0, "model": request["model"],
            "choices": choices, "usage": usage,
        });
        write!(stream, "data: {piece}\n\n")
    };
    for word in ANSWER.split_inclusive(' ') {
        let choice = json!({"index": 0, "delta": {"content": word}, "finish_reason": null, "logprobs": null});
        send(json!([choice]), Value::Null)?;
        thread::sleep(Duration::from_millis(30));
    }
    if request["stream_options"]["include_usage"] == json!(true) {
        send(json!([]), usage(&request))?;
    }
    stream.write_all(b"data: [DONE]\n\n")
}

/// The usage, in which each word counts as a token. One of the careless models reports nothing, the other reports
/// zeros.
fn usage(request: &Value) -> Value {
    let words = |text: &str| text.split(' ').count();
    let prompt = request["messages"][0]["content"].as_str().map_or(0, words) + CACHED;
    let (prompt, completion, cached) = match request["model"].as_str() {
        Some("reports-nothing") => return Value::Null,
        Some("reports-zeros") => (0, 0, 0),
        _ => (prompt, words(ANSWER), CACHED),
    };
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    })
}

fn read(stream: &TcpStream) -> io::Result<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    serde_json::from_slice(&body).map_err(io::Error::other)
}
