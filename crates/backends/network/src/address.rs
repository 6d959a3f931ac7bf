//! Where a server is, and who asks.

use std::fmt;

use secrecy::SecretString;
use stead_core::{Error, Result, StoreUrl};

/// One server of an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub name: String,
    /// The port.
    pub port: u16,
}

/// `host:port`, with brackets around an IPv6 address.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

/// What stands behind the scheme of a server store's URL: `//user:password@host:port,host:port/path`.
///
/// In each part a `%` and two hexadecimal digits stand for a byte: write `%40` for an `@` in a password.
/// Shown by `Debug` without its password.
///
/// ```
/// use stead_core::StoreUrl;
/// use stead_network::{Address, ExposeSecret};
///
/// let url: StoreUrl = "redis://app:s%40crt@cache.internal:6380/2".parse()?;
/// let address = Address::of(&url, 6379)?;
/// assert_eq!(address.hosts[0].to_string(), "cache.internal:6380");
/// assert_eq!(address.user.as_deref(), Some("app"));
/// assert_eq!(address.password.as_ref().unwrap().expose_secret(), "s@crt");
/// assert_eq!(address.path, "2");
/// assert!(!format!("{address:?}").contains("s@crt"));
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Address {
    /// The servers, at least one unless the place has an empty authority, as in `unix:///path`.
    pub hosts: Vec<Host>,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
    /// What stands behind the first slash after the authority, decoded and without that slash; empty where there is
    /// none.
    pub path: String,
}

impl Address {
    /// Reads the place of `url`. A host without a port gets `default_port`.
    ///
    /// # Errors
    ///
    /// `Invalid` for a place that does not begin with `//`, and for malformed hosts, ports and escapes. The place itself
    /// is never shown.
    pub fn of(url: &StoreUrl, default_port: u16) -> Result<Self> {
        let scheme = url.scheme();
        let place = url.written_place().strip_prefix("//").ok_or_else(|| {
            Error::invalid("the URL of a server begins with its scheme and two slashes, as in scheme://host")
                .with("scheme", scheme)
        })?;
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let (login, servers) = match authority.rsplit_once('@') {
            Some((login, servers)) => (Some(login), servers),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (decode(user, "user")?, decode(password, "password")?),
            None => (String::new(), String::new()),
        };
        let hosts = servers
            .split(',')
            .filter(|server| !server.is_empty())
            .map(|server| host(server, default_port))
            .collect::<Result<_>>()?;
        Ok(Address {
            hosts,
            user: Some(user).filter(|user| !user.is_empty()),
            password: Some(password)
                .filter(|password| !password.is_empty())
                .map(SecretString::from),
            path: decode(path, "path")?,
        })
    }
}

fn host(text: &str, default_port: u16) -> Result<Host> {
    let (name, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (name, behind) = bracketed
            .split_once(']')
            .ok_or_else(|| Error::invalid("an IPv6 address in a URL stands in brackets, as in [::1]:6379"))?;
        (name, behind.strip_prefix(':').or(behind.is_empty().then_some("")))
    } else {
        match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, Some("")),
        }
    };
    let port = match port {
        Some("") => default_port,
        port => port
            .and_then(|port| port.parse().ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| Error::invalid("the port in the store's URL is no number from 1 to 65535"))?,
    };
    let name = decode(name, "host")?;
    if name.is_empty() {
        return Err(Error::invalid("the store's URL names a port but no host"));
    }
    Ok(Host { name, port })
}

/// `text` with its escapes resolved.
fn decode(text: &str, part: &'static str) -> Result<String> {
    let malformed = || Error::invalid("malformed %-escape in the store's URL").with("part", part);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = behind;
            continue;
        }
        let digit = |at: usize| behind.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(malformed());
        };
        bytes.extend(u8::try_from(high * 16 + low));
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn address(text: &str) -> Result<Address> {
        Address::of(&text.parse()?, 5432)
    }

    fn hosts(text: &str) -> Vec<String> {
        let address = address(text).unwrap();
        address.hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(hosts("redis://a"), ["a:5432"]);
        assert_eq!(hosts("redis://a:1,b:2,c/x?y=z"), ["a:1", "b:2", "c:5432"]);
        assert_eq!(hosts("redis://[::1]:7,[fe80::1]"), ["[::1]:7", "[fe80::1]:5432"]);
        assert_eq!(hosts("redis:///tmp/x"), [""; 0]);
        for wrong in [
            "redis:a",
            "redis://:1",
            "redis://a:x",
            "redis://a:0",
            "redis://a:65536",
            "redis://[::1",
            "redis://[::1]x",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn logins_and_paths() {
        let one = address("redis://:only@h").unwrap();
        assert_eq!((one.user.as_deref(), one.path.as_str()), (None, ""));
        assert_eq!(one.password.unwrap().expose_secret(), "only");
        let two = address("postgres://a%3Ab:c:d%40e%2F@h/x%20y/z").unwrap();
        assert_eq!((two.user.as_deref(), two.path.as_str()), (Some("a:b"), "x y/z"));
        assert_eq!(two.password.unwrap().expose_secret(), "c:d@e/");
    }

    #[test]
    fn errors_never_show_the_place() {
        for text in ["redis://u:hunter2@h:x", "redis://u:hunter2@:1", "redis:u:hunter2"] {
            let error = format!("{:?}", address(text).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
