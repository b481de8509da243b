//! How bytes travel between a connection and the server: as they are, as datagrams, or in TLS.

use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustls::ClientConnection;

use crate::options::Target;
use crate::tls::Tls;

pub(crate) struct Wire {
    socket: OwnedFd,
    form: Form,
}

enum Form {
    Stream,
    /// Each message is one datagram.
    Datagrams,
    Tls(Box<ClientConnection>),
}

impl Wire {
    /// Connects, and shakes hands. Both block, one connection at a time: it is not what is
    /// measured, and it cannot overrun a backlog.
    pub(crate) fn open(target: &Target, tls: Option<&Tls>) -> io::Result<Self> {
        let (socket, form) = match target {
            Target::Tcp(address) => {
                let mut stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                let form = match tls {
                    Some(tls) => Form::Tls(Box::new(tls.shake_hands(&mut stream)?)),
                    None => Form::Stream,
                };
                stream.set_nonblocking(true)?;
                (stream.into(), form)
            }
            Target::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                (stream.into(), Form::Stream)
            }
            Target::Udp(address) => {
                let socket = UdpSocket::bind((address.ip(), 0))?;
                socket.connect(address)?;
                socket.set_nonblocking(true)?;
                (socket.into(), Form::Datagrams)
            }
        };
        Ok(Self { socket, form })
    }

    /// Whether what `send` takes goes as one message.
    pub(crate) fn keeps_boundaries(&self) -> bool {
        matches!(self.form, Form::Datagrams)
    }

    /// Whether bytes that were taken wait for room in the kernel.
    pub(crate) fn wants_write(&self) -> bool {
        match &self.form {
            Form::Stream | Form::Datagrams => false,
            Form::Tls(session) => session.wants_write(),
        }
    }

    /// Takes as many of the bytes as there is room for; `WouldBlock` if there is none.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.form {
            Form::Stream | Form::Datagrams => Socket(&self.socket).write(bytes),
            Form::Tls(session) => {
                while session.wants_write() {
                    session.write_tls(&mut Socket(&self.socket))?;
                }
                let taken = session.writer().write(bytes)?;
                match session.write_tls(&mut Socket(&self.socket)) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                    Ok(_) | Err(_) => Ok(taken),
                }
            }
        }
    }

    /// Sends what was taken and waits.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Form::Tls(session) = &mut self.form {
            while session.wants_write() {
                session.write_tls(&mut Socket(&self.socket))?;
            }
        }
        Ok(())
    }

    /// Receives once; 0 is the end. `WouldBlock` if nothing whole has come.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = Socket(&self.socket).read(buffer)?;
        let Form::Tls(session) = &mut self.form else { return Ok(received) };
        if received == 0 {
            return Ok(0);
        }
        // One `recv` as without TLS; rustls itself would take 4 KiB at a time.
        let ciphertext = buffer[..received].to_vec();
        let mut rest = ciphertext.as_slice();
        let mut count = 0;
        while !rest.is_empty() {
            session.read_tls(&mut rest)?;
            session.process_new_packets().map_err(io::Error::other)?;
            loop {
                match session.reader().read(&mut buffer[count..]) {
                    // The peer's close_notify.
                    Ok(0) => return Ok(count),
                    Ok(more) => count += more,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        // A part of a record, or a session ticket.
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The bare socket.
struct Socket<'a>(&'a OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::net::recv(self.0, &mut *buffer, RecvFlags::empty()) {
                Ok((count, _)) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL) {
                Ok(taken) => return Ok(taken),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
