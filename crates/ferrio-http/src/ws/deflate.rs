//! permessage-deflate (RFC 7692): what two peers agree on, and the data.
//!
//! zlib-rs is used by itself and not by way of flate2, whose memory level cannot be chosen: at level
//! 5 and 12 bits of window a compressor takes a ninth of what it takes by default. Its inflater has
//! a window of 15 bits in any case, so a peer may use all of it.

use std::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

use super::connection::SendError;
use super::extension::Extension;
use super::fault::Fault;
use super::handshake::HandshakeError;

/// What to ask for and how to compress. *Own* is what we send, *peer* what we get.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The window of our compressor, from 9 to 15 bits: 12. A peer may have it made smaller.
    pub own_window_bits: u8,
    /// The window that the peer's compressor may have, from 8 to 15 bits: 15.
    pub peer_window_bits: u8,
    /// Compress each message by itself: no. Costs compression, and spares each connection our
    /// compressor.
    pub own_no_takeover: bool,
    /// Have the peer compress each message by itself: no. Spares each connection our inflater.
    pub peer_no_takeover: bool,
    /// zlib's level, from 1 to 9: 6.
    pub level: u8,
    /// zlib's memory level, from 1 to 9: 5.
    pub mem_level: u8,
    /// Messages below this size are sent as they are: 64 bytes.
    pub min_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            own_window_bits: 12,
            peer_window_bits: 15,
            own_no_takeover: false,
            peer_no_takeover: false,
            level: 6,
            mem_level: 5,
            min_size: 64,
        }
    }
}

/// What two peers have agreed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agreed {
    own_window_bits: u8,
    own_takeover: bool,
    peer_takeover: bool,
    level: u8,
    mem_level: u8,
    min_size: usize,
}

/// Parameters as they are written.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
struct Parameters {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// Some(None) in an offer says that a server may name bits.
    client_bits: Option<Option<u8>>,
}

impl Parameters {
    /// None if one is unknown, there twice, or has a value that it must not have (RFC 7692, section
    /// 7.1).
    fn parse(extension: &Extension<'_>) -> Option<Self> {
        let mut found = Self::default();
        for &(name, value) in &extension.parameters {
            let (is_again, is_valid) = match name {
                b"server_no_context_takeover" => {
                    (std::mem::replace(&mut found.server_no_takeover, true), value.is_none())
                }
                b"client_no_context_takeover" => {
                    (std::mem::replace(&mut found.client_no_takeover, true), value.is_none())
                }
                b"server_max_window_bits" => {
                    let bits = value.and_then(window_bits);
                    (found.server_bits.replace(bits?).is_some(), true)
                }
                b"client_max_window_bits" => {
                    let bits = value.map(window_bits);
                    (found.client_bits.replace(bits.flatten()).is_some(), bits != Some(None))
                }
                _ => return None,
            };
            if is_again || !is_valid {
                return None;
            }
        }
        Some(found)
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate")?;
        if self.server_no_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        match self.client_bits {
            None => Ok(()),
            Some(None) => f.write_str("; client_max_window_bits"),
            Some(Some(bits)) => write!(f, "; client_max_window_bits={bits}"),
        }
    }
}

/// 8 to 15, without a leading zero.
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

impl Config {
    /// A server's answer: to the first offer that it can accept. What is agreed, and the value of
    /// the response's field. None if there is none: the connection goes without compression.
    pub(super) fn answer(&self, offers: &[Extension<'_>]) -> Option<(Agreed, String)> {
        let accepted = |offer| self.accept(Parameters::parse(offer)?);
        offers.iter().filter(|offer| offer.name == b"permessage-deflate").find_map(accepted)
    }

    fn accept(&self, offer: Parameters) -> Option<(Agreed, String)> {
        let (own, peer) = self.bits();
        let own_bits = own.min(offer.server_bits.unwrap_or(15));
        if own_bits < MIN_OWN_BITS {
            return None;
        }
        // Without the parameter in the offer the client uses what it likes.
        let client_bits = offer.client_bits.map(|bits| peer.min(bits.unwrap_or(15)));
        let answer = Parameters {
            server_no_takeover: offer.server_no_takeover || self.own_no_takeover,
            client_no_takeover: offer.client_no_takeover || self.peer_no_takeover,
            server_bits: offer.server_bits.map(|_| own_bits),
            client_bits: client_bits.filter(|&bits| bits < 15).map(Some),
        };
        let takeover = (!answer.server_no_takeover, !answer.client_no_takeover);
        Some((self.agree(own_bits, takeover), answer.to_string()))
    }

    /// A client's offer: the value of the request's field.
    #[must_use]
    pub fn offer(&self) -> String {
        self.offered().to_string()
    }

    fn offered(&self) -> Parameters {
        let (own, peer) = self.bits();
        Parameters {
            server_no_takeover: self.peer_no_takeover,
            client_no_takeover: self.own_no_takeover,
            server_bits: (peer < 15).then_some(peer),
            client_bits: Some((own < 15).then_some(own)),
        }
    }

    /// A client's look at the server's answer to its [offer](Self::offer).
    pub(super) fn confirm(
        &self,
        answers: &[Extension<'_>],
    ) -> Result<Option<Agreed>, HandshakeError> {
        let [answer] = answers else {
            return if answers.is_empty() { Ok(None) } else { Err(HandshakeError::Extension) };
        };
        let parameters =
            if answer.name == b"permessage-deflate" { Parameters::parse(answer) } else { None };
        let agreed = parameters.and_then(|answer| self.take(answer));
        agreed.map(Some).ok_or(HandshakeError::Extension)
    }

    fn take(&self, answer: Parameters) -> Option<Agreed> {
        let (own, peer) = self.bits();
        // A server that accepts an offer has to do what it asks for (RFC 7692, section 7.1).
        if self.peer_no_takeover && !answer.server_no_takeover {
            return None;
        }
        if peer < 15 && answer.server_bits.is_none_or(|bits| bits > peer) {
            return None;
        }
        let own_bits = match answer.client_bits {
            None => own,
            Some(None) => return None,
            Some(Some(bits)) if bits > own => return None,
            Some(Some(bits)) => bits,
        };
        let own_takeover = !answer.client_no_takeover && !self.own_no_takeover;
        Some(self.agree(own_bits, (own_takeover, !answer.server_no_takeover)))
    }

    fn agree(&self, own_window_bits: u8, (own_takeover, peer_takeover): (bool, bool)) -> Agreed {
        Agreed {
            own_window_bits,
            own_takeover,
            peer_takeover,
            level: self.level.clamp(1, 9),
            mem_level: self.mem_level.clamp(1, 9),
            min_size: self.min_size,
        }
    }

    fn bits(&self) -> (u8, u8) {
        (self.own_window_bits.clamp(MIN_OWN_BITS, 15), self.peer_window_bits.clamp(8, 15))
    }
}

/// zlib cannot compress raw data for a window of 8 bits. A server declines what asks for that. A
/// client that is told so after its offer sends what it has uncompressed.
const MIN_OWN_BITS: u8 = 9;

/// The two ends of one connection's compression. An end is made when it is first needed. One that
/// starts anew with each message is a [`Spare`], for all connections of a thread.
pub(super) struct Compression {
    agreed: Agreed,
    inflate: Option<Box<Inflate>>,
    deflate: Option<Box<Deflate>>,
}

/// What connections without a context of their own use one after another.
#[derive(Default)]
pub(super) struct Spare {
    inflate: Option<Box<Inflate>>,
    /// With bits, level and memory level.
    deflate: Option<([u8; 3], Box<Deflate>)>,
}

impl Compression {
    pub(super) const fn new(agreed: Agreed) -> Self {
        Self { agreed, inflate: None, deflate: None }
    }

    /// Whether to compress a message of this size.
    pub(super) const fn wants(&self, len: usize) -> bool {
        self.agreed.own_window_bits >= MIN_OWN_BITS && len >= self.agreed.min_size
    }

    /// Appends what `data`, a part of a compressed message, holds to `message`.
    ///
    /// `message` grows to one byte more than `limit` at most.
    pub(super) fn inflate(
        &mut self,
        data: &[u8],
        message: &mut Vec<u8>,
        limit: usize,
        spare: &mut Spare,
    ) -> Result<(), Fault> {
        let fresh = || spare.inflate.take().unwrap_or_else(|| Box::new(Inflate::new(false, 15)));
        inflate(self.inflate.get_or_insert_with(fresh), data, message, limit)
    }

    /// The end of a compressed message.
    pub(super) fn finish_inflate(
        &mut self,
        message: &mut Vec<u8>,
        limit: usize,
        spare: &mut Spare,
    ) -> Result<(), Fault> {
        self.inflate(&TAIL, message, limit, spare)?;
        if !self.agreed.peer_takeover
            && let Some(mut inflate) = self.inflate.take()
        {
            inflate.reset(false);
            spare.inflate = Some(inflate);
        }
        Ok(())
    }

    /// Appends `data`, a part of a message, to `out`, compressed.
    pub(super) fn deflate(
        &mut self,
        data: &[u8],
        is_last: bool,
        out: &mut Vec<u8>,
        spare: &mut Spare,
    ) -> Result<(), SendError> {
        let Agreed { own_window_bits, level, mem_level, .. } = self.agreed;
        let kind = [own_window_bits, level, mem_level];
        let fresh = || match spare.deflate.take() {
            Some((found, deflate)) if found == kind => deflate,
            _ => Box::new(Deflate::new_with_config(DeflateConfig {
                window_bits: -i32::from(own_window_bits),
                mem_level: i32::from(mem_level),
                ..DeflateConfig::new(i32::from(level))
            })),
        };
        deflate(self.deflate.get_or_insert_with(fresh), data, is_last, out)?;
        if is_last && !self.agreed.own_takeover {
            self.release(spare);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) const fn has_compressor(&self) -> bool {
        self.deflate.is_some()
    }

    /// Gives the compressor up, between two messages. The next message starts without a context,
    /// which a sender may do at any time.
    pub(super) fn release(&mut self, spare: &mut Spare) {
        if let Some(mut deflate) = self.deflate.take() {
            deflate.reset();
            let Agreed { own_window_bits, level, mem_level, .. } = self.agreed;
            spare.deflate = Some(([own_window_bits, level, mem_level], deflate));
        }
    }
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compression")
            .field("agreed", &self.agreed)
            .field("inflate", &self.inflate.is_some())
            .field("deflate", &self.deflate.is_some())
            .finish()
    }
}

/// What a sender takes off the end of each message (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

fn inflate(
    inflate: &mut Inflate,
    mut data: &[u8],
    message: &mut Vec<u8>,
    limit: usize,
) -> Result<(), Fault> {
    // Without unsafe code the room has to be cleared first, so it is no larger than is likely.
    let mut room = (data.len() * 4).clamp(64, LARGEST_STEP);
    loop {
        let len = message.len();
        let end = len.saturating_add(room).min(limit.saturating_add(1));
        grow(message, end, limit);
        message.resize(end, 0);
        let (used, made) = (inflate.total_in(), inflate.total_out());
        let result = inflate.decompress(data, &mut message[len..], InflateFlush::SyncFlush);
        let used = (inflate.total_in() - used) as usize;
        let made = (inflate.total_out() - made) as usize;
        message.truncate(len + made);
        data = &data[used..];
        // What is too large came before what zlib may have found wrong after it.
        if message.len() > limit {
            return Err(Fault::MessageTooLarge);
        }
        let status = result.map_err(|_| Fault::NotDeflate)?;
        if status == Status::StreamEnd {
            // A last block, which RFC 7692, section 7.2.3.4, allows. Another one may follow.
            inflate.reset(false);
            if data.is_empty() {
                return Ok(());
            }
        } else if len + made < end {
            // There was room for more, so there is no more.
            return if data.is_empty() { Ok(()) } else { Err(Fault::NotDeflate) };
        }
        room = (room * 2).min(LARGEST_STEP);
    }
}

/// Of what is inflated at a time.
const LARGEST_STEP: usize = 64 * 1024;

/// Makes room in `message` for `len` bytes: twice as much as it has, as a Vec does, but not more
/// than `limit` allows.
pub(super) fn grow(message: &mut Vec<u8>, len: usize, limit: usize) {
    if len > message.capacity() {
        let capacity = len.max((message.capacity() * 2).min(limit.saturating_add(1)));
        message.reserve_exact(capacity - message.len());
    }
}

fn deflate(
    deflate: &mut Deflate,
    mut data: &[u8],
    is_last: bool,
    out: &mut Vec<u8>,
) -> Result<(), SendError> {
    let start = out.len();
    loop {
        let len = out.len();
        // zlib asks for more than six bytes, or it would write a flush's marker again.
        let room = data.len() / 2 + 64;
        out.resize(len + room, 0);
        let (used, made) = (deflate.total_in(), deflate.total_out());
        let result = deflate.compress(data, &mut out[len..], DeflateFlush::SyncFlush);
        let used = (deflate.total_in() - used) as usize;
        let made = (deflate.total_out() - made) as usize;
        out.truncate(len + made);
        result.map_err(|_| SendError::Deflate)?;
        data = &data[used..];
        if made < room {
            break;
        }
    }
    if is_last {
        if out[start..].ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if out.len() == start {
            // RFC 7692, section 7.2.3.6.
            out.push(0);
        }
    }
    Ok(())
}
