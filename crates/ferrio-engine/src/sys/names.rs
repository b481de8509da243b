//! getaddrinfo and getnameinfo, which only the C library can answer: it reads `/etc/nsswitch.conf`
//! and all that follows.

use std::ffi::{CStr, c_int};
use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

use crate::net::{GaiError, NameInfo, Query, Resolved};

pub(crate) fn getaddrinfo(query: &Query) -> Result<Vec<Resolved>, GaiError> {
    // SAFETY: `addrinfo` is plain numbers and pointers, for which all zeros is a value: hints that
    // ask for nothing.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_flags = query.flags;
    hints.ai_family = query.family;
    hints.ai_socktype = query.socktype;
    hints.ai_protocol = query.protocol;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    let host = query.host.as_deref().map_or(ptr::null(), CStr::as_ptr);
    let service = query.service.as_deref().map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: both names are null or end in a zero byte and live in `query`; `hints` and `list` are
    // valid for the call, which reads the one and writes the other.
    let code = unsafe { libc::getaddrinfo(host, service, &raw const hints, &raw mut list) };
    check(code)?;
    let mut found = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: after success `list` is a list of valid entries, ending in null, until
        // freeaddrinfo below.
        let entry = unsafe { &*next };
        // SAFETY: `ai_addr` and `ai_canonname` are as getaddrinfo(3) made them.
        if let Some(address) = unsafe { socket_addr(entry.ai_addr, entry.ai_addrlen) } {
            found.push(Resolved {
                family: entry.ai_family,
                socktype: entry.ai_socktype,
                protocol: entry.ai_protocol,
                canonical_name: if entry.ai_canonname.is_null() {
                    None
                } else {
                    // SAFETY: not null, so it is a string of the list's.
                    Some(unsafe { CStr::from_ptr(entry.ai_canonname) }.to_bytes().to_vec())
                },
                address,
            });
        }
        next = entry.ai_next;
    }
    // SAFETY: `list` came from getaddrinfo, is freed once, and nothing borrowed from it is left.
    unsafe { libc::freeaddrinfo(list) };
    Ok(found)
}

pub(crate) fn getnameinfo(address: &SocketAddr, flags: c_int) -> Result<NameInfo, GaiError> {
    // NI_MAXHOST and NI_MAXSERV of <netdb.h>.
    let mut host = [0_u8; 1025];
    let mut service = [0_u8; 32];
    let (v4, v6);
    let (pointer, len) = match address {
        SocketAddr::V4(address) => {
            v4 = sockaddr_in(address);
            ((&raw const v4).cast::<libc::sockaddr>(), size_of_val(&v4))
        }
        SocketAddr::V6(address) => {
            v6 = sockaddr_in6(address);
            ((&raw const v6).cast::<libc::sockaddr>(), size_of_val(&v6))
        }
    };
    // The lengths are of another type on each system.
    //
    // SAFETY: `pointer` is to a socket address of `len` bytes that lives in this function; the
    // buffers are writable for the lengths given with them.
    let code = unsafe {
        libc::getnameinfo(
            pointer,
            len as libc::socklen_t,
            host.as_mut_ptr().cast(),
            host.len() as _,
            service.as_mut_ptr().cast(),
            service.len() as _,
            flags,
        )
    };
    check(code)?;
    Ok(NameInfo { host: until_zero(&host), service: until_zero(&service) })
}

/// What gai_strerror(3) says of an `EAI_*` code.
pub(crate) fn gai_message(code: c_int) -> String {
    // SAFETY: any code is allowed; the answer is a string that is never freed (gai_strerror(3)).
    let message = unsafe { libc::gai_strerror(code) };
    if message.is_null() {
        return format!("name resolution error {code}");
    }
    // SAFETY: not null, hence a string as above.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}

fn check(code: c_int) -> Result<(), GaiError> {
    match code {
        0 => Ok(()),
        libc::EAI_SYSTEM => {
            Err(GaiError { code, errno: io::Error::last_os_error().raw_os_error() })
        }
        code => Err(GaiError { code, errno: None }),
    }
}

fn until_zero(buffer: &[u8]) -> Vec<u8> {
    buffer.iter().copied().take_while(|byte| *byte != 0).collect()
}

/// `None` for families other than the internet's.
///
/// # Safety
///
/// `pointer` is null or points to a socket address of `len` bytes.
unsafe fn socket_addr(pointer: *const libc::sockaddr, len: libc::socklen_t) -> Option<SocketAddr> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller says that there is a socket address, and all begin with the family.
    let family = c_int::from(unsafe { (*pointer).sa_family });
    match family {
        libc::AF_INET if len as usize >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: family and length say that it is a `sockaddr_in`; it is read whatever its
            // alignment.
            let address = unsafe { pointer.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = u32::from_be(address.sin_addr.s_addr).into();
            Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
        }
        libc::AF_INET6 if len as usize >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: likewise a `sockaddr_in6`.
            let address = unsafe { pointer.cast::<libc::sockaddr_in6>().read_unaligned() };
            let port = u16::from_be(address.sin6_port);
            let flow = u32::from_be(address.sin6_flowinfo);
            let ip = address.sin6_addr.s6_addr.into();
            Some(SocketAddrV6::new(ip, port, flow, address.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn sockaddr_in(address: &SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: plain numbers, for which all zeros is a value (some systems have fields that Linux
    // has not).
    let mut raw: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    // These compare it with the length that they are given.
    #[cfg(any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    {
        raw.sin_len = size_of_val(&raw) as u8;
    }
    raw.sin_family = libc::AF_INET as libc::sa_family_t;
    raw.sin_port = address.port().to_be();
    raw.sin_addr.s_addr = u32::from(*address.ip()).to_be();
    raw
}

fn sockaddr_in6(address: &SocketAddrV6) -> libc::sockaddr_in6 {
    // SAFETY: as above.
    let mut raw: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    #[cfg(any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    {
        raw.sin6_len = size_of_val(&raw) as u8;
    }
    raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    raw.sin6_port = address.port().to_be();
    raw.sin6_flowinfo = address.flowinfo().to_be();
    raw.sin6_addr.s6_addr = address.ip().octets();
    raw.sin6_scope_id = address.scope_id();
    raw
}

/// The yardstick for [`ip_text`](crate::net::ip_text).
#[cfg(test)]
pub(crate) fn inet_ntop(address: std::net::Ipv6Addr) -> String {
    unsafe extern "C" {
        fn inet_ntop(
            family: c_int,
            source: *const std::ffi::c_void,
            target: *mut std::ffi::c_char,
            size: libc::socklen_t,
        ) -> *const std::ffi::c_char;
    }
    let octets = address.octets();
    let mut text = [0_u8; 64];
    // SAFETY: 16 bytes to read for AF_INET6, 64 to write, and the size says so.
    let result =
        unsafe { inet_ntop(libc::AF_INET6, octets.as_ptr().cast(), text.as_mut_ptr().cast(), 64) };
    assert!(!result.is_null());
    String::from_utf8_lossy(&until_zero(&text)).into_owned()
}
