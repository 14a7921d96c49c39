//! https: what is trusted, what is not, and a program that has two cryptography providers.
//!
//! The tests of each adapter have it as a module; `runcycles` is their crate.

use std::net::TcpListener;
use std::sync::Arc;

use crate::support::{self, client_with, decide, hasty, http};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use runcycles::{CyclesClient, Error, FailureKind, HttpOptions};

/// An https server for `localhost` and the authority that signed its certificate.
pub(crate) fn start() -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || serve(config, stream.unwrap()));
        }
    });
    (format!("https://localhost:{port}"), authority.pem())
}

/// Answers every request, and agrees to every tunnel as if it led to itself.
fn serve(config: Arc<rustls::ServerConfig>, tcp: std::net::TcpStream) {
    use std::io::{Read as _, Write as _};
    let connection = rustls::ServerConnection::new(config).unwrap();
    let mut tls = rustls::StreamOwned::new(connection, tcp);
    let mut request = [0; 4096];
    while let Ok(read) = tls.read(&mut request)
        && read > 0
    {
        let answer = if request[..read].starts_with(b"CONNECT ") {
            "HTTP/1.1 200 OK\r\n\r\n".to_owned()
        } else if request[..read].ends_with(b"}") {
            http(200, "", r#"{"decision":"ALLOW"}"#)
        } else {
            continue;
        };
        let _ = tls.write_all(answer.as_bytes());
    }
}

pub(crate) fn trusting(pem: &str) -> HttpOptions {
    HttpOptions::new().no_proxy().trust_pem(pem.as_bytes()).unwrap()
}

/// As in every program that has ring and aws-lc-rs, whoever asks rustls for its default provider panics in this one.
#[test]
fn a_program_with_two_providers_makes_calls_to_an_authority_it_trusts() {
    let (url, pem) = start();
    let client = client_with(&url, trusting(&pem));
    for _ in 0..2 {
        assert!(call!(client.decide(&decide())).unwrap().decision.is_allowed());
    }
}

#[test]
fn an_unknown_authority_is_refused_before_anything_is_sent() {
    let (url, _) = start();
    let (_, other) = start();
    let error = call!(client_with(&url, trusting(&other)).decide(&decide())).unwrap_err();
    let Error::Transport(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (error.kind(), error.may_have_been_sent()),
        (FailureKind::Tls, false)
    );
    let text = error.to_string();
    assert!(
        text.contains("SSL_CERT_FILE") && text.contains("trust_pem"),
        "{text}"
    );
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (url, pem) = start();
    let client = client_with(&url.replace("localhost", "127.0.0.1"), trusting(&pem));
    let error = call!(client.decide(&decide())).unwrap_err();
    assert!(
        matches!(&error, Error::Transport(error) if error.kind() == FailureKind::Tls),
        "{error:?}"
    );
}

#[test]
fn a_server_without_tls_is_told_from_one_that_is_down() {
    let server = support::Scripted::start(|connection| connection.write(http(400, "", "")));
    let (_, pem) = start();
    let client = client_with(&server.url.replace("http", "https"), trusting(&pem));
    let error = call!(client.decide(&decide())).unwrap_err();
    assert!(
        matches!(&error, Error::Transport(error) if error.kind() == FailureKind::Tls),
        "{error:?}"
    );
}

#[test]
fn a_handshake_that_hangs_ends_with_the_time_for_connecting() {
    let server = support::Scripted::start(support::Connection::hang);
    let (_, pem) = start();
    let client = hasty(&server.url.replace("http", "https"), trusting(&pem));
    let error = call!(client.decide(&decide())).unwrap_err();
    assert!(
        matches!(&error, Error::Transport(error) if error.kind() == FailureKind::ConnectTimeout && !error.may_have_been_sent()),
        "{error:?}"
    );
}

#[test]
fn a_proxy_lets_secure_calls_through_a_tunnel_that_is_kept() {
    let (url, pem) = start();
    let server = url.replace("https://", "");
    let proxy = support::Scripted::start(move |connection| {
        connection.read_request();
        connection.write("HTTP/1.1 200 Connection established\r\nproxy-agent: a test\r\n\r\n");
        let onward = std::net::TcpStream::connect(&server).unwrap();
        let (mut up, mut back) = (
            onward.try_clone().unwrap(),
            connection.stream.try_clone().unwrap(),
        );
        std::thread::spawn(move || std::io::copy(&mut &onward, &mut back));
        let _ = std::io::copy(&mut connection.stream, &mut up);
    });
    let options = HttpOptions::new().proxy(proxy.url.as_str(), "");
    let client = client_with(&url, options.trust_pem(pem.as_bytes()).unwrap());
    for _ in 0..3 {
        assert!(call!(client.decide(&decide())).unwrap().decision.is_allowed());
    }
    let asked = proxy.requests();
    assert_eq!((asked.len(), proxy.connections()), (1, 1), "{asked:?}");
    assert!(asked[0].starts_with("CONNECT localhost:"), "{asked:?}");
}

#[test]
fn what_cannot_be_trusted_is_refused_where_it_is_given() {
    let key = KeyPair::generate().unwrap();
    let good = CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let (pem, der) = (good.pem(), good.der().to_vec());
    let block = |label: &str, text: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
    let garbage = block("CERTIFICATE", "AAAA");
    let tell = |pem: &[u8]| HttpOptions::new().trust_pem(pem).unwrap_err().to_string();
    for (text, expected) in [
        (String::new(), "contains no certificate: it is empty"),
        (" \n".to_owned(), "contains no certificate: it is empty"),
        (
            "/etc/ssl/authority.pem".to_owned(),
            "pass the content of the file, not its path",
        ),
        (key.serialize_pem(), "it is a private key"),
        (block("RSA PRIVATE KEY", "secret"), "it is a private key"),
        (
            block("CERTIFICATE REQUEST", "AAAA"),
            "it contains only other kinds of blocks",
        ),
        (garbage.clone(), "certificate 1 in the PEM text cannot be read"),
        (
            block("CERTIFICATE", "not base64!"),
            "certificate 1 in the PEM text cannot be read",
        ),
        (
            pem.replace("-----END CERTIFICATE-----", ""),
            "certificate 1 in the PEM text cannot be read",
        ),
        (
            format!("{pem}{garbage}"),
            "certificate 2 in the PEM text cannot be read",
        ),
        (
            format!("{garbage}{pem}"),
            "certificate 1 in the PEM text cannot be read",
        ),
    ] {
        let error = tell(text.as_bytes());
        assert!(
            error.contains(expected) && !error.contains("secret"),
            "{text}: {error}"
        );
    }
    assert!(
        tell(&der).contains("it is in binary form (DER)"),
        "{}",
        tell(&der)
    );
    for text in [
        pem.clone(),
        format!("# the authority\r\n{}", pem.replace('\n', "\r\n")),
        format!("\u{feff}{pem}"),
        format!("{}{pem}{pem}", key.serialize_pem()),
    ] {
        let options = HttpOptions::new().trust_pem(text.as_bytes()).unwrap();
        let client = CyclesClient::builder(support::KEY, "https://localhost").http(options);
        client.try_build().unwrap();
    }
}
