//! Addresses and names: literals without libc, everything else through it, and the order to try
//! them in.

mod address;
mod connect;
mod literal;
mod order;
mod resolve;

pub use address::{Address, ip_text, local_address};
pub use connect::Connecting;
pub use literal::literal;
pub use order::interleave;
pub use resolve::{GaiError, NameInfo, Query, Resolved, name_info, resolve};
