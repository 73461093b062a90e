//! kcn-trace as a library: one direction of data, from signals to views.
//!
//! ```text
//! source => signal => decode => track => attribute => graph => output
//! ```

pub mod app;
pub mod attribute;
pub mod cli;
pub mod clock;
pub mod decode;
pub mod event;
pub mod graph;
pub mod hash;
pub mod inventory;
pub mod loader;
pub mod malformed;
pub mod output;
pub mod pipeline;
pub mod record;
pub mod regular_file;
pub mod report;
pub mod resolve;
pub mod signal;
pub mod source;
pub mod track;
pub mod verify;
