//! The generator against small servers, good and bad, on real sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves each connection on a thread of its own, until the test's process ends.
fn serve(handle: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || handle(stream));
        }
    });
    address
}

fn echo<S: Read + Write>(mut stream: S) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

fn load(address: SocketAddr, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferrio-load"))
        .args(["--tcp", &address.to_string()])
        .args(more)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn complaint(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1));
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn counts_exactly_the_requests_asked_for() {
    let address = serve(echo);
    for threads in ["1", "3"] {
        let output = load(
            address,
            &["--connections", "7", "--depth", "3", "--requests", "1000", "--threads", threads],
        );
        assert!(output.status.success(), "{output:?}");
        assert!(stdout(&output).contains("\"requests\": 1000,"), "{output:?}");
    }
}

#[test]
fn silent_connections_stay_open() {
    static ANSWERED: [AtomicUsize; 5] = [const { AtomicUsize::new(0) }; 5];
    static OPENED: AtomicUsize = AtomicUsize::new(0);

    fn count(mut stream: TcpStream) {
        let answered = &ANSWERED[OPENED.fetch_add(1, Ordering::Relaxed)];
        let mut message = [0; 64];
        while stream.read_exact(&mut message).is_ok() {
            answered.fetch_add(1, Ordering::Relaxed);
            if stream.write_all(&message).is_err() {
                return;
            }
        }
    }
    let options = ["--size", "64", "--connections", "5", "--active", "2"];
    let extent = ["--warmup-requests", "5", "--requests", "100"];
    let output = load(serve(count), &[&options[..], &extent[..]].concat());
    assert!(output.status.success(), "{output:?}");
    let mut answered: Vec<_> = ANSWERED.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    answered.sort_unstable();
    // The warm-up reaches everybody, the rest the two. How these share it is a matter of timing.
    assert_eq!(answered[..3], [1; 3]);
    assert_eq!(answered.iter().sum::<usize>(), 105);
}

#[test]
fn connections_end_as_asked() {
    for (more, expected) in [(None, None), (Some("--reset"), Some(ErrorKind::ConnectionReset))] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut message = [0; 64];
            loop {
                match stream.read(&mut message) {
                    Ok(0) => return None,
                    Ok(count) => stream.write_all(&message[..count]).unwrap(),
                    Err(error) => return Some(error.kind()),
                }
            }
        });
        let mut arguments = vec!["--size", "64", "--connections", "1", "--requests", "3"];
        arguments.extend(more);
        let output = load(address, &arguments);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(server.join().unwrap(), expected);
    }
}

#[test]
fn messages_larger_than_the_socket_buffers_pass() {
    let address = serve(echo);
    let output = load(
        address,
        &["--size", "3000000", "--depth", "2", "--connections", "2", "--requests", "8"],
    );
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("\"requests\": 8,"), "{output:?}");
}

#[test]
fn a_duration_ends() {
    let output = load(
        serve(echo),
        &["--duration", "0.1", "--warmup-duration", "0.05", "--connections", "2"],
    );
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn speaks_to_unix_sockets() {
    let path = std::env::temp_dir().join(format!("ferrio-load-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo(stream.unwrap()));
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_ferrio-load"))
        .arg("--unix")
        .arg(&path)
        .args(["--requests", "100"])
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Echoes until close_notify, and says it back.
fn echo_tls(stream: TcpStream) {
    let certificate = CertificateDer::from_slice(include_bytes!("localhost.der"));
    let key = PrivatePkcs8KeyDer::from(include_bytes!("localhost.key.der").as_slice());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::from(key))
        .unwrap();
    let session = ServerConnection::new(Arc::new(config)).unwrap();
    let mut secured = StreamOwned::new(session, stream);
    echo(&mut secured);
    secured.conn.send_close_notify();
    // The client may have left already.
    let _ = secured.flush();
}

#[test]
fn speaks_tls() {
    let address = serve(echo_tls);
    for size in ["64", "100000"] {
        let output =
            load(address, &["--tls", "--size", size, "--connections", "3", "--requests", "100"]);
        assert!(output.status.success(), "{output:?}");
        assert!(stdout(&output).contains("\"requests\": 100,"), "{output:?}");
    }
}

#[test]
fn visits_are_a_connection_each() {
    let (plain, tls) = (serve(echo), serve(echo_tls));
    for (address, more) in [(plain, None), (tls, Some("--tls"))] {
        let mut arguments = vec!["--visits", "--connections", "2", "--requests", "20"];
        arguments.extend(more);
        let output = load(address, &arguments);
        assert!(output.status.success(), "{output:?}");
        assert!(stdout(&output).contains("\"requests\": 20,"), "{output:?}");
    }
}

#[test]
fn speaks_udp() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, peer)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..count], peer).unwrap();
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_ferrio-load"))
        .args(["--udp", &address.to_string()])
        .args(["--requests", "100", "--connections", "3", "--depth", "2"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_wrong_byte_is_an_error() {
    fn spoil(mut stream: TcpStream) {
        let mut buffer = [0; 100];
        stream.read_exact(&mut buffer).unwrap();
        buffer[42] ^= 0x80;
        stream.write_all(&buffer).unwrap();
        echo(stream);
    }
    let output = load(serve(spoil), &["--size", "100", "--connections", "1"]);
    assert!(complaint(&output).contains("wrong byte at offset 42"), "{output:?}");
}

#[test]
fn a_lost_connection_is_an_error() {
    fn leave(mut stream: TcpStream) {
        stream.read_exact(&mut [0; 10]).unwrap();
    }
    let output = load(serve(leave), &["--size", "10", "--connections", "1"]);
    complaint(&output);
}

#[test]
fn silence_is_an_error() {
    fn keep_silent(mut stream: TcpStream) {
        while let Ok(1..) = stream.read(&mut [0; 4096]) {}
    }
    let output = load(serve(keep_silent), &["--connections", "1", "--stall-seconds", "0.2"]);
    assert!(complaint(&output).contains("no reply"), "{output:?}");
}

#[test]
fn waits_at_the_gate_until_it_is_opened() {
    let address = serve(echo);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ferrio-load"))
        .args(["--tcp", &address.to_string()])
        .args(["--gate", "--warmup-requests", "10", "--requests", "20"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut warm = [0; 18];
    child.stdout.as_mut().unwrap().read_exact(&mut warm).unwrap();
    assert_eq!(&warm, b"{\"event\": \"warm\"}\n");
    assert!(child.try_wait().unwrap().is_none());
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("\"requests\": 20,"), "{output:?}");
}
