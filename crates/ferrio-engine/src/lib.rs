//! The event loop under ferrio.
