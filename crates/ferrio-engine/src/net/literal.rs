//! Names that are addresses already, answered without libc, a thread or a lock.
//!
//! Answers are those of glibc's `getaddrinfo`, entry for entry, or none at all: whatever is unusual
//! (a scope id, an octal quad, a service by name, a combination that is an error) is declined and
//! goes to libc, which then says what it says.

use std::net::{IpAddr, SocketAddr};

use super::address::ip_text;
use super::resolve::{Query, Resolved};

/// What [`resolve`](super::resolve()) would return, if `query` names a plain IP address and a
/// numeric port; `None` if it has to be asked. Takes well under a microsecond.
#[must_use]
pub fn literal(query: &Query) -> Option<Vec<Resolved>> {
    // Flags that change nothing about a numeric answer. AI_CANONNAME asks for the text back.
    let harmless =
        libc::AI_PASSIVE | libc::AI_NUMERICHOST | libc::AI_NUMERICSERV | libc::AI_CANONNAME;
    if query.flags & !harmless != 0 {
        return None;
    }
    let host = query.host.as_deref()?.to_str().ok()?;
    let ip: IpAddr = host.parse().ok()?;
    let family = match ip {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    if query.family != libc::AF_UNSPEC && query.family != family {
        return None;
    }
    let port = match query.service.as_deref() {
        None => 0,
        Some(service) => port(service.to_str().ok()?)?,
    };
    let address = SocketAddr::new(ip, port);
    // Only the first entry has the canonical name. glibc gives the text as it came; other libraries
    // may not.
    let mut canonical_name = None;
    if query.flags & libc::AI_CANONNAME != 0 {
        if host != ip_text(ip) {
            return None;
        }
        canonical_name = Some(host.as_bytes().to_vec());
    }
    let entries = kinds(query.socktype, query.protocol)?
        .iter()
        .map(|&(socktype, protocol)| Resolved {
            family,
            socktype,
            protocol,
            canonical_name: canonical_name.take(),
            address,
        })
        .collect();
    Some(entries)
}

/// Digits only, no leading zero: the only numbers that all libraries read alike.
fn port(service: &str) -> Option<u16> {
    let is_plain = service.bytes().all(|byte| byte.is_ascii_digit())
        && (service == "0" || !service.starts_with('0'));
    if is_plain { service.parse().ok() } else { None }
}

/// The socket types and protocols that an answer lists, in glibc's order (`gaih_inet_typeproto` in
/// `sysdeps/posix/getaddrinfo.c`).
fn kinds(socktype: i32, protocol: i32) -> Option<&'static [(i32, i32)]> {
    const STREAM: (i32, i32) = (libc::SOCK_STREAM, libc::IPPROTO_TCP);
    const DATAGRAM: (i32, i32) = (libc::SOCK_DGRAM, libc::IPPROTO_UDP);
    const RAW: (i32, i32) = (libc::SOCK_RAW, 0);
    match (socktype, protocol) {
        // Other libraries list other types here (macOS has no raw one), so they are asked.
        (0, 0) if cfg!(all(target_os = "linux", target_env = "gnu")) => {
            Some(&[STREAM, DATAGRAM, RAW])
        }
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Some(&[STREAM]),
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Some(&[DATAGRAM]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::resolve;

    fn query(host: &str, service: Option<&str>) -> Query {
        Query::new(Some(host.as_bytes()), service.map(str::as_bytes)).unwrap()
    }

    /// Over hosts, services, families, types, protocols and flags: what is not declined is what
    /// libc says.
    #[test]
    fn every_answer_is_libcs() {
        let hosts = [
            "127.0.0.1",
            "1.2.3.4",
            "255.255.255.255",
            "0.0.0.0",
            "::",
            "::1",
            "::ffff:1.2.3.4",
            "::1.2.3.4",
            "::102:304",
            "2001:DB8::1",
            "2001:db8:0:0:1:0:0:1",
            "fe80::1",
            "127.1",
            "1",
            "010.0.0.1",
            "0x7f.1",
            "1.2.3",
            "1.2.3.4.",
            " 1.2.3.4",
            "::1%lo",
            "[::1]",
            "",
        ];
        let services = [None, Some("0"), Some("80"), Some("65535"), Some("65536"), Some("080")];
        let flags = [
            0,
            libc::AI_PASSIVE,
            libc::AI_NUMERICHOST,
            libc::AI_CANONNAME,
            libc::AI_NUMERICSERV | libc::AI_CANONNAME,
            libc::AI_V4MAPPED | libc::AI_ALL,
        ];
        let mut answered = 0;
        for host in hosts {
            for service in services {
                for family in [0, libc::AF_INET, libc::AF_INET6, libc::AF_UNIX] {
                    for socktype in 0..=5 {
                        for protocol in [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP, 132] {
                            for flags in flags {
                                let mut query = query(host, service);
                                query.family = family;
                                query.socktype = socktype;
                                query.protocol = protocol;
                                query.flags = flags;
                                if let Some(answer) = literal(&query) {
                                    answered += 1;
                                    assert_eq!(resolve(&query), Ok(answer), "{query:?}");
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(answered > 1_000, "{answered}");
    }

    #[test]
    fn plain_literals_are_never_declined() {
        for host in ["127.0.0.1", "::1", "::"] {
            assert!(literal(&query(host, None)).is_some());
            assert!(literal(&query(host, Some("8080"))).is_some());
        }
    }
}
