//! What the kernel programs and user space agree on: records, settings, counters, names and sizes of maps.
//!
//! Only integers and byte arrays live here: every bit pattern of every type is valid, so a record of any
//! origin can be decoded without trust.
#![no_std]

pub mod counters;
pub mod layout;
pub mod maps;
pub mod settings;
pub mod wire;
