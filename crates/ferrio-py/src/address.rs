//! Socket addresses as Python's `socket` module shows them (Modules/socketmodule.c,
//! `makesockaddr`).

use std::net::SocketAddr;

use ferrio_engine::net::{Address, ip_text};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// `(host, port)`, `(host, port, flowinfo, scope_id)`, a path as str or an abstract name as bytes.
pub(crate) fn to_python<'py>(py: Python<'py>, address: &Address) -> PyResult<Bound<'py, PyAny>> {
    match address {
        Address::Inet(inet) => inet_to_python(py, *inet),
        Address::Path(path) => crate::names::fsdecode(py)?.call1((PyBytes::new(py, path),)),
        Address::Abstract(name) => {
            let mut bytes = vec![0];
            bytes.extend_from_slice(name);
            Ok(PyBytes::new(py, &bytes).into_any())
        }
        Address::Unnamed => Ok("".into_pyobject(py)?.into_any()),
    }
}

pub(crate) fn inet_to_python<'py>(
    py: Python<'py>,
    address: SocketAddr,
) -> PyResult<Bound<'py, PyAny>> {
    let host = ip_text(address.ip());
    match address {
        SocketAddr::V4(v4) => Ok((host, v4.port()).into_pyobject(py)?.into_any()),
        SocketAddr::V6(v6) => {
            Ok((host, v6.port(), v6.flowinfo(), v6.scope_id()).into_pyobject(py)?.into_any())
        }
    }
}
