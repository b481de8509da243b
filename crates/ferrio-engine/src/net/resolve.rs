//! Names to addresses and back, through libc. These calls block, for seconds when a server does not
//! answer: they belong in a [`Pool`](crate::Pool).

use std::ffi::{CString, NulError};
use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::sys;

/// What to look up: the arguments of getaddrinfo(3), in its own numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// A name or an address; `None` is any address or the loopback one, by `AI_PASSIVE`.
    pub host: Option<CString>,
    /// A service's name or a port in decimal.
    pub service: Option<CString>,
    /// `AF_*`; 0 is any.
    pub family: i32,
    /// `SOCK_*`; 0 is any.
    pub socktype: i32,
    /// `IPPROTO_*`; 0 is any.
    pub protocol: i32,
    /// `AI_*`.
    pub flags: i32,
}

impl Query {
    /// A query for all families, types and protocols, with no flags.
    ///
    /// # Errors
    ///
    /// If a name has a zero byte in it.
    pub fn new(host: Option<&[u8]>, service: Option<&[u8]>) -> Result<Self, NulError> {
        Ok(Self {
            host: host.map(CString::new).transpose()?,
            service: service.map(CString::new).transpose()?,
            family: 0,
            socktype: 0,
            protocol: 0,
            flags: 0,
        })
    }
}

/// One answer: an entry of getaddrinfo(3)'s list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// `AF_INET` or `AF_INET6`.
    pub family: i32,
    /// `SOCK_*`.
    pub socktype: i32,
    /// `IPPROTO_*`.
    pub protocol: i32,
    /// With `AI_CANONNAME`, on the first entry. Bytes, in whatever encoding the system's names are.
    pub canonical_name: Option<Vec<u8>>,
    /// Address and port; scope id too, and flow information in host order.
    pub address: SocketAddr,
}

/// Why a name has no answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct GaiError {
    /// `EAI_*`.
    pub code: i32,
    /// With `EAI_SYSTEM`: the `errno` that is the real reason.
    pub errno: Option<i32>,
}

impl fmt::Display for GaiError {
    /// What gai_strerror(3) says, or the system error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            Some(errno) => io::Error::from_raw_os_error(errno).fmt(f),
            None => f.write_str(&sys::gai_message(self.code)),
        }
    }
}

impl std::error::Error for GaiError {}

/// A host's and a service's name, as bytes in whatever encoding the system's names are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameInfo {
    /// The name, or the address as text (with its scope, `fe80::1%eth0`).
    pub host: Vec<u8>,
    /// The name, or the port in decimal.
    pub service: Vec<u8>,
}

/// Asks getaddrinfo(3). Blocks.
///
/// # Errors
///
/// What it says; a name that does not exist is `EAI_NONAME`.
pub fn resolve(query: &Query) -> Result<Vec<Resolved>, GaiError> {
    sys::getaddrinfo(query)
}

/// Asks getnameinfo(3) with `NI_*` flags. Blocks, unless both `NI_NUMERICHOST` and `NI_NUMERICSERV`
/// are given.
///
/// # Errors
///
/// What it says; with `NI_NAMEREQD` a host without a name is `EAI_NONAME`.
pub fn name_info(address: &SocketAddr, flags: i32) -> Result<NameInfo, GaiError> {
    sys::getnameinfo(address, flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_their_code_and_text() {
        let mut query = Query::new(Some(b"no such host!"), None).unwrap();
        query.flags = libc::AI_NUMERICHOST;
        let error = resolve(&query).unwrap_err();
        assert_eq!((error.code, error.errno), (libc::EAI_NONAME, None));
        assert_eq!(error.to_string(), "Name or service not known");
    }

    #[test]
    fn zero_bytes_are_refused() {
        assert!(Query::new(Some(b"a\0b"), None).is_err());
        assert!(Query::new(None, Some(b"8\0")).is_err());
    }

    #[test]
    fn no_host_is_loopback_or_any_address() {
        let mut query = Query::new(None, Some(b"80")).unwrap();
        query.socktype = libc::SOCK_STREAM;
        let loopback = resolve(&query).unwrap();
        assert!(loopback.iter().all(|entry| entry.address.ip().is_loopback()));
        query.flags = libc::AI_PASSIVE;
        let any = resolve(&query).unwrap();
        assert!(any.iter().all(|entry| entry.address.ip().is_unspecified()));
    }

    #[test]
    fn scope_ids_survive_both_ways() {
        let mut query = Query::new(Some(b"fe80::1%1"), Some(b"80")).unwrap();
        query.socktype = libc::SOCK_STREAM;
        let found = resolve(&query).unwrap();
        let SocketAddr::V6(address) = found[0].address else {
            panic!("an IPv6 address");
        };
        assert_eq!((address.scope_id(), address.port()), (1, 80));
        let numeric = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
        let names = name_info(&address.into(), numeric).unwrap();
        assert_eq!(names, NameInfo { host: b"fe80::1%lo".to_vec(), service: b"80".to_vec() });
    }

    #[test]
    fn numeric_names_and_required_names() {
        let address: SocketAddr = "192.0.2.1:443".parse().unwrap();
        let names = name_info(&address, libc::NI_NUMERICHOST | libc::NI_NUMERICSERV).unwrap();
        assert_eq!(names, NameInfo { host: b"192.0.2.1".to_vec(), service: b"443".to_vec() });
        let contradiction = libc::NI_NUMERICHOST | libc::NI_NAMEREQD;
        assert_eq!(name_info(&address, contradiction).unwrap_err().code, libc::EAI_NONAME);
    }
}
