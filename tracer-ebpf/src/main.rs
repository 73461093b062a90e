//! Kernel programs: licence, panic handler and the list of modules; nothing else.
#![no_std]
#![no_main]
#![expect(
    clippy::inline_always,
    reason = "a program is one function: calls cost registers and stack, and old verifiers refuse them"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "states, families and lengths fit a byte or two by the kernel's own definition"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "aya hands the context over by value"
)]
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a record is written field by field, for one reason"
)]
#![expect(
    clippy::cast_ptr_alignment,
    reason = "addresses are 8-aligned in their record, as its layout proof shows"
)]
// One instruction each in emit.rs and kernel.rs.
#![feature(asm_experimental_arch)]

mod attempts;
mod emit;
mod icmp;
mod kernel;
mod once;
mod probes;
mod socket;
mod sockets;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Unreachable: the verifier refuses a program that could get here.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
