//! The programs, one file each: an attach stub per backend, and one handler they share.
//!
//! To add one: a file here, its record in `tracer-common/src/wire`, its row in the loader's program table.

mod accept;
mod closing;
mod connect;
mod failure;
mod process;
mod release;
mod snapshot;
mod state;
mod state_tracepoint;
