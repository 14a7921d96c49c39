//! What a client is told when it is made.

use std::fmt;
use std::sync::Arc;

use cycles_host::{HttpOptions, Observer};
use cycles_proto::session::PLACES;
use cycles_proto::{ConfigError, CyclesConfig};

use crate::client::{Client, Parts};
use crate::transport::{Clock, Transport};

/// What a client is told beside its configuration. For adapters, whose builders collect it.
#[derive(Clone, Default)]
pub struct Options {
    /// Proxies and trust.
    pub http: HttpOptions,
    /// Who is told what happens to reservations.
    pub observer: Option<Arc<dyn Observer>>,
    /// In place of the adapter's.
    pub transport: Option<Arc<dyn Transport>>,
    /// In place of the adapter's.
    pub clock: Option<Arc<dyn Clock>>,
}

/// What an adapter brings.
pub type Adapter = (Arc<dyn Transport>, Arc<dyn Clock>);

impl Options {
    /// A client that is called `name` in `User-Agent`, with what `adapter` makes of the configuration where nothing else was
    /// given. If it cannot be used every call answers with that error.
    pub fn client(
        self,
        config: Result<CyclesConfig, ConfigError>,
        name: &'static str,
        adapter: impl FnOnce(&CyclesConfig, &HttpOptions) -> Result<Adapter, ConfigError>,
    ) -> Client {
        let config = match config {
            Ok(config) => config,
            Err(error) => return Client::unusable(error),
        };
        Client::new(config, name, |config| {
            let (transport, clock) = match (self.transport, self.clock) {
                (Some(transport), Some(clock)) => (transport, clock),
                (None, Some(_)) => {
                    let problem =
                        "`clock` needs `transport` beside it: the adapter's own transport has its own time";
                    return Err(ConfigError::Adapter(problem.to_owned()));
                }
                (transport, clock) => {
                    let (own, its) = adapter(config, &self.http)?;
                    (transport.unwrap_or(own), clock.unwrap_or(its))
                }
            };
            Ok(Parts {
                transport,
                clock,
                observer: self.observer,
                places: PLACES,
            })
        })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

/// The setters of an adapter's builder, whose fields are `config` and `options`.
#[doc(hidden)]
#[macro_export]
macro_rules! builder_setters {
    () => {
        $crate::builder_setters! {
            tenant: impl Into<String>,
            workspace: impl Into<String>,
            app: impl Into<String>,
            workflow: impl Into<String>,
            agent: impl Into<String>,
            toolset: impl Into<String>,
            connect_timeout: ::core::time::Duration,
            read_timeout: ::core::time::Duration,
            retry: $crate::RetryPolicy,
            retry_enabled: bool,
            journal_enabled: bool,
            journal_dir: impl Into<::std::path::PathBuf>,
            trace_parent: $crate::TraceParent,
        }

        /// How the server is reached: proxies and trust.
        pub fn http(mut self, options: HttpOptions) -> Self {
            self.options.http = options;
            self
        }

        /// Who is told what happens to reservations.
        pub fn observer(mut self, observer: impl $crate::Observer) -> Self {
            self.options.observer = Some(::std::sync::Arc::new(observer));
            self
        }

        /// What makes the calls, in place of the adapter's own.
        pub fn transport(mut self, transport: impl $crate::Transport) -> Self {
            self.options.transport = Some(::std::sync::Arc::new(transport));
            self
        }

        /// The time, in place of the machine's: a test drives both sides by it.
        pub fn clock(mut self, clock: impl $crate::Clock) -> Self {
            self.options.clock = Some(::std::sync::Arc::new(clock));
            self
        }
    };
    ($($name:ident: $type:ty,)+) => {
        $(
            #[doc = concat!("As [`CyclesConfigBuilder::", stringify!($name), "`](crate::CyclesConfigBuilder::", stringify!($name), ").")]
            pub fn $name(mut self, $name: $type) -> Self {
                self.config = self.config.$name($name);
                self
            }
        )+
    };
}
