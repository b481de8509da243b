//! `add_reader`, `add_writer` and their opposites (Lib/asyncio/selector_events.py).

use std::ffi::c_int;

use ferrio_engine::{Readiness, ReadyQueue};
use pyo3::ffi as raw;
use pyo3::prelude::*;

use crate::ffi::handle::Handle;
use crate::item::Item;

/// What a program watches a descriptor with: a callback for each direction.
#[derive(Default)]
pub(crate) struct Watch {
    reader: Option<Handle>,
    writer: Option<Handle>,
}

impl Watch {
    /// Puts the callbacks that this event concerns on the ready queue.
    pub(crate) fn event(
        &mut self,
        py: Python<'_>,
        readiness: Readiness,
        ready: &mut ReadyQueue<Item>,
    ) {
        if let Some(reader) = &self.reader
            && readiness.is_readable()
        {
            ready.push(Item::Handle(reader.clone_ref(py)));
        }
        if let Some(writer) = &self.writer
            && readiness.is_writable()
        {
            ready.push(Item::Handle(writer.clone_ref(py)));
        }
    }

    /// Shows the collector what is held.
    pub(crate) fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        [&self.reader, &self.writer]
            .into_iter()
            .flatten()
            .map(|handle| visit(handle.as_object().as_ptr()))
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }
}
