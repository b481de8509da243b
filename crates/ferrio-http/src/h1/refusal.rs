//! Why a request is refused.

use std::fmt;

/// What is wrong with a request, in words that say what to mend. [`status`](Self::status) is what it
/// is answered with.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// More empty lines before the request line than [`Limits::empty_lines`](crate::Limits).
    EmptyLines,
    /// Not `method SP target SP version`.
    Line,
    /// Longer than [`Limits::request_line`](crate::Limits).
    LineTooLong,
    /// A version of HTTP that is not 1.0 or 1.1.
    Version,
    /// The preface of HTTP/2. A caller who speaks that may give the same bytes to it.
    Http2,
    /// A byte of the target has to be percent-encoded.
    TargetByte,
    /// A target of a form that this method has not.
    TargetForm,
    /// Host and port of the target are none.
    TargetAuthority,
    /// CONNECT, which is for proxies.
    Connect,

    /// The head is larger than [`Limits::head`](crate::Limits).
    HeadTooLarge,
    /// More fields than [`Limits::fields`](crate::Limits).
    TooManyFields,
    /// A line ends in LF without CR.
    BareLf,
    /// CR without LF.
    BareCr,
    /// NUL.
    Nul,
    /// A line that goes on in the next one.
    ObsFold,
    /// White space in a name, or between it and the colon.
    SpaceBeforeColon,
    /// A line that begins with a colon.
    EmptyName,
    /// A line without a colon.
    NoColon,
    /// A byte that the name of a field has not.
    NameByte,
    /// A control character in the value of a field.
    ValueByte,
    /// A head that is malformed in some other way.
    Head,

    /// No `Host` in HTTP/1.1.
    NoHost,
    /// More than one `Host`.
    SeveralHosts,
    /// A `Host` that is not host and port.
    Host,
    /// `Content-Length` beside `Transfer-Encoding`.
    LengthAndCoding,
    /// More than one `Content-Length`, even if they are the same.
    SeveralLengths,
    /// A `Content-Length` that is not digits alone.
    Length,
    /// A `Content-Length` beyond 64 bits.
    LengthOverflow,
    /// `Transfer-Encoding` in HTTP/1.0.
    CodingIn10,
    /// A `Transfer-Encoding` whose last coding is not `chunked`, or that has it twice.
    CodingNotChunked,
    /// A `Transfer-Encoding` other than `chunked` before it.
    CodingUnknown,
    /// An `Expect` other than `100-continue`.
    Expectation,

    /// A body larger than [`Limits::body`](crate::Limits).
    BodyTooLarge,
    /// A chunk's size is not hexadecimal digits alone.
    ChunkSize,
    /// A chunk's size is beyond 64 bits.
    ChunkSizeOverflow,
    /// A chunk's extension is malformed.
    ChunkExtension,
    /// Chunk extensions beyond [`Limits::chunk_extension`](crate::Limits) or
    /// [`Limits::chunk_extensions`](crate::Limits).
    ChunkExtensionTooLong,
    /// The line of a chunk's size does not end in CR LF.
    ChunkLineEnd,
    /// A chunk is not followed by CR LF: its size is wrong.
    ChunkEnd,
    /// Trailers larger than [`Limits::trailers`](crate::Limits).
    TrailersTooLarge,
    /// More trailers than [`Limits::trailer_fields`](crate::Limits).
    TooManyTrailers,

    /// The head took longer than [`Limits::head_time`](crate::Limits).
    SlowHead,
    /// The body was slower than [`Limits::body_rate`](crate::Limits).
    SlowBody,
    /// The request took longer than [`Limits::request_time`](crate::Limits).
    SlowRequest,
}

impl Reason {
    /// The status that says it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::EmptyLines
            | Self::Line
            | Self::TargetByte
            | Self::TargetForm
            | Self::TargetAuthority
            | Self::BareLf
            | Self::BareCr
            | Self::Nul
            | Self::ObsFold
            | Self::SpaceBeforeColon
            | Self::EmptyName
            | Self::NoColon
            | Self::NameByte
            | Self::ValueByte
            | Self::Head
            | Self::NoHost
            | Self::SeveralHosts
            | Self::Host
            | Self::LengthAndCoding
            | Self::SeveralLengths
            | Self::Length
            | Self::LengthOverflow
            | Self::CodingIn10
            | Self::CodingNotChunked
            | Self::ChunkSize
            | Self::ChunkSizeOverflow
            | Self::ChunkExtension
            | Self::ChunkExtensionTooLong
            | Self::ChunkLineEnd
            | Self::ChunkEnd => 400,
            Self::SlowHead | Self::SlowBody | Self::SlowRequest => 408,
            Self::BodyTooLarge => 413,
            Self::LineTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge
            | Self::TooManyFields
            | Self::TrailersTooLarge
            | Self::TooManyTrailers => 431,
            Self::Connect | Self::CodingUnknown => 501,
            Self::Version | Self::Http2 => 505,
        }
    }

    /// What is wrong, in words, with nothing of the request in them: they may be sent and logged.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::EmptyLines => "too many empty lines before the request line",
            Self::Line => {
                "the request line is not a method, a target and a version, one space between"
            }
            Self::LineTooLong => "the request line is too long",
            Self::Version => "a version of HTTP other than 1.0 and 1.1",
            Self::Http2 => "HTTP/2 on a connection of HTTP/1.1",
            Self::TargetByte => "the target has a byte that has to be percent-encoded",
            Self::TargetForm => {
                "the target is not a path, nor in another form that this method has"
            }
            Self::TargetAuthority => "the target's host and port are malformed",
            Self::Connect => "CONNECT is for proxies, which this server is not",
            Self::HeadTooLarge => "the request's head is too large",
            Self::TooManyFields => "the request has too many header fields",
            Self::BareLf => "a line ends in LF without CR",
            Self::BareCr => "a CR without LF after it",
            Self::Nul => "a NUL in a header field",
            Self::ObsFold => "a header field that goes on in the next line",
            Self::SpaceBeforeColon => {
                "white space in the name of a header field, or before its colon"
            }
            Self::EmptyName => "a header field without a name",
            Self::NoColon => "a header field without a colon",
            Self::NameByte => "a byte that the name of a header field cannot have",
            Self::ValueByte => "a control character in a header field",
            Self::Head => "the request's head is malformed",
            Self::NoHost => "no Host",
            Self::SeveralHosts => "more than one Host",
            Self::Host => "a malformed Host",
            Self::LengthAndCoding => "both Content-Length and Transfer-Encoding",
            Self::SeveralLengths => "more than one Content-Length",
            Self::Length => "a Content-Length that is not decimal digits alone",
            Self::LengthOverflow => "a Content-Length beyond 64 bits",
            Self::CodingIn10 => "Transfer-Encoding in HTTP/1.0",
            Self::CodingNotChunked => {
                "a Transfer-Encoding that does not end in chunked, or has it twice"
            }
            Self::CodingUnknown => "a Transfer-Encoding other than chunked",
            Self::Expectation => "an Expect other than 100-continue",
            Self::BodyTooLarge => "the request's body is too large",
            Self::ChunkSize => "a chunk's size that is not hexadecimal digits alone",
            Self::ChunkSizeOverflow => "a chunk's size beyond 64 bits",
            Self::ChunkExtension => "a malformed chunk extension",
            Self::ChunkExtensionTooLong => "chunk extensions that are too long",
            Self::ChunkLineEnd => "the line of a chunk's size does not end in CR LF",
            Self::ChunkEnd => "a chunk that is not as long as its size says",
            Self::TrailersTooLarge => "trailer fields that are too large",
            Self::TooManyTrailers => "too many trailer fields",
            Self::SlowHead => "the request's head took too long",
            Self::SlowBody => "the request's body comes too slowly",
            Self::SlowRequest => "the request took too long",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl std::error::Error for Reason {}
