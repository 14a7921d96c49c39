//! TLS by rustls over ureq's connections.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use http::Uri;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use ureq::Error;
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use cycles_proto::FailureKind;

use crate::connect::ConnectError;

/// Encrypts connections to https servers, and to a forwarding proxy that speaks TLS.
pub(crate) struct TlsConnector {
    pub(crate) config: Option<Arc<ClientConfig>>,
    pub(crate) proxy: Option<Uri>,
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, Encrypted>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        let (peer, stage) = match &self.proxy {
            Some(proxy) => (Some(proxy), FailureKind::Proxy),
            None => (details.needs_tls().then_some(details.uri), FailureKind::Tls),
        };
        let (Some(config), Some(peer)) = (&self.config, peer) else {
            return Ok(Some(Either::A(transport)));
        };
        let encrypted = encrypt(Arc::clone(config), peer, details, transport.boxed());
        Ok(Some(Either::B(
            encrypted.map_err(|error| ConnectError::at(stage, error))?,
        )))
    }
}

fn encrypt(
    config: Arc<ClientConfig>,
    peer: &Uri,
    details: &ConnectionDetails<'_>,
    transport: Box<dyn Transport>,
) -> Result<Encrypted, Error> {
    let host = peer.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| Error::Other(error.into()))?;
    let mut connection = ClientConnection::new(config, name).map_err(|error| Error::Other(error.into()))?;
    let mut socket = TransportAdapter::new(transport, Arc::clone(&details.current_time));
    socket.set_timeout(time_left(details));
    connection.complete_io(&mut socket)?;
    let buffers = LazyBuffers::new(
        details.config.input_buffer_size(),
        details.config.output_buffer_size(),
    );
    Ok(Encrypted {
        buffers,
        stream: StreamOwned::new(connection, socket),
    })
}

/// The rest of the connect timeout after the earlier stages.
fn time_left(details: &ConnectionDetails<'_>) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Duration::Exact(whole), Instant::Exact(began), Instant::Exact(now)) =
        (timeout.after, details.now, (details.current_time)())
    {
        timeout.after = Duration::Exact(whole.saturating_sub(now.saturating_duration_since(began)));
    }
    timeout
}

/// An encrypted connection.
pub(crate) struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").finish_non_exhaustive()
    }
}
