//! The opening handshake (RFC 6455, section 4), on heads that were parsed before.

use std::fmt;

use sha1_smol::Sha1;

use super::deflate::{Agreed, Config};
use super::extension::{self, Extension};
use crate::bytes;

/// A client's request, looked at by a server (RFC 6455, section 4.2.1).
#[derive(Clone, Debug)]
pub struct Request<'f> {
    key: &'f [u8],
    host: &'f [u8],
    origin: Option<&'f [u8]>,
    subprotocols: Vec<&'f [u8]>,
    extensions: Vec<Extension<'f>>,
}

/// Why a handshake is refused, or has failed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum HandshakeError {
    /// The method is not GET.
    Method,
    /// The request is not HTTP/1.1.
    HttpVersion,
    /// There is no Host, or more than one.
    Host,
    /// `Upgrade` does not name `websocket`.
    Upgrade,
    /// `Connection` does not name `upgrade`.
    Connection,
    /// `Sec-WebSocket-Version` is not 13.
    Version,
    /// `Sec-WebSocket-Key` is not there once, or not 16 bytes in base64.
    Key,
    /// `Sec-WebSocket-Protocol` is not a list of different tokens; or the server has chosen what the
    /// client did not offer.
    Subprotocol,
    /// `Sec-WebSocket-Extensions` is not as it has to be; or the server has chosen what the client
    /// did not offer.
    Extension,
    /// The origin is not on the list, or there is more than one.
    Origin,
    /// A field to be sent has a name or value that would be something else on the wire.
    Field,
    /// A server's answer is not 101: so it is.
    Status(u16),
    /// A server's `Sec-WebSocket-Accept` does not belong to the key.
    Accept,
}

impl HandshakeError {
    /// The status of a server's answer. With 426 goes `Sec-WebSocket-Version: 13`, with 405
    /// `Allow: GET`.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::HttpVersion
            | Self::Host
            | Self::Connection
            | Self::Key
            | Self::Subprotocol
            | Self::Extension => 400,
            Self::Upgrade | Self::Version => 426,
            Self::Origin => 403,
            Self::Field | Self::Status(_) | Self::Accept => 500,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "a WebSocket is opened by GET",
            Self::HttpVersion => "a WebSocket is opened over HTTP/1.1",
            Self::Host => "a request has one Host field",
            Self::Upgrade => "the Upgrade field does not name websocket",
            Self::Connection => "the Connection field does not name upgrade",
            Self::Version => "the Sec-WebSocket-Version is not 13",
            Self::Key => "the Sec-WebSocket-Key is not 16 bytes in base64, once",
            Self::Subprotocol => "the Sec-WebSocket-Protocol is malformed or was not offered",
            Self::Extension => "the Sec-WebSocket-Extensions are malformed or were not offered",
            Self::Origin => "the Origin is not allowed",
            Self::Field => "a field's name or value has characters that it must not have",
            Self::Status(status) => {
                return write!(f, "the server answered {status}, not 101 Switching Protocols");
            }
            Self::Accept => "the Sec-WebSocket-Accept does not belong to the key",
        })
    }
}

impl std::error::Error for HandshakeError {}

impl<'f> Request<'f> {
    /// Looks at a request's head. Names of `fields` in any case, values without blanks around them.
    ///
    /// # Errors
    ///
    /// What is not as RFC 6455, section 4.2.1 has it. [`HandshakeError::status`] says what to
    /// answer.
    pub fn parse(
        method: &[u8],
        is_http_1_1: bool,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<Self, HandshakeError> {
        let (mut host, mut key, mut version, mut origin) = (Once::No, Once::No, Once::No, Once::No);
        let (mut upgrades, mut connects) = (false, false);
        let mut subprotocols = Vec::new();
        let mut extensions = Vec::new();
        for (name, value) in fields {
            match Name::of(name) {
                Name::Host => host.put(value),
                Name::Key => key.put(value),
                Name::Version => version.put(value),
                Name::Origin => origin.put(value),
                Name::Upgrade => upgrades |= names(value, b"websocket"),
                Name::Connection => connects |= names(value, b"upgrade"),
                Name::Protocol => parse_subprotocols(value, &mut subprotocols)?,
                Name::Extensions => extension::parse(value, &mut extensions)
                    .map_err(|extension::Malformed| HandshakeError::Extension)?,
                Name::Accept | Name::Other => {}
            }
        }
        if method != b"GET" {
            return Err(HandshakeError::Method);
        }
        if !is_http_1_1 {
            return Err(HandshakeError::HttpVersion);
        }
        let host = host.value().ok_or(HandshakeError::Host)?;
        if !upgrades {
            return Err(HandshakeError::Upgrade);
        }
        if !connects {
            return Err(HandshakeError::Connection);
        }
        if version.value() != Some(b"13") {
            return Err(HandshakeError::Version);
        }
        let key = key.value().filter(|key| is_key(key)).ok_or(HandshakeError::Key)?;
        let origin = match origin {
            Once::No => None,
            Once::Single(origin) => Some(origin),
            Once::Again => return Err(HandshakeError::Origin),
        };
        Ok(Self { key, host, origin, subprotocols, extensions })
    }

    /// What the client offers, what it likes best first.
    #[must_use]
    pub fn subprotocols(&self) -> &[&'f [u8]] {
        &self.subprotocols
    }

    /// Where the page came from that opens the WebSocket. Programs that are no browsers say nothing.
    #[must_use]
    pub const fn origin(&self) -> Option<&'f [u8]> {
        self.origin
    }

    /// The first of `supported` that the client offers.
    #[must_use]
    pub fn choose<'s>(&self, supported: &[&'s str]) -> Option<&'s str> {
        let is_offered = |name: &&&str| self.subprotocols.contains(&name.as_bytes());
        supported.iter().find(is_offered).copied()
    }

    /// Whether the origin is one of `origins`. `is_secure` says that the connection is over TLS.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Origin`]: to be answered with 403.
    pub fn check_origin(&self, origins: &Origins, is_secure: bool) -> Result<(), HandshakeError> {
        match self.origin {
            Some(origin) if !origins.allows(origin, self.host, is_secure) => {
                Err(HandshakeError::Origin)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The answer's fields beside `Upgrade` and `Connection`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Subprotocol`], if the client did not offer this one.
    pub fn accept<'s>(
        &self,
        subprotocol: Option<&'s [u8]>,
        deflate: Option<&Config>,
    ) -> Result<Accepted<'s>, HandshakeError> {
        if subprotocol.is_some_and(|chosen| !self.subprotocols.contains(&chosen)) {
            return Err(HandshakeError::Subprotocol);
        }
        let deflate = deflate.and_then(|config| config.answer(&self.extensions));
        Ok(Accepted { accept: accept_key(self.key), subprotocol, deflate })
    }
}

/// A server's answer to a handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted<'s> {
    accept: [u8; 28],
    subprotocol: Option<&'s [u8]>,
    deflate: Option<(Agreed, String)>,
}

impl Accepted<'_> {
    /// Compression, for the [`Connection`](super::Connection).
    #[must_use]
    pub fn deflate(&self) -> Option<Agreed> {
        self.deflate.as_ref().map(|(agreed, _)| agreed.clone())
    }

    /// All fields of the answer that are the handshake's, `upgrade` and `connection` included.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let always: [(&str, &[u8]); 3] = [
            ("upgrade", b"websocket"),
            ("connection", b"Upgrade"),
            ("sec-websocket-accept", &self.accept),
        ];
        let subprotocol = self.subprotocol.map(|name| ("sec-websocket-protocol", name));
        let deflate = self.deflate.as_ref();
        let deflate = deflate.map(|(_, text)| ("sec-websocket-extensions", text.as_bytes()));
        always.into_iter().chain(subprotocol).chain(deflate)
    }

    /// Appends the whole answer to `out`, with other fields of the caller's.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Field`]: nothing was appended.
    pub fn write<'a>(
        &self,
        others: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        out: &mut Vec<u8>,
    ) -> Result<(), HandshakeError> {
        let start = out.len();
        out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
        let own = self.fields().map(|(name, value)| (name.as_bytes(), value));
        write_fields(own, out)
            .and_then(|()| write_fields(others, out))
            .inspect_err(|_| out.truncate(start))?;
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// Whose pages may open a WebSocket.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum Origins {
    /// Anybody's.
    #[default]
    Any,
    /// Those of the host that is asked, over the same scheme.
    Same,
    /// Those listed: `https://example.org`, `https://*.example.org` for all names below it,
    /// `http://localhost:8000`, `null`.
    List(Vec<String>),
}

impl Origins {
    fn allows(&self, origin: &[u8], host: &[u8], is_secure: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Same => {
                let (scheme, port): (&[u8], &[u8]) =
                    if is_secure { (b"https://", b":443") } else { (b"http://", b":80") };
                let bare = |host: &[u8]| host.strip_suffix(port).unwrap_or(host).to_vec();
                split_prefix(origin, scheme)
                    .is_some_and(|origin| bare(origin).eq_ignore_ascii_case(&bare(host)))
            }
            Self::List(list) => list.iter().any(|entry| is_origin(origin, entry.as_bytes())),
        }
    }
}

/// Whether `origin` is the one that `entry` names.
fn is_origin(origin: &[u8], entry: &[u8]) -> bool {
    let Some(at) = entry.windows(5).position(|window| window == b"://*.") else {
        return origin.eq_ignore_ascii_case(entry);
    };
    // With the dot in front, which another domain's name does not have.
    let (scheme, domain) = (&entry[..at + 3], &entry[at + 4..]);
    split_prefix(origin, scheme).is_some_and(|host| {
        host.len() > domain.len() && host[host.len() - domain.len()..].eq_ignore_ascii_case(domain)
    })
}

fn split_prefix<'o>(origin: &'o [u8], prefix: &[u8]) -> Option<&'o [u8]> {
    let (start, rest) = origin.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// A client's side of the handshake (RFC 6455, section 4.1).
#[derive(Clone, Debug)]
pub struct Client {
    key: [u8; 24],
}

impl Client {
    /// With 16 random bytes, new ones for each connection.
    #[must_use]
    pub fn new(nonce: [u8; 16]) -> Self {
        Self { key: base64(&nonce) }
    }

    /// Appends the request to `out`: `target` is what follows `GET`, `others` are fields of the
    /// caller's, such as `origin`, `authorization` or `cookie`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Field`] or [`HandshakeError::Subprotocol`]: nothing was appended.
    pub fn write<'a>(
        &self,
        (target, host): (&[u8], &[u8]),
        subprotocols: &[&str],
        deflate: Option<&Config>,
        others: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        out: &mut Vec<u8>,
    ) -> Result<(), HandshakeError> {
        let is_token = |name: &&str| !name.is_empty() && bytes::are(name.as_bytes(), bytes::TOKEN);
        if !subprotocols.iter().all(is_token) {
            return Err(HandshakeError::Subprotocol);
        }
        if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
            return Err(HandshakeError::Field);
        }
        let protocols = subprotocols.join(", ");
        let offer = deflate.map(Config::offer);
        let always: [(&[u8], &[u8]); 5] = [
            (b"host", host),
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-key", &self.key),
            (b"sec-websocket-version", b"13"),
        ];
        let protocols: Option<(&[u8], &[u8])> =
            (!subprotocols.is_empty()).then_some((b"sec-websocket-protocol", protocols.as_bytes()));
        let offer: Option<(&[u8], &[u8])> =
            offer.as_ref().map(|offer| (&b"sec-websocket-extensions"[..], offer.as_bytes()));
        let start = out.len();
        out.extend_from_slice(b"GET ");
        out.extend_from_slice(target);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        write_fields(always.into_iter().chain(protocols).chain(offer), out)
            .and_then(|()| write_fields(others, out))
            .inspect_err(|_| out.truncate(start))?;
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Looks at the server's answer: the subprotocol and the compression it has chosen of what was
    /// offered.
    ///
    /// # Errors
    ///
    /// What is not as RFC 6455, section 4.1 has it: the connection is to be closed.
    pub fn confirm<'f>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        subprotocols: &[&str],
        deflate: Option<&Config>,
    ) -> Result<(Option<&'f [u8]>, Option<Agreed>), HandshakeError> {
        if status != 101 {
            return Err(HandshakeError::Status(status));
        }
        let (mut accept, mut subprotocol) = (Once::No, Once::No);
        let (mut upgrades, mut connects) = (false, false);
        let mut extensions = Vec::new();
        for (name, value) in fields {
            match Name::of(name) {
                Name::Upgrade => upgrades |= value.eq_ignore_ascii_case(b"websocket"),
                Name::Connection => connects |= names(value, b"upgrade"),
                Name::Accept => accept.put(value),
                Name::Protocol => subprotocol.put(value),
                Name::Extensions => extension::parse(value, &mut extensions)
                    .map_err(|extension::Malformed| HandshakeError::Extension)?,
                Name::Host | Name::Key | Name::Version | Name::Origin | Name::Other => {}
            }
        }
        if !upgrades {
            return Err(HandshakeError::Upgrade);
        }
        if !connects {
            return Err(HandshakeError::Connection);
        }
        if accept.value() != Some(&accept_key(&self.key)[..]) {
            return Err(HandshakeError::Accept);
        }
        let subprotocol = match subprotocol {
            Once::No => None,
            Once::Single(name) if subprotocols.iter().any(|offer| offer.as_bytes() == name) => {
                Some(name)
            }
            Once::Single(_) | Once::Again => return Err(HandshakeError::Subprotocol),
        };
        let deflate = match deflate {
            Some(config) => config.confirm(&extensions)?,
            None if extensions.is_empty() => None,
            None => return Err(HandshakeError::Extension),
        };
        Ok((subprotocol, deflate))
    }
}

/// The value of `Sec-WebSocket-Accept` for that of `Sec-WebSocket-Key` (RFC 6455, section 4.2.2).
///
/// ```
/// let accept = ferrio_http::ws::accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(&accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64(&hash.digest().bytes())
}

/// A field that may come once.
#[derive(Copy, Clone)]
enum Once<'f> {
    No,
    Single(&'f [u8]),
    Again,
}

impl<'f> Once<'f> {
    fn put(&mut self, value: &'f [u8]) {
        *self = match self {
            Self::No => Self::Single(value),
            Self::Single(_) | Self::Again => Self::Again,
        };
    }

    const fn value(self) -> Option<&'f [u8]> {
        match self {
            Self::Single(value) => Some(value),
            Self::No | Self::Again => None,
        }
    }
}

/// The fields that a handshake looks at.
enum Name {
    Host,
    Upgrade,
    Connection,
    Origin,
    Key,
    Version,
    Accept,
    Protocol,
    Extensions,
    Other,
}

impl Name {
    fn of(name: &[u8]) -> Self {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        // The length tells most of them apart.
        match name.len() {
            4 if is(b"host") => Self::Host,
            6 if is(b"origin") => Self::Origin,
            7 if is(b"upgrade") => Self::Upgrade,
            10 if is(b"connection") => Self::Connection,
            17 if is(b"sec-websocket-key") => Self::Key,
            20 if is(b"sec-websocket-accept") => Self::Accept,
            21 if is(b"sec-websocket-version") => Self::Version,
            22 if is(b"sec-websocket-protocol") => Self::Protocol,
            24 if is(b"sec-websocket-extensions") => Self::Extensions,
            _ => Self::Other,
        }
    }
}

/// Whether a list names `token`, in any case.
fn names(value: &[u8], token: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(token))
}

fn parse_subprotocols<'f>(value: &'f [u8], list: &mut Vec<&'f [u8]>) -> Result<(), HandshakeError> {
    for name in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        if name.is_empty() {
            continue;
        }
        if list.len() == MAX_SUBPROTOCOLS || list.contains(&name) || !bytes::are(name, bytes::TOKEN)
        {
            return Err(HandshakeError::Subprotocol);
        }
        list.push(name);
    }
    Ok(())
}

/// More than any client offers, and little enough to compare each with each.
const MAX_SUBPROTOCOLS: usize = 64;

/// Whether it is 16 bytes in base64. The last character has two bits, which are not looked at: some
/// clients draw the characters.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_digit)
}

/// RFC 4648, section 4, of a length that the output's follows from.
fn base64<const N: usize>(bytes: &[u8]) -> [u8; N] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = [b'='; N];
    for (group, text) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (i, digit) in text.iter_mut().take(group.len() + 1).enumerate() {
            *digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
        }
    }
    text
}

fn write_fields<'a>(
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    out: &mut Vec<u8>,
) -> Result<(), HandshakeError> {
    for (name, value) in fields {
        let is_value = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
        if name.is_empty() || !bytes::are(name, bytes::TOKEN) || !value.iter().all(is_value) {
            return Err(HandshakeError::Field);
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    Ok(())
}
