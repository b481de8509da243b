//! The address of one end of a socket.

use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use crate::sys;

/// Who is at one end of a socket.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// IPv4 or IPv6; flow information in host order, as Python shows it.
    Inet(SocketAddr),
    /// A Unix socket bound to this path (bytes, without the final zero).
    Path(Vec<u8>),
    /// A Unix socket bound to this abstract name (Linux; bytes, without the leading zero).
    Abstract(Vec<u8>),
    /// A Unix socket that was never bound, or a family that is none of these.
    Unnamed,
}

/// The address that a socket is bound to.
///
/// # Errors
///
/// getsockname(2).
pub fn local_address(socket: impl AsFd) -> io::Result<Address> {
    sys::local_address(socket.as_fd())
}

/// An IP address as `inet_ntop` writes it, which is what Python's socket module shows. Without a
/// scope, as there.
///
/// `Display` of std differs for one kind of address, the IPv4-compatible ones of RFC 4291, 2.5.5.1:
///
/// ```
/// let address = "::102:304".parse().unwrap();
/// assert_eq!(ferrio_engine::net::ip_text(address), "::1.2.3.4");
/// ```
#[must_use]
pub fn ip_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => match compatible(v6) {
            Some([a, b, c, d]) => {
                let mut text = String::with_capacity(17);
                // Writing to a string cannot fail.
                let _ = write!(text, "::{a}.{b}.{c}.{d}");
                text
            }
            None => v6.to_string(),
        },
    }
}

/// glibc and musl write the last 32 bits as IPv4 when exactly the six groups before them are zero;
/// with a seventh zero group the run of zeros is longer and the address is plain (`::1`).
fn compatible(address: Ipv6Addr) -> Option<[u8; 4]> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some([a, b, c, d])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pattern of zero and non-zero groups, with non-zero groups short and long.
    #[test]
    fn agrees_with_inet_ntop_on_every_pattern_of_groups() {
        for pattern in 0..=255u32 {
            for group in [1, 0x10, 0xabc, 0xffff] {
                let mut segments = [0u16; 8];
                for (index, segment) in segments.iter_mut().enumerate() {
                    *segment = if pattern >> index & 1 == 1 { group } else { 0 };
                }
                let address = Ipv6Addr::from(segments);
                assert_eq!(ip_text(address.into()), sys::inet_ntop(address), "{segments:x?}");
            }
        }
        let mapped: Ipv6Addr = "::ffff:1.2.3.4".parse().unwrap();
        assert_eq!(ip_text(mapped.into()), sys::inet_ntop(mapped));
    }
}
