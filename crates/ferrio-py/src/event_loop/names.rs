//! `getaddrinfo` and `getnameinfo` (Lib/asyncio/base_events.py).
//!
//! Answers, errors and texts are those of the `socket` module, which asyncio calls in its default
//! executor. Here
//!
//! * an address literal with a numeric port is answered at once;
//! * what libc can answer without asking anybody (no host at all, scope ids, `AI_NUMERICHOST`) it
//!   answers at once, too;
//! * names go to threads of the loop's own;
//! * unusual arguments, debug mode, and programs that have put a `getaddrinfo` of their own into
//!   the `socket` module get what asyncio does.

use std::ffi::CString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use ferrio_engine::net::{
    Address, GaiError, NameInfo, Query, Resolved, literal, name_info, resolve,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyFunction, PyInt, PyString, PyTuple};

use super::Loop;
use super::blocking::blocking;
use crate::coroutine::{self, await_object};
use crate::error::os_error;
use crate::ffi::interned::intern;
use crate::ffi::raise::raised;
use crate::ffi::{audit, make};
use crate::{names, socket};

#[pymethods]
impl Loop {
    /// Looks a host and a port up, as `socket.getaddrinfo` does: a list of tuples (family, type,
    /// proto, canonname, address).
    #[pyo3(signature = (host, port, *, family=None, r#type=None, proto=None, flags=None),
           text_signature = "($self, host, port, *, family=0, type=0, proto=0, flags=0)")]
    #[expect(clippy::too_many_arguments, reason = "asyncio's signature")]
    fn getaddrinfo(
        slf: Py<Self>,
        py: Python<'_>,
        host: Py<PyAny>,
        port: Py<PyAny>,
        family: Option<Py<PyAny>>,
        r#type: Option<Py<PyAny>>,
        proto: Option<Py<PyAny>>,
        flags: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let arguments = [family, r#type, proto, flags];
        coroutine::make(py, "Loop.getaddrinfo", async move {
            let question = Python::attach(|py| {
                ask_address(slf.bind(py), host.bind(py), port.bind(py), &arguments)
            })?;
            match question {
                Question::Answered(answer) => Ok(answer),
                Question::Native(query) => {
                    let found = blocking(slf, move || resolve(&query)).await?;
                    Python::attach(|py| address_list(py, found))
                }
                Question::Asyncio(coroutine) => await_object(coroutine).await,
            }
        })
    }

    /// Looks the names of an address up, as `socket.getnameinfo` does: a pair (host, service).
    #[pyo3(signature = (sockaddr, flags=None), text_signature = "($self, sockaddr, flags=0)")]
    fn getnameinfo(
        slf: Py<Self>,
        py: Python<'_>,
        sockaddr: Py<PyAny>,
        flags: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        coroutine::make(py, "Loop.getnameinfo", async move {
            let question = Python::attach(|py| {
                ask_name(
                    slf.bind(py),
                    sockaddr.bind(py),
                    flags.as_ref().map(|flags| flags.bind(py)),
                )
            })?;
            match question {
                Question::Answered(answer) => Ok(answer),
                Question::Native((address, flags)) => {
                    let found = blocking(slf, move || name_info(&address, flags)).await?;
                    Python::attach(|py| name_pair(py, found))
                }
                Question::Asyncio(coroutine) => await_object(coroutine).await,
            }
        })
    }
}

/// What is left to do after the first look at the arguments.
enum Question<T> {
    Answered(Py<PyAny>),
    /// For a thread.
    Native(T),
    /// asyncio's own coroutine, to be awaited.
    Asyncio(Py<PyAny>),
}

fn ask_address(
    looop: &Bound<'_, Loop>,
    host: &Bound<'_, PyAny>,
    port: &Bound<'_, PyAny>,
    arguments: &[Option<Py<PyAny>>; 4],
) -> PyResult<Question<Query>> {
    let py = looop.py();
    let query = if is_asyncios_turn(looop, intern!(py, "getaddrinfo"))? {
        None
    } else {
        query(py, host, port, arguments)?
    };
    let Some(query) = query else {
        let options = make::dict(py)?;
        for (name, value) in ["family", "type", "proto", "flags"].into_iter().zip(arguments) {
            if let Some(value) = value {
                options.set_item(name, value)?;
            }
        }
        let coroutine = names::base_event_loop(py)?
            .getattr(intern!(py, "getaddrinfo"))?
            .call((looop, host, port), Some(&options))?;
        return Ok(Question::Asyncio(coroutine.unbind()));
    };
    audit::tell(py, c"socket.getaddrinfo", || {
        let [family, socktype, protocol] = [query.family, query.socktype, query.protocol]
            .map(|number| make::int(py, number).map(Bound::into_any));
        make::tuple(py, [host.clone(), port.clone(), family?, socktype?, protocol?])
    })?;
    if let Some(found) = literal(&query) {
        return address_list(py, Ok(found)).map(Question::Answered);
    }
    if asks_nobody(&query) {
        return address_list(py, resolve(&query)).map(Question::Answered);
    }
    Ok(Question::Native(query))
}

/// Debug mode logs what is asked and how long it took. A program that replaced the function of the
/// `socket` module, or that of `_socket` which it calls, wants that one called. A closed loop
/// refuses.
fn is_asyncios_turn(looop: &Bound<'_, Loop>, function: &Bound<'_, PyString>) -> PyResult<bool> {
    let py = looop.py();
    let this = looop.get();
    if this.is_debug() || this.is_closed() {
        return Ok(true);
    }
    let originals = originals(py)?.get_item(function)?.cast_into::<PyTuple>()?;
    let current = socket_modules(py)?.map(|module| module.getattr(function));
    for (current, original) in current.into_iter().zip(originals.iter_borrowed()) {
        if !current?.is(original) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `socket` and `_socket`.
fn socket_modules(py: Python<'_>) -> PyResult<[&Bound<'_, PyAny>; 2]> {
    Ok([names::socket_module(py)?, names::c_socket_module(py)?])
}

/// Looks up what a program may replace later.
pub(super) fn look_up(py: Python<'_>) -> PyResult<()> {
    originals(py).map(drop)
}

/// By name the functions that [`socket_modules`] were made with, a pair each; None in the place of
/// one that had been replaced when this was first asked for.
fn originals(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTIONS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

    let functions = FUNCTIONS.get_or_try_init(py, || {
        let found = make::dict(py)?;
        let [module, native] = socket_modules(py)?;
        for name in ["getaddrinfo", "getnameinfo"] {
            let pair = [module, native].map(|module| -> PyResult<Bound<'_, PyAny>> {
                let current = module.getattr(name)?;
                // Only one of the four is written in Python.
                let is_own = match current.cast::<PyFunction>() {
                    Ok(function) => function
                        .getattr(intern!(py, "__globals__"))?
                        .is(module.getattr(intern!(py, "__dict__"))?),
                    Err(_) => current
                        .getattr_opt(intern!(py, "__self__"))?
                        .is_some_and(|home| home.is(native)),
                };
                Ok(if is_own { current } else { py.None().into_bound(py) })
            });
            let [own, c] = pair;
            found.set_item(name, make::tuple(py, [own?, c?])?)?;
        }
        PyResult::Ok(found.unbind())
    })?;
    Ok(functions.bind(py).as_any())
}

/// The arguments in libc's terms; None for what the `socket` module has to judge.
fn query(
    py: Python<'_>,
    host: &Bound<'_, PyAny>,
    port: &Bound<'_, PyAny>,
    arguments: &[Option<Py<PyAny>>; 4],
) -> PyResult<Option<Query>> {
    let mut numbers = [0; 4];
    for (number, argument) in numbers.iter_mut().zip(arguments) {
        if let Some(argument) = argument {
            let Some(value) = int(argument.bind(py)) else { return Ok(None) };
            *number = value;
        }
    }
    let [family, socktype, protocol, flags] = numbers;
    let service = if port.is_none() {
        None
    } else if let Ok(port) = port.cast_exact::<PyInt>() {
        match port.extract::<i64>() {
            Ok(port) => Some(port.to_string().into_bytes()),
            Err(_) => return Ok(None),
        }
    } else if let Ok(port) = port.cast::<PyString>() {
        match port.to_str() {
            Ok(port) => Some(port.as_bytes().to_vec()),
            Err(_) => return Ok(None),
        }
    } else if let Ok(port) = port.cast::<PyBytes>() {
        Some(port.as_bytes().to_vec())
    } else {
        return Ok(None);
    };
    let host = if host.is_none() {
        None
    } else if let Ok(host) = host.cast::<PyString>() {
        match host.to_str() {
            // The codec leaves addresses as they are.
            Ok(host) if host.parse::<IpAddr>().is_ok() => Some(host.as_bytes().to_vec()),
            Ok(_) | Err(_) => Some(idna(host)?),
        }
    } else if let Ok(host) = host.cast::<PyBytes>() {
        Some(host.as_bytes().to_vec())
    } else {
        return Ok(None);
    };
    // Zero bytes: versions of Python differ.
    let (Ok(host), Ok(service)) =
        (host.map(CString::new).transpose(), service.map(CString::new).transpose())
    else {
        return Ok(None);
    };
    Ok(Some(Query { host, service, family, socktype, protocol, flags }))
}

/// What `PyArg_Parse` takes for a C int. None for what it refuses.
fn int(argument: &Bound<'_, PyAny>) -> Option<i32> {
    argument.cast::<PyInt>().ok()?.extract().ok()
}

/// A host name as it is sent over the wire.
fn idna(host: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let py = host.py();
    let encoded = host.call_method1(intern!(py, "encode"), (intern!(py, "idna"),))?;
    Ok(encoded.cast::<PyBytes>()?.as_bytes().to_vec())
}

/// Can libc answer from what it knows? A name server may take seconds, and so may whatever else
/// `/etc/nsswitch.conf` says to ask for names of hosts and services.
fn asks_nobody(query: &Query) -> bool {
    let is_numeric_service = query
        .service
        .as_ref()
        .is_none_or(|service| service.to_bytes().iter().all(u8::is_ascii_digit));
    let is_numeric_host = query.flags & libc::AI_NUMERICHOST != 0
        || match &query.host {
            None => true,
            Some(host) => host.to_str().is_ok_and(is_address),
        };
    is_numeric_service && is_numeric_host
}

/// An IP address, perhaps with a scope.
fn is_address(host: &str) -> bool {
    match host.split_once('%') {
        Some((address, _scope)) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok(),
    }
}

/// The list that `socket.getaddrinfo` returns.
fn address_list(py: Python<'_>, found: Result<Vec<Resolved>, GaiError>) -> PyResult<Py<PyAny>> {
    let list = make::list(py)?;
    for entry in found.map_err(|error| gai_error(py, error))? {
        let canonical_name = match entry.canonical_name {
            Some(name) => PyString::from_encoded_object(
                make::bytes(py, &name)?.as_any(),
                Some(c"utf-8"),
                None,
            )?,
            None => intern!(py, "").clone(),
        };
        let address = socket::address_object(py, &Address::Inet(entry.address))?;
        let parts = [
            socket::family_enum(py, entry.family)?.into_bound(py),
            socket::kind_enum(py, entry.socktype)?.into_bound(py),
            make::int(py, entry.protocol)?.into_any(),
            canonical_name.into_any(),
            address,
        ];
        list.append(make::tuple(py, parts)?)?;
    }
    Ok(list.into_any().unbind())
}

/// `socket.gaierror(code, text)`, or the OSError behind `EAI_SYSTEM` (`set_gaierror`,
/// Modules/socketmodule.c).
fn gai_error(py: Python<'_>, error: GaiError) -> PyErr {
    if let Some(errno) = error.errno {
        return os_error(std::io::Error::from_raw_os_error(errno));
    }
    let made = || {
        let (code, text) = (make::int(py, error.code)?, make::text(py, error.to_string())?);
        names::gaierror(py)?.call1((code, text))
    };
    match made() {
        Ok(value) => raised(value),
        Err(error) => error,
    }
}

fn ask_name(
    looop: &Bound<'_, Loop>,
    sockaddr: &Bound<'_, PyAny>,
    flags: Option<&Bound<'_, PyAny>>,
) -> PyResult<Question<(SocketAddr, i32)>> {
    let py = looop.py();
    let numbers = flags.map_or(Some(0), int);
    let parts = if is_asyncios_turn(looop, intern!(py, "getnameinfo"))? {
        None
    } else {
        Option::zip(plain_address(sockaddr)?, numbers)
    };
    let Some((address, flags)) = parts else {
        let coroutine = names::base_event_loop(py)?.getattr(intern!(py, "getnameinfo"))?.call1(
            match flags {
                Some(flags) => make::tuple(py, [looop.as_any(), sockaddr, flags])?,
                None => make::tuple(py, [looop.as_any(), sockaddr])?,
            },
        )?;
        return Ok(Question::Asyncio(coroutine.unbind()));
    };
    audit::tell(py, c"socket.getnameinfo", || make::tuple(py, [sockaddr]))?;
    let numeric = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
    if flags & numeric == numeric {
        return name_pair(py, name_info(&address, flags)).map(Question::Answered);
    }
    Ok(Question::Native((address, flags)))
}

/// The address that `socket.getnameinfo` would make of its argument, if that is plain.
fn plain_address(sockaddr: &Bound<'_, PyAny>) -> PyResult<Option<SocketAddr>> {
    let Ok(parts) = sockaddr.cast::<PyTuple>() else { return Ok(None) };
    if !(2..=4).contains(&parts.len()) {
        return Ok(None);
    }
    let Ok(host) = parts.get_item(0)?.cast_into_exact::<PyString>() else { return Ok(None) };
    let number = |index: usize| -> Option<u32> {
        match parts.get_item(index) {
            Ok(item) => item.cast_exact::<PyInt>().ok()?.extract().ok(),
            Err(_) => Some(0),
        }
    };
    let Some(port) = number(1).and_then(|port| u16::try_from(port).ok()) else { return Ok(None) };
    let (Some(flow), Some(scope)) = (number(2), number(3)) else { return Ok(None) };
    Ok(match host.to_str().unwrap_or_default().parse() {
        Ok(IpAddr::V4(ip)) if parts.len() == 2 => Some(SocketAddrV4::new(ip, port).into()),
        Ok(IpAddr::V6(ip)) if flow <= socket::FLOW_BITS => {
            Some(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        Ok(_) | Err(_) => None,
    })
}

/// The pair that `socket.getnameinfo` returns.
fn name_pair(py: Python<'_>, found: Result<NameInfo, GaiError>) -> PyResult<Py<PyAny>> {
    let NameInfo { host, service } = found.map_err(|error| gai_error(py, error))?;
    let pair = [socket::text(py, &host)?, socket::text(py, &service)?];
    Ok(make::tuple(py, pair)?.into_any().unbind())
}
