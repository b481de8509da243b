//! `create_connection`, `connect_accepted_socket` and what `create_unix_connection` ends in
//! (Lib/asyncio/base_events.py).

use std::net::{IpAddr, SocketAddr};

use ferrio_engine::net::interleave;
use pyo3::exceptions::{PyOSError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString};

use super::Loop;
use super::attempt::{Candidate, attempt};
use super::opening::{Given, Opening};
use super::race::race;
use crate::coroutine::await_object;
use crate::error::WithText;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::raise::raised;
use crate::names;
use crate::transport::Endpoint;
use crate::transport::tls::Settings;

#[pymethods]
impl Loop {
    /// Connects to a TCP server, or takes over a connected stream socket: a coroutine that returns
    /// `(transport, protocol)`.
    ///
    /// The addresses of a host are tried one after the other; with `happy_eyeballs_delay`
    /// (seconds) they overlap (RFC 8305), and the families take turns. `local_addr` is the
    /// `(host, port)` to connect from. With `all_errors` a failure is an ExceptionGroup of all
    /// there were.
    #[pyo3(signature = (protocol_factory, host=None, port=None, *, ssl=None, family=None,
                        proto=None, flags=None, sock=None, local_addr=None, server_hostname=None,
                        ssl_handshake_timeout=None, ssl_shutdown_timeout=None,
                        happy_eyeballs_delay=None, interleave=None, all_errors=None),
           text_signature = "($self, protocol_factory, host=None, port=None, *, ssl=None, \
                             family=0, proto=0, flags=0, sock=None, local_addr=None, \
                             server_hostname=None, ssl_handshake_timeout=None, \
                             ssl_shutdown_timeout=None, happy_eyeballs_delay=None, \
                             interleave=None, all_errors=False)")]
    #[expect(clippy::too_many_arguments, reason = "asyncio's")]
    fn create_connection(
        slf: Py<Self>,
        py: Python<'_>,
        protocol_factory: Py<PyAny>,
        host: Option<Py<PyAny>>,
        port: Option<Py<PyAny>>,
        ssl: Option<Py<PyAny>>,
        family: Option<Py<PyAny>>,
        proto: Option<Py<PyAny>>,
        flags: Option<Py<PyAny>>,
        sock: Option<Py<PyAny>>,
        local_addr: Option<Py<PyAny>>,
        server_hostname: Option<Py<PyAny>>,
        ssl_handshake_timeout: Option<Py<PyAny>>,
        ssl_shutdown_timeout: Option<Py<PyAny>>,
        happy_eyeballs_delay: Option<Py<PyAny>>,
        interleave: Option<Py<PyAny>>,
        all_errors: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        Opening::run(slf, protocol_factory, py, "Loop.create_connection", |opening| async move {
            let mut tls = Tls { ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout };
            let (tls, route) = Python::attach(|py| {
                tls.check_client(py, host.as_ref())?;
                if tls.server_hostname.is_none() {
                    tls.server_hostname = host.as_ref().map(|host| host.clone_ref(py));
                }
                let route = Route::new(py, host, port, sock)?;
                Ok::<_, PyErr>((tls.into_settings(py, false)?, route))
            })?;
            let (endpoint, shown) = match route {
                Route::Given(sock) => (Given::Socket(sock), (None, None)),
                Route::Named { host, port } => {
                    let names = Names { looop: &opening.looop, family, proto, flags };
                    let order = Order { delay: happy_eyeballs_delay, interleave, all_errors };
                    let endpoint = dial(&names, &host, &port, local_addr, order).await?;
                    (Given::Endpoint(endpoint), (host, port))
                }
            };
            let (transport, protocol) = opening.finish(endpoint, tls).await?;
            Python::attach(|py| {
                if opening.looop.get().is_debug() {
                    let socket = transport.call_method1(
                        py,
                        intern!(py, "get_extra_info"),
                        (intern!(py, "socket"),),
                    )?;
                    let (host, port) = shown;
                    let text = intern!(py, "%r connected to %s:%r: (%r, %r)");
                    names::base_events_logger(py)?.call_method1(
                        intern!(py, "debug"),
                        (text, socket, host, port, &transport, &protocol),
                    )?;
                }
                pair(py, &transport, &protocol)
            })
        })
    }

    /// Takes over a connected stream socket that was accepted outside of asyncio: a coroutine that
    /// returns `(transport, protocol)`.
    #[pyo3(signature = (protocol_factory, sock, *, ssl=None, ssl_handshake_timeout=None,
                        ssl_shutdown_timeout=None))]
    fn connect_accepted_socket(
        slf: Py<Self>,
        py: Python<'_>,
        protocol_factory: Py<PyAny>,
        sock: Py<PyAny>,
        ssl: Option<Py<PyAny>>,
        ssl_handshake_timeout: Option<Py<PyAny>>,
        ssl_shutdown_timeout: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let name = "Loop.connect_accepted_socket";
        Opening::run(slf, protocol_factory, py, name, |opening| async move {
            let server_hostname = None;
            let tls = Tls { ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout };
            let tls = Python::attach(|py| {
                check_stream(sock.bind(py))?;
                tls.check_timeouts(py)?;
                names::check_ssl_socket(py)?.call1((&sock,))?;
                tls.into_settings(py, true)
            })?;
            let (transport, protocol) = opening.finish(Given::Socket(sock), tls).await?;
            Python::attach(|py| {
                if opening.looop.get().is_debug() {
                    let socket = transport.call_method1(
                        py,
                        intern!(py, "get_extra_info"),
                        (intern!(py, "socket"),),
                    )?;
                    names::base_events_logger(py)?.call_method1(
                        intern!(py, "debug"),
                        (intern!(py, "%r handled: (%r, %r)"), socket, &transport, &protocol),
                    )?;
                }
                pair(py, &transport, &protocol)
            })
        })
    }

    /// Protocol and transport over a connected socket: a coroutine that returns `(transport,
    /// protocol)` when `connection_made` was called. asyncio's `create_unix_connection` ends here.
    #[pyo3(signature = (sock, protocol_factory, ssl, server_hostname, server_side=false,
                        ssl_handshake_timeout=None, ssl_shutdown_timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "asyncio's")]
    fn _create_connection_transport(
        slf: Py<Self>,
        py: Python<'_>,
        sock: Py<PyAny>,
        protocol_factory: Py<PyAny>,
        ssl: Option<Py<PyAny>>,
        server_hostname: Option<Py<PyAny>>,
        server_side: bool,
        ssl_handshake_timeout: Option<Py<PyAny>>,
        ssl_shutdown_timeout: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let name = "Loop._create_connection_transport";
        Opening::run(slf, protocol_factory, py, name, |opening| async move {
            let tls = Tls { ssl, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout };
            let tls = Python::attach(|py| tls.into_settings(py, server_side))?;
            let (transport, protocol) = opening.finish(Given::Socket(sock), tls).await?;
            Python::attach(|py| pair(py, &transport, &protocol))
        })
    }
}

/// What the coroutines return.
fn pair(py: Python<'_>, transport: &Py<PyAny>, protocol: &Py<PyAny>) -> PyResult<Py<PyAny>> {
    let pair = make::tuple(py, [transport.bind(py), protocol.bind(py)])?;
    Ok(pair.into_any().unbind())
}

// -------------------------------------------------------------------------- checks of the arguments

/// The arguments that are about TLS.
struct Tls {
    ssl: Option<Py<PyAny>>,
    server_hostname: Option<Py<PyAny>>,
    ssl_handshake_timeout: Option<Py<PyAny>>,
    ssl_shutdown_timeout: Option<Py<PyAny>>,
}

impl Tls {
    fn is_wanted(&self, py: Python<'_>) -> PyResult<bool> {
        is_true(py, self.ssl.as_ref())
    }

    fn check_client(&self, py: Python<'_>, host: Option<&Py<PyAny>>) -> PyResult<()> {
        let is_wanted = self.is_wanted(py)?;
        if self.server_hostname.is_some() && !is_wanted {
            return Err(PyValueError::with_text("server_hostname is only meaningful with ssl"));
        }
        if self.server_hostname.is_none() && is_wanted && !is_true(py, host)? {
            let text = "You must set server_hostname when using ssl without a host";
            return Err(PyValueError::with_text(text));
        }
        self.check_timeouts(py)
    }

    fn check_timeouts(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_wanted(py)? {
            return Ok(());
        }
        if self.ssl_handshake_timeout.is_some() {
            return Err(PyValueError::with_text(
                "ssl_handshake_timeout is only meaningful with ssl",
            ));
        }
        if self.ssl_shutdown_timeout.is_some() {
            return Err(PyValueError::with_text(
                "ssl_shutdown_timeout is only meaningful with ssl",
            ));
        }
        Ok(())
    }

    /// None if no TLS is wanted.
    fn into_settings(self, py: Python<'_>, server_side: bool) -> PyResult<Option<Settings>> {
        if !self.is_wanted(py)? {
            return Ok(None);
        }
        Ok(Some(Settings {
            // True means a default context.
            context: self.ssl.filter(|ssl| !ssl.bind(py).is_instance_of::<PyBool>()),
            server_side,
            server_hostname: self.server_hostname,
            handshake_timeout: self.ssl_handshake_timeout,
            shutdown_timeout: self.ssl_shutdown_timeout,
        }))
    }
}

/// Where a connection is to come from.
enum Route {
    /// At least one of the two is there.
    Named {
        host: Option<Py<PyAny>>,
        port: Option<Py<PyAny>>,
    },
    Given(Py<PyAny>),
}

impl Route {
    fn new(
        py: Python<'_>,
        host: Option<Py<PyAny>>,
        port: Option<Py<PyAny>>,
        sock: Option<Py<PyAny>>,
    ) -> PyResult<Route> {
        if let Some(sock) = &sock {
            names::check_ssl_socket(py)?.call1((sock,))?;
        }
        let is_named = host.is_some() || port.is_some();
        match sock {
            Some(_) if is_named => Err(PyValueError::with_text(
                "host/port and sock can not be specified at the same time",
            )),
            Some(sock) => {
                check_stream(sock.bind(py))?;
                Ok(Route::Given(sock))
            }
            None if is_named => Ok(Route::Named { host, port }),
            None => Err(PyValueError::with_text(
                "host and port was not specified and no sock specified",
            )),
        }
    }
}

fn check_stream(sock: &Bound<'_, PyAny>) -> PyResult<()> {
    if sock.getattr(intern!(sock.py(), "type"))?.eq(libc::SOCK_STREAM)? {
        return Ok(());
    }
    let text = format!("A Stream Socket was expected, got {}", sock.repr()?);
    Err(PyValueError::with_text(text))
}

fn is_true(py: Python<'_>, object: Option<&Py<PyAny>>) -> PyResult<bool> {
    object.map_or(Ok(false), |object| object.is_truthy(py))
}

// ------------------------------------------------------------------------------------- name to socket

/// How names are to be resolved. What was not given is 0.
struct Names<'a> {
    looop: &'a Py<Loop>,
    family: Option<Py<PyAny>>,
    proto: Option<Py<PyAny>>,
    flags: Option<Py<PyAny>>,
}

impl Names<'_> {
    /// The candidates for a host, at least one.
    async fn resolve(
        &self,
        host: &Option<Py<PyAny>>,
        port: &Option<Py<PyAny>>,
    ) -> PyResult<Vec<Candidate>> {
        let resolving =
            Python::attach(|py| match self.literal(py, host.as_ref(), port.as_ref()) {
                Some(address) => Ok(Err(Candidate::tcp(address))),
                None => {
                    let object = |part: &Option<Py<PyAny>>| {
                        part.as_ref()
                            .map_or_else(|| py.None(), |part| part.clone_ref(py))
                            .into_bound(py)
                    };
                    let address = make::tuple(py, [object(host), object(port)])?;
                    self.ask(py, address.as_any()).map(Ok)
                }
            })?;
        match resolving {
            Ok(resolving) => candidates(await_object(resolving).await?),
            Err(candidate) => Ok(vec![candidate]),
        }
    }

    async fn resolve_local(&self, address: &Py<PyAny>) -> PyResult<Vec<Candidate>> {
        let resolving = Python::attach(|py| self.ask(py, address.bind(py)))?;
        candidates(await_object(resolving).await?)
    }

    /// asyncio's own function: it answers literals itself, and calls `getaddrinfo` for the rest,
    /// which programs replace.
    fn ask(&self, py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let options = make::dict(py)?;
        let number = |number: &Option<Py<PyAny>>| {
            number.as_ref().map_or_else(|| PyInt::new(py, 0).into_any(), |n| n.bind(py).clone())
        };
        options.set_item(intern!(py, "family"), number(&self.family))?;
        options.set_item(intern!(py, "type"), names::sock_stream(py)?)?;
        options.set_item(intern!(py, "proto"), number(&self.proto))?;
        options.set_item(intern!(py, "flags"), number(&self.flags))?;
        options.set_item(intern!(py, "loop"), self.looop)?;
        let method = intern!(py, "_ensure_resolved");
        self.looop.bind(py).call_method(method, (address,), Some(&options)).map(Bound::unbind)
    }

    /// A literal and a number, the answer to which needs nobody else. (bench: tcp_connect_close)
    fn literal(
        &self,
        py: Python<'_>,
        host: Option<&Py<PyAny>>,
        port: Option<&Py<PyAny>>,
    ) -> Option<SocketAddr> {
        if !names::has_own_literals(py).ok()? {
            return None;
        }
        let number = |number: &Option<Py<PyAny>>| {
            number.as_ref().map_or(Some(0), |number| number.extract::<i32>(py).ok())
        };
        let ip: IpAddr =
            host?.bind(py).cast_exact::<PyString>().ok()?.to_str().ok()?.parse().ok()?;
        let port: u16 = match port {
            Some(port) => port.bind(py).cast_exact::<PyInt>().ok()?.extract().ok()?,
            None => 0,
        };
        let family = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let fits = |wanted: i32, actual: i32| wanted == 0 || wanted == actual;
        (fits(number(&self.family)?, family) && fits(number(&self.proto)?, libc::IPPROTO_TCP))
            .then(|| SocketAddr::new(ip, port))
    }
}

fn candidates(infos: Py<PyAny>) -> PyResult<Vec<Candidate>> {
    Python::attach(|py| {
        let infos = infos.into_bound(py);
        let candidates = infos
            .try_iter()?
            .map(|info| Candidate::from_info(&info?))
            .collect::<PyResult<Vec<_>>>()?;
        if candidates.is_empty() {
            return Err(PyOSError::with_text("getaddrinfo() returned empty list"));
        }
        Ok(candidates)
    })
}

/// In which order candidates are tried, and how they are reported.
struct Order {
    delay: Option<Py<PyAny>>,
    interleave: Option<Py<PyAny>>,
    all_errors: Option<Py<PyAny>>,
}

impl Order {
    /// How many candidates of the first family lead; 0 if families do not take turns at all. With
    /// Happy Eyeballs they do unless told otherwise.
    fn leading(&self, py: Python<'_>) -> PyResult<usize> {
        match &self.interleave {
            None => Ok(usize::from(self.delay.is_some())),
            Some(count) if !count.is_truthy(py)? => Ok(0),
            Some(count) => Ok(usize::try_from(count.extract::<i64>(py)?).unwrap_or(1)),
        }
    }
}

async fn dial(
    names: &Names<'_>,
    host: &Option<Py<PyAny>>,
    port: &Option<Py<PyAny>>,
    local_addr: Option<Py<PyAny>>,
    order: Order,
) -> PyResult<Endpoint> {
    let mut candidates = names.resolve(host, port).await?;
    let local = match &local_addr {
        Some(address) => Some(names.resolve_local(address).await?),
        None => None,
    };
    let leading = Python::attach(|py| order.leading(py))?;
    if leading > 0 {
        candidates = interleave(candidates, |candidate| candidate.family, leading);
    }
    let mut failures = Vec::new();
    let found = match order.delay {
        None => one_by_one(names.looop, &candidates, local.as_deref(), &mut failures).await?,
        Some(delay) => race(names.looop, candidates, local, delay, &mut failures).await?,
    };
    match found {
        Some(endpoint) => Ok(endpoint),
        None => Err(Python::attach(|py| {
            let all = is_true(py, order.all_errors.as_ref());
            all.and_then(|all| failure(py, failures, all)).unwrap_or_else(|error| error)
        })),
    }
}

async fn one_by_one(
    looop: &Py<Loop>,
    candidates: &[Candidate],
    local: Option<&[Candidate]>,
    failures: &mut Vec<PyErr>,
) -> PyResult<Option<Endpoint>> {
    for candidate in candidates {
        match attempt(looop, candidate, local, failures).await {
            Ok(endpoint) => return Ok(Some(endpoint)),
            Err(error) => {
                if !Python::attach(|py| error.is_instance_of::<PyOSError>(py)) {
                    return Err(error);
                }
            }
        }
    }
    Ok(None)
}

/// The exception for attempts that all failed.
fn failure(py: Python<'_>, mut failures: Vec<PyErr>, all: bool) -> PyResult<PyErr> {
    if all {
        let failures = failures.into_iter().map(|error| error.into_value(py).into_bound(py));
        let failures = make::list_of(py, failures)?;
        let group = names::exception_group(py)?
            .call1((intern!(py, "create_connection failed"), failures))?;
        return Ok(raised(group));
    }
    let texts = failures
        .iter()
        .map(|error| Ok(error.value(py).str()?.to_string()))
        .collect::<PyResult<Vec<_>>>()?;
    match texts.as_slice() {
        // Only Happy Eyeballs can end so. (asyncio before 3.14 fails over it.)
        [] => Ok(PyTimeoutError::with_text("create_connection failed")),
        [first, rest @ ..] if rest.iter().all(|text| text == first) => Ok(failures.swap_remove(0)),
        texts => Ok(PyOSError::with_text(format!("Multiple exceptions: {}", texts.join(", ")))),
    }
}
