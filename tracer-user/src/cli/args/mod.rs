//! Groups of flags that several commands share, as clap reads them.

pub(super) mod capture;
pub(super) mod filter;
pub(super) mod names;
pub(super) mod place;
