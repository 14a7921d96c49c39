//! Which proxy is before a server.

use cycles_host::{HttpOptions, Proxies};
use cycles_proto::ConfigError;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// The rules for reaching `server`.
pub(crate) fn matcher(options: &HttpOptions, server: &Uri) -> Result<Matcher, ConfigError> {
    let proxies = options.proxies(server.host().unwrap_or_default(), is_readable)?;
    Ok(match proxies {
        Proxies::FromEnvironment => Matcher::from_env(),
        Proxies::None => Matcher::builder().build(),
        Proxies::All { proxy, except } => Matcher::builder().all(proxy.as_str()).no(except.as_str()).build(),
    })
}

fn is_readable(proxy: &str) -> bool {
    let anywhere = Uri::from_static("https://example.com");
    let matcher = Matcher::builder().all(proxy).build();
    matcher.intercept(&anywhere).is_some()
}
