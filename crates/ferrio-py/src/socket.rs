//! Python's sockets: which of them are nothing but a descriptor, their fields, and addresses as
//! the `socket` module shows them.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use ferrio_engine::net::{Address, ip_text};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFunction, PyInt, PyString, PyTuple, PyType};

use crate::ffi::audit;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::version::Version;
use crate::names::{self, Place};

/// Is this a `socket.socket` whose methods nobody has replaced? Then calling the kernel is what
/// they would do. A subclass may override `recv` or `send` and counts on being called.
pub(crate) fn is_plain(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    is_plain_class(&socket.get_type())
}

/// Would a socket that asyncio makes now be a plain one? Nobody has put another class into the
/// `socket` module, or into a module of asyncio's, or other methods into the class.
pub(crate) fn makes_plain(py: Python<'_>) -> PyResult<bool> {
    let class = names::socket_class(py)?;
    Ok(class.is(names::accepted_socket_class(py)?)
        && class.cast::<PyType>().is_ok_and(|class| is_plain_class(class).unwrap_or(false)))
}

fn is_plain_class(class: &Bound<'_, PyType>) -> PyResult<bool> {
    static PLAIN: GilCell<Option<Version>> = GilCell::new(None);

    let py = class.py();
    let version = Version::of(class);
    if version.is_some() && version == PLAIN.with(py, |plain| *plain) {
        return Ok(true);
    }
    if !class.is(own_class(py)?) || !has_own_methods(class)? {
        return Ok(false);
    }
    // Looking the methods up has given the class its tag.
    let version = Version::of(class);
    PLAIN.with(py, |plain| *plain = version);
    Ok(true)
}

/// `socket.socket` as the `socket` module made it, whatever stands there: a program may have replaced
/// it before it imported ferrio.
pub(crate) fn own_class(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

    let class = CLASS.get_or_try_init(py, || {
        let is_own = |class: &Bound<'_, PyAny>| -> PyResult<bool> {
            Ok(is_text(&class.getattr(intern!(py, "__module__"))?, "socket")
                && is_text(&class.getattr(intern!(py, "__qualname__"))?, "socket"))
        };
        let subclasses = names::c_socket_class(py)?.call_method0(intern!(py, "__subclasses__"))?;
        for class in subclasses.try_iter()? {
            let class = class?;
            if is_own(&class)? {
                return Ok(class.unbind());
            }
        }
        names::socket_module(py)?.getattr(intern!(py, "socket")).map(Bound::unbind)
    })?;
    Ok(class.bind(py))
}

/// Are the methods that asyncio calls those that the class was made with? (A mock may have been put
/// there.)
fn has_own_methods(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let py = class.py();
    let base = names::c_socket_class(py)?;
    for name in [
        "fileno",
        "bind",
        "setblocking",
        "setsockopt",
        "getsockname",
        "getpeername",
        "shutdown",
        "sendmsg",
        "recv",
        "recv_into",
        "recvfrom",
        "recvfrom_into",
        "send",
        "sendto",
        "connect",
        "_accept",
        "getsockopt",
        "gettimeout",
    ] {
        // eventlet's class has none of them: its objects do.
        let name = make::text(py, name)?;
        let method = class.getattr_opt(&name)?;
        if !method.is_some_and(|method| base.getattr(&name).is_ok_and(|ours| method.is(&ours))) {
            return Ok(false);
        }
    }
    // Functions of the module's own; there is no other place to compare them with.
    for (name, qualname) in [
        ("__init__", "socket.__init__"),
        ("accept", "socket.accept"),
        ("close", "socket.close"),
        ("detach", "socket.detach"),
        ("_real_close", "socket._real_close"),
    ] {
        let method = class.getattr(make::text(py, name)?)?;
        let is_own = |attribute: &Bound<'_, PyString>, expected: &str| -> PyResult<bool> {
            Ok(method.getattr_opt(attribute)?.is_some_and(|name| is_text(&name, expected)))
        };
        // `functools.wraps` gives whoever stands in for one its names.
        let is_wrapper = method.hasattr(intern!(py, "__wrapped__"))?;
        if is_wrapper
            || !method.is_instance_of::<PyFunction>()
            || !is_own(intern!(py, "__qualname__"), qualname)?
            || !is_own(intern!(py, "__module__"), "socket")?
        {
            return Ok(false);
        }
    }
    let new = intern!(py, "__new__");
    Ok(class.getattr(new)?.is(base.getattr(new)?))
}

fn is_text(value: &Bound<'_, PyAny>, text: &str) -> bool {
    value.cast::<PyString>().is_ok_and(|value| value.to_str().is_ok_and(|value| value == text))
}

/// `socket.fileno()`.
pub(crate) fn fileno(socket: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    socket.call_method0(intern!(socket.py(), "fileno"))?.extract()
}

/// True for a socket that answers at once, as far as its object knows.
pub(crate) fn is_nonblocking(socket: &Bound<'_, PyAny>) -> PyResult<bool> {
    socket.call_method0(intern!(socket.py(), "gettimeout"))?.eq(0)
}

/// Family, type and protocol, as numbers: `socket.socket` makes enums of them, which takes longer
/// than a system call.
pub(crate) fn kind(socket: &Bound<'_, PyAny>) -> PyResult<(i32, i32, i32)> {
    static FIELDS: PyOnceLock<[Py<PyAny>; 3]> = PyOnceLock::new();

    let py = socket.py();
    let fields = FIELDS.get_or_try_init(py, || {
        let class = names::c_socket_class(py)?;
        let field = |name| class.getattr(name).map(Bound::unbind);
        PyResult::Ok([
            field(intern!(py, "family"))?,
            field(intern!(py, "type"))?,
            field(intern!(py, "proto"))?,
        ])
    })?;
    let read = |field: &Py<PyAny>| -> PyResult<i32> {
        field.bind(py).call_method1(intern!(py, "__get__"), (socket,))?.extract()
    };
    let [family, kind, proto] = fields;
    Ok((read(family)?, read(kind)?, read(proto)?))
}

/// A non-blocking `socket.socket` that owns `fd`, for a caller that [`makes_plain`] ones.
pub(crate) fn adopt<'py>(
    py: Python<'py>,
    fd: OwnedFd,
    (family, kind, proto): (i32, i32, i32),
) -> PyResult<Bound<'py, PyAny>> {
    let options = make::dict(py)?;
    options.set_item(intern!(py, "fileno"), make::int(py, fd.as_raw_fd())?)?;
    // An audit hook is told what asyncio would have asked for.
    let hint = if audit::is_listening(py) { 0 } else { NONBLOCK };
    let [family, kind, proto] = [family, kind | hint, proto].map(|number| make::int(py, number));
    let socket = own_class(py)?.call((family?, kind?, proto?), Some(&options))?;
    // The object closes it from here on.
    let _owned = fd.into_raw_fd();
    if hint == 0 {
        socket.call_method1(intern!(py, "setblocking"), (false,))?;
    }
    Ok(socket)
}

/// Tells the new object what its descriptor is already; `setblocking` would ask the kernel to make
/// it so once more. (`init_sockobject`, Modules/socketmodule.c.)
#[cfg(target_os = "linux")]
const NONBLOCK: i32 = libc::SOCK_NONBLOCK;
#[cfg(not(target_os = "linux"))]
const NONBLOCK: i32 = 0;

/// An address as the `socket` module shows it (`makesockaddr`, Modules/socketmodule.c).
pub(crate) fn address_object<'py>(
    py: Python<'py>,
    address: &Address,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(match address {
        Address::Inet(SocketAddr::V4(inet)) => {
            let ip = make::text(py, ip_text((*inet.ip()).into()))?;
            let port = make::int(py, inet.port())?;
            make::tuple(py, [ip.into_any(), port.into_any()])?.into_any()
        }
        Address::Inet(SocketAddr::V6(inet)) => {
            let ip = make::text(py, ip_text((*inet.ip()).into()))?;
            let port = make::int(py, inet.port())?;
            let (flow, scope) = (make::int(py, inet.flowinfo())?, make::int(py, inet.scope_id())?);
            let parts = [ip.into_any(), port.into_any(), flow.into_any(), scope.into_any()];
            make::tuple(py, parts)?.into_any()
        }
        Address::Path(path) => text(py, path)?.into_any(),
        Address::Abstract(name) => {
            let mut whole = vec![0];
            whole.extend_from_slice(name);
            make::bytes(py, &whole)?.into_any()
        }
        Address::Unnamed => PyString::new(py, "").into_any(),
    })
}

/// "flowinfo must be 0-1048575." (Modules/socketmodule.c)
pub(crate) const FLOW_BITS: u32 = 0xf_ffff;

/// Bytes of the system as text, in the file system's encoding, with surrogates for what it cannot
/// say.
pub(crate) fn text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    make::path(py, bytes)
}

/// The member of `socket.AddressFamily`; the number where it has none.
pub(crate) fn family_enum(py: Python<'_>, family: i32) -> PyResult<Py<PyAny>> {
    static KNOWN: PyOnceLock<[Py<PyAny>; 2]> = PyOnceLock::new();

    let place = names::places::address_family(py)?;
    member(py, &KNOWN, place, family, [libc::AF_INET, libc::AF_INET6])
}

/// The member of `socket.SocketKind`; the number where it has none.
pub(crate) fn kind_enum(py: Python<'_>, kind: i32) -> PyResult<Py<PyAny>> {
    static KNOWN: PyOnceLock<[Py<PyAny>; 2]> = PyOnceLock::new();

    let place = names::places::socket_kind(py)?;
    member(py, &KNOWN, place, kind, [libc::SOCK_STREAM, libc::SOCK_DGRAM])
}

/// A member of the enum that stands at `place`; two of the `socket` module's own are remembered.
fn member(
    py: Python<'_>,
    known: &'static PyOnceLock<[Py<PyAny>; 2]>,
    place: &Place,
    number: i32,
    usual: [i32; 2],
) -> PyResult<Py<PyAny>> {
    let class = place.current(py)?;
    let index = usual.iter().position(|&usual| usual == number);
    let Some(index) = index.filter(|_| class.is(place.original(py))) else {
        return int_enum(&class, number);
    };
    let known = known.get_or_try_init(py, || {
        PyResult::Ok([int_enum(&class, usual[0])?, int_enum(&class, usual[1])?])
    })?;
    Ok(known[index].clone_ref(py))
}

/// `socket._intenum_converter`
fn int_enum(class: &Bound<'_, PyAny>, number: i32) -> PyResult<Py<PyAny>> {
    let py = class.py();
    match class.call1((make::int(py, number)?,)) {
        Ok(member) => Ok(member.unbind()),
        Err(error) if error.is_instance_of::<PyValueError>(py) => {
            Ok(make::int(py, number)?.into_any().unbind())
        }
        Err(error) => Err(error),
    }
}

/// What `socket.connect` or `sendto` would make of this address, if it is a plain one: a literal of
/// the socket's family and a number in range. None for all that has to be resolved or refused,
/// which the `socket` module does.
pub(crate) fn literal_address(
    family: i32,
    address: &Bound<'_, PyAny>,
) -> PyResult<Option<SocketAddr>> {
    let Ok(parts) = address.cast_exact::<PyTuple>() else { return Ok(None) };
    let number = |index: usize| -> Option<u32> {
        match parts.get_item(index) {
            Ok(item) => item.cast_exact::<PyInt>().ok()?.extract().ok(),
            Err(_) => Some(0),
        }
    };
    if !(2..=4).contains(&parts.len()) {
        return Ok(None);
    }
    let Ok(host) = parts.get_item(0)?.cast_into_exact::<PyString>() else { return Ok(None) };
    let Some(port) = number(1).and_then(|port| u16::try_from(port).ok()) else { return Ok(None) };
    let (Some(flow), Some(scope)) = (number(2), number(3)) else { return Ok(None) };
    let Ok(ip) = host.to_str().unwrap_or_default().parse::<IpAddr>() else { return Ok(None) };
    Ok(match ip {
        IpAddr::V4(ip) if family == libc::AF_INET && parts.len() == 2 => {
            Some(SocketAddrV4::new(ip, port).into())
        }
        IpAddr::V6(ip) if family == libc::AF_INET6 && flow <= FLOW_BITS => {
            Some(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    })
}
